"""Read refusals over several runs: those that come back, fields that the CRM does not keep, and all of some runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, rejects, runs
from airflow_provider_crm.queries.expressions import of_dags
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

_LATEST = 500
"""Refused records that are looked at, the latest first."""
_HISTORY = 100
"""Last lines of a record in which earlier refusals are looked for."""
_LINES = 20_000
_RUNS = 200
_GROUPS = 10


@dataclass(frozen=True, slots=True)
class ReturningRefusal:
    """Records that were refused for one reason again and again.

    Attributes:
        account: The account.
        code: The cause.
        records: Number of records, of the latest `_LATEST`.
        attempts: Largest number of times that the CRM refused the same values of one of them; of rows that are refused
            before they are sent, the largest number of runs that did.
        reason: Why, of one of them.
        last_at: When it was last refused.
        run_key: A run that refused it.
    """

    account: str
    code: str
    records: int
    attempts: int
    reason: str
    last_at: dt.datetime
    run_key: str


@dataclass(frozen=True, slots=True)
class DriftingField:
    """A field of which the CRM accepted values, and shows others.

    Attributes:
        account: The account.
        field: The vendor's key.
        values: Number of values.
        last_at: When the last of them was written.
        run_key: The run that wrote it.
    """

    account: str
    field: str
    values: int
    last_at: dt.datetime
    run_key: str


def returning_refusals(connection: Connection, dags: Collection[str]) -> list[ReturningRefusal]:
    """Return the CRM's refusals that come back, of records that a readable Dag's run refused for that reason."""
    columns = (rejects.c.account, rejects.c.record_id, rejects.c.outcome, rejects.c.code, rejects.c.reason)
    again: sa.Select[Any] = sa.select(*columns, rejects.c.attempts, rejects.c.last_at)
    latest = again.where(rejects.c.attempts > 1).order_by(rejects.c.last_at.desc()).limit(_LATEST).subquery()
    same = [changes.c[name] == latest.c[name] for name in ("account", "record_id", "outcome", "code")]
    refused_by = sa.select(changes.c.run_key).where(*same, of_dags(connection, changes.c.run_key, dags))
    refused_by = refused_by.order_by(changes.c.id.desc()).limit(1).correlate(latest)
    query: sa.Select[Any] = sa.select(*latest.c, refused_by.scalar_subquery().label("run_key"))
    return _grouped(connection.execute(query.order_by(latest.c.last_at.desc())))


def returning_invalid(
    connection: Connection, dags: Collection[str], run_keys: Collection[str]
) -> list[ReturningRefusal]:
    """Return the rows that were refused before they were sent, by some runs and by earlier ones.

    Args:
        connection: To the ledger.
        dags: Ids of the Dags that the reader may read.
        run_keys: The last runs of syncs: what they no longer refuse has been mended.
    """
    if not run_keys:
        return []
    is_invalid = changes.c.outcome == OutcomeWord.INVALID.value
    columns = (changes.c.account, changes.c.record_id, changes.c.code, changes.c.reason, changes.c.run_key)
    lines: sa.Select[Any] = sa.select(*columns, changes.c.at.label("last_at"))
    lines = lines.where(changes.c.run_key.in_(run_keys), is_invalid, changes.c.record_id != "")
    latest = lines.limit(_LATEST).subquery()
    earlier = changes.alias("earlier")
    same = [earlier.c[name] == latest.c[name] for name in ("account", "record_id")]
    history = sa.select(earlier.c.run_key, earlier.c.outcome, earlier.c.code).where(*same)
    history = history.where(of_dags(connection, earlier.c.run_key, dags))
    recent = history.order_by(earlier.c.id.desc()).limit(_HISTORY).correlate(latest).subquery()
    refusals = sa.select(sa.func.count(recent.c.run_key.distinct())).where(
        recent.c.outcome == OutcomeWord.INVALID.value, recent.c.code == latest.c.code
    )
    query: sa.Select[Any] = sa.select(*latest.c, refusals.correlate(latest).scalar_subquery().label("attempts"))
    found = connection.execute(query.order_by(latest.c.last_at.desc()))
    return _grouped(row for row in found if row.attempts > 1)


def _grouped(rows: Iterable[Row[Any]]) -> list[ReturningRefusal]:
    """Return the records by account and code; each row is of one record, the last refused one first."""
    groups: dict[tuple[str, str], ReturningRefusal] = {}
    for row in rows:
        if row.run_key is None:
            continue
        key = (row.account, row.code)
        known = groups.get(key)
        groups[key] = ReturningRefusal(
            account=row.account,
            code=row.code,
            records=1 if known is None else known.records + 1,
            attempts=row.attempts if known is None else max(row.attempts, known.attempts),
            reason=row.reason if known is None else known.reason,
            last_at=row.last_at if known is None else known.last_at,
            run_key=row.run_key if known is None else known.run_key,
        )
    return sorted(groups.values(), key=lambda one: -one.records)[:_GROUPS]


def drift(connection: Connection, dags: Collection[str], since: dt.datetime) -> list[DriftingField]:
    """Return the fields whose values the CRM ignored, in the latest runs since a point in time."""
    ignored = runs.c.outcomes.contains(f'"{OutcomeWord.IGNORED.value}"')
    recent = sa.select(runs.c.run_key).where(of_dags(connection, runs.c.run_key, dags), runs.c.started_at >= since)
    recent = recent.where(ignored).order_by(runs.c.started_at.desc()).limit(_RUNS)
    keys = connection.execute(recent).scalars().all()
    if not keys:
        return []
    lines = sa.select(changes.c.account, changes.c.field, changes.c.run_key, changes.c.at)
    lines = lines.where(changes.c.run_key.in_(keys), changes.c.outcome == OutcomeWord.IGNORED.value)
    found = lines.limit(_LINES).subquery()
    last_at = sa.func.max(found.c.at, type_=found.c.at.type)
    grouped = sa.select(found.c.account, found.c.field, sa.func.count().label("number"), last_at.label("last_at"))
    grouped = grouped.add_columns(sa.func.max(found.c.run_key).label("run_key"))
    grouped = grouped.group_by(found.c.account, found.c.field).order_by(sa.literal_column("number").desc())
    rows = connection.execute(grouped.limit(_GROUPS))
    return [DriftingField(row.account, row.field, row.number, row.last_at, row.run_key) for row in rows]
