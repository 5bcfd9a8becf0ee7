"""Read from the runs in the ledger which state a sync had before a run."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.schema import runs, tries
from airflow_provider_crm.notifications.sync_states import SyncState
from airflow_provider_crm.report.tolerance import Tolerance
from airflow_provider_crm.values.opportunity import FAILURES

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfSync:
    """A run whose sync is looked at.

    Attributes:
        run_key: Its name in the ledger.
        run_id: The Dag run, with which the name ends.
        as_of: Its data time.
        tries_before: Its tries before a user cleared it; 0 for a run that was never cleared.
        tolerance: How many rows may fail before the task does.
    """

    run_key: str
    run_id: str
    as_of: dt.datetime
    tries_before: int
    tolerance: Tolerance


@dataclass(frozen=True, slots=True)
class EarlierState:
    """The state of a sync before a run.

    Attributes:
        state: The state; None for a sync without an earlier run.
        superseded: Whether a run of newer data has decided the state already.
    """

    state: SyncState | None
    superseded: bool = False


def earlier_state(database: Database, run: RunOfSync) -> EarlierState:
    """Return the state that a sync had before a run.

    Raises:
        LedgerUnavailableError: The database cannot be read.
    """
    database.open()
    with database.errors(), database.engine.connect() as connection:
        if run.tries_before and (cleared := _report_of_try(connection, run)) is not None:
            return EarlierState(_state(cleared, run.tolerance))
        newest = _newest_other(connection, run)
    if newest is None:
        return EarlierState(None)
    as_of, report = newest
    return EarlierState(_state(json.loads(report), run.tolerance), superseded=as_of > run.as_of)


def _report_of_try(connection: Connection, run: RunOfSync) -> Mapping[str, Any] | None:
    """Return the report of the last try before the run was cleared."""
    query = sa.select(tries.c.report).where(
        tries.c.run_key == run.run_key, tries.c.try_number <= run.tries_before, tries.c.report.is_not(None)
    )
    text = connection.execute(query.order_by(tries.c.try_number.desc()).limit(1)).scalar()
    return None if text is None else json.loads(text)


def _newest_other(connection: Connection, run: RunOfSync) -> tuple[dt.datetime, str] | None:
    """Return data time and report of the sync's finished run whose data is the newest, apart from this run."""
    task = run.run_key.removesuffix(run.run_id)
    mine = sa.select(runs.c.account).where(runs.c.run_key == run.run_key)
    known = connection.execute(mine).scalars().all()
    query = sa.select(runs.c.as_of, runs.c.report).where(
        runs.c.run_key.startswith(task, autoescape=True),
        runs.c.run_key != run.run_key,
        runs.c.report.is_not(None),
        runs.c.finished_at.is_not(None),
        runs.c.as_of.is_not(None),
    )
    if known:
        query = query.where(runs.c.account.in_(known))
    row = connection.execute(query.order_by(runs.c.as_of.desc(), runs.c.started_at.desc()).limit(1)).one_or_none()
    return None if row is None else (row.as_of, row.report)


def _state(report: Mapping[str, Any], tolerance: Tolerance) -> SyncState:
    """Return the state after a run with that report."""
    outcomes = report.get("outcomes") or {}
    failed = sum(outcomes.get(word.value, 0) for word in FAILURES)
    if report.get("ended_early") or tolerance.exceeded(failed, sum(outcomes.values())):
        return SyncState.FAILED
    return SyncState.WARNING if report.get("warnings") else SyncState.OK
