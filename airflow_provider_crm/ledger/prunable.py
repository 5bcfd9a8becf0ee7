"""What may be deleted from the ledger: the conditions, and how many rows they meet.

Field states are never touched, nor are plans that were not applied. A run's changes go together, once all of them are
old: what is left of a run can be undone as a whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, plan_reads, plan_rows, plans, rejects, runs, tries
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.ledger.fences import RUN_KEY

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database

_READS_KEPT = dt.timedelta(days=7)  # what a plan that is being made has read is used for a week
_CONNECT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Pruned:
    """Numbers of rows that were deleted, or that would be.

    Attributes:
        runs: Runs whose changes were deleted; the runs themselves stay.
        changes: Lines of the change log.
        tries: Tries of these runs.
        plan_rows: Rows of plans that were applied.
        plan_reads: Records that plans have read which were never completed.
        rejects: Refusals of rows that no run has had since.
    """

    runs: int = 0
    changes: int = 0
    tries: int = 0
    plan_rows: int = 0
    plan_reads: int = 0
    rejects: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        """Add the numbers up."""
        return Pruned(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def sentence(self) -> str:
        """Return the numbers as a part of a sentence."""
        return (
            f"{self.changes:,} changes and {self.tries:,} tries of {self.runs:,} runs, {self.plan_rows:,} rows of "
            f"applied plans, {self.plan_reads:,} reads of plans that were never completed, and {self.rejects:,} "
            "refusals of rows that no run has had since"
        )


def _account(table: sa.Table) -> sa.ColumnElement[str]:
    """Return the account as a condition that no index helps: nearly all lines have one, so that it would be slow."""
    return sa.func.coalesce(table.c.account, "")


@dataclass(frozen=True, slots=True)
class Prunable:
    """The conditions of what may be deleted.

    Attributes:
        now: The database's time.
        before: What is older than this may go.
    """

    now: dt.datetime
    before: dt.datetime

    @classmethod
    def since(cls, now: dt.datetime, keep_days: int) -> Prunable:
        """Return the conditions of what is older than some days."""
        return cls(now, now - dt.timedelta(days=keep_days))

    def run_keys(self, connection: Connection) -> Mapping[str, Sequence[str]]:
        """Return the runs that may be pruned, by account, the oldest first."""
        by_account: dict[str, list[str]] = {}
        query = sa.select(runs.c.account, runs.c.run_key).where(self.runs())
        for account, run_key in connection.execute(query.order_by(runs.c.account, runs.c.started_at)):
            by_account.setdefault(account, []).append(run_key)
        return by_account

    def runs(self) -> sa.ColumnElement[bool]:
        """Return whether a run may be pruned: it ended long ago, or was killed, and no open plan is about it."""
        wrote = sa.exists().where(
            changes.c.run_key == runs.c.run_key, _account(changes) == runs.c.account, changes.c.at >= self.before
        )
        ended = runs.c.finished_at < self.before
        silent = runs.c.finished_at.is_(None) & (runs.c.started_at < self.before) & ~wrote
        pruned = runs.c.pruned_at.is_not(None) & (
            sa.func.coalesce(runs.c.finished_at, runs.c.started_at) < runs.c.pruned_at
        )
        needed = [
            sa.exists().where(plans.c.account == runs.c.account, column == runs.c.run_key, plans.c.applied_at.is_(None))
            for column in (plans.c.run_key, plans.c.reverts, plans.c.applied_by)
        ]
        return (ended | silent) & ~pruned & ~sa.or_(*needed)

    def lines(self, account: str, run_keys: Sequence[str]) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of the changes of some runs."""
        return [changes.c.run_key.in_(run_keys), _account(changes) == account, changes.c.at < self.before]

    def commands(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of the changes that commands have logged, which are no runs."""
        return [changes.c.run_key == RUN_KEY, changes.c.at < self.before]

    def tries(self, account: str, run_keys: Sequence[str]) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of the tries of some runs."""
        return [tries.c.run_key.in_(run_keys), tries.c.account == account, tries.c.started_at < self.before]

    def plans(self) -> sa.ColumnElement[bool]:
        """Return whether the rows of a plan may go: it was applied long ago."""
        return plans.c.applied_at < self.before

    def reads(self) -> sa.ColumnElement[bool]:
        """Return whether no plan uses what was read any more."""
        return plan_reads.c.read_at < min(self.before, self.now - _READS_KEPT)

    def rejects(self) -> sa.ColumnElement[bool]:
        """Return whether a row was last refused long ago."""
        return rejects.c.last_at < self.before

    def came_since(self) -> sa.ColumnElement[bool]:
        """Return whether a run has had the row since: each logs a row that rests, and sends the others."""
        same = (changes.c.account == rejects.c.account, changes.c.record_id == rejects.c.record_id)
        return sa.exists().where(*same, changes.c.at >= self.before)


def count_prunable(database: Database, *, keep_days: int) -> Pruned:
    """Count what `prune` would delete, and change nothing; runs that write do not wait for this.

    Args:
        database: The ledger's.
        keep_days: Days for which changes are kept, at least 1.

    Raises:
        ConfigurationError: The number is below 1.
        LedgerUnavailableError: The database cannot be used.
    """
    check_days(keep_days)
    with database.transaction() as connection:
        old = Prunable.since(database.now(connection), keep_days)
    reading = database.dialect.reading_engine(database.engine.url, connect_seconds=_CONNECT_SECONDS, connections=1)
    try:
        with database.errors(), reading.connect() as connection:
            counted = Pruned(
                changes=_count(connection, changes, old.commands()),
                plan_rows=_count(
                    connection, plan_rows, [plan_rows.c.plan_id.in_(sa.select(plans.c.plan_id).where(old.plans()))]
                ),
                plan_reads=_count(connection, plan_reads, [old.reads()]),
                rejects=_count(connection, rejects, [old.rejects(), ~old.came_since()]),
            )
            for account, run_keys in old.run_keys(connection).items():
                for run_key in run_keys:
                    lines = _count(connection, changes, old.lines(account, [run_key]))
                    counted += Pruned(1, lines, _count(connection, tries, old.tries(account, [run_key])))
    finally:
        reading.dispose()
    return counted


def check_days(keep_days: int) -> None:
    """Refuse to keep nothing.

    Raises:
        ConfigurationError: The number is below 1.
    """
    if keep_days < 1:
        msg = f"Changes have to be kept for 1 day or more, not for {keep_days}. Nothing was deleted."
        raise ConfigurationError(msg)


def _count(connection: Connection, table: sa.Table, conditions: Sequence[sa.ColumnElement[bool]]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar_one()
