"""The tries of a run: each has a report of its own, and the run's report is combined from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.delayed_signals import delayed_signals
from airflow_provider_crm.database.schema import changes, runs, tries
from airflow_provider_crm.ledger.statements import begin_run
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database

CombineReports = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
"""Return the report of a run from those of its tries, in their order; it may have a `verdict`, stored apart."""

_KILLED = "This try ended without a report, as by a kill; the rows that it wrote are counted from the change log."


def begin_try(
    connection: Connection,
    run_key: str,
    account: str,
    *,
    as_of: dt.datetime | None,
    now: dt.datetime,
    resumed: bool,
) -> int:
    """Note that a try of a run begins, or goes on after a deferral; return its number, from 1.

    An earlier try without a report gets one that counts the rows that it wrote.
    """
    row = {"run_key": run_key, "account": account, "as_of": as_of, "tries": 1, "started_at": now}
    number: int = connection.execute(begin_run(connection.dialect.name, resumed=resumed), row).scalar_one()
    mine = (tries.c.run_key == run_key) & (tries.c.account == account)
    known = {row.try_number: row for row in connection.execute(sa.select(tries).where(mine))}
    for earlier in (one for one in known.values() if one.try_number < number and one.report is None):
        report = _from_change_log(connection, run_key, account, earlier.started_at)
        connection.execute(sa.update(tries).where(mine, tries.c.try_number == earlier.try_number).values(report=report))
    if number not in known:
        connection.execute(
            sa.insert(tries), {"run_key": run_key, "account": account, "try_number": number, "started_at": now}
        )
    return number


def earlier_reports(connection: Connection, run_key: str, account: str, number: int) -> list[Mapping[str, Any]]:
    """Return the reports of the tries of a run before the one with a number, in order."""
    earlier = (tries.c.run_key == run_key) & (tries.c.account == account) & (tries.c.try_number < number)
    found = connection.execute(sa.select(tries.c.report).where(earlier).order_by(tries.c.try_number)).scalars()
    return [json.loads(text) for text in found if text is not None]


def note_progress(database: Database, run_key: str, account: str, progress: Mapping[str, Any]) -> None:
    """Store how far a run is that has not ended.

    Args:
        database: Of the ledger.
        run_key: The run.
        account: Its account.
        progress: As `report.run_progress.RunProgress.to_dict` writes it.
    """
    mine = (runs.c.run_key == run_key) & (runs.c.account == account) & runs.c.finished_at.is_(None)
    with delayed_signals(), database.transaction() as connection:
        connection.execute(sa.update(runs).where(mine).values(progress=json.dumps(progress)))


def end_try(
    connection: Connection,
    run_key: str,
    account: str,
    number: int,
    *,
    report: Mapping[str, Any],
    combine: CombineReports,
    now: dt.datetime | None,
) -> Mapping[str, Any]:
    """Store the report of a try, and the one of its run, which is returned.

    Args:
        connection: In a transaction.
        run_key: The run.
        account: Its account.
        number: Of the try.
        report: What it reported.
        combine: Makes the run's report.
        now: When it ended; None for a try that is only deferred.
    """
    mine = (tries.c.run_key == run_key) & (tries.c.account == account)
    stored = {"finished_at": now, "report": json.dumps(report)}
    connection.execute(sa.update(tries).where(mine, tries.c.try_number == number).values(stored))
    found = connection.execute(sa.select(tries.c.report).where(mine).order_by(tries.c.try_number)).scalars()
    reports = [json.loads(text) for text in found if text is not None]
    whole = dict(combine(reports or [report]))
    verdict, outcomes = whole.pop("verdict", None), whole.get("outcomes")
    connection.execute(
        sa.update(runs)
        .where(runs.c.run_key == run_key, runs.c.account == account)
        .values(
            finished_at=now,
            report=json.dumps(whole),
            outcomes=None if outcomes is None else json.dumps(outcomes),
            verdict=None if now is None else verdict,
            progress=None,
        )
    )
    return whole


def _from_change_log(connection: Connection, run_key: str, account: str, since: dt.datetime) -> str:
    """Return a report for a try that left none: the number of records that it wrote."""
    query = sa.select(sa.func.count(changes.c.record_id.distinct())).where(
        changes.c.run_key == run_key,
        changes.c.account == account,
        changes.c.outcome == OutcomeWord.UPDATED.value,
        changes.c.at >= since,
    )
    rows = connection.execute(query).scalar_one()
    outcomes = {OutcomeWord.UPDATED.value: rows} if rows else {}
    return json.dumps({"rows": rows, "outcomes": outcomes, "warnings": [], "ended_early": _KILLED})
