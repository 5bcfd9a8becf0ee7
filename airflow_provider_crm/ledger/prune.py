"""Delete what the ledger need not keep for ever, while runs write: in short transactions, with pauses between them.

A run keeps its row, its report, and the time at which its changes were pruned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, plan_reads, plan_rows, plans, rejects, runs, tries
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.ledger.prunable import Prunable, Pruned, check_days

if TYPE_CHECKING:
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.database.database import Database

BATCH_ROWS = 10_000
"""Rows of one transaction, at most."""
_FIRST_BATCH, _SMALLEST_BATCH = 500, 100
_LONGEST_TRANSACTION = 0.1  # seconds; a batch that takes longer is followed by a smaller one
_SHORTEST_PAUSE = 0.11  # seconds; a process that waits for a SQLite file tries again ten times a second
_RUNS_AT_ONCE = 100


def prune(database: Database, *, keep_days: int, clock: Clock, batch_rows: int = BATCH_ROWS) -> Pruned:
    """Delete what is older than some days; runs may write at the same time.

    Args:
        database: The ledger's.
        keep_days: Days for which changes are kept, at least 1.
        clock: Time.
        batch_rows: Rows of one transaction, at most.

    Raises:
        ConfigurationError: A number is below 1.
        LedgerUnavailableError: The database cannot be used.
    """
    check_days(keep_days)
    if batch_rows < 1:
        msg = f"A batch has to have 1 row or more, not {batch_rows}. Nothing was deleted."
        raise ConfigurationError(msg)
    return sum(_Pruning(database, clock, keep_days, batch_rows).steps(), Pruned())


class _Pruning:
    """One pass over all tables.

    Args:
        database: The ledger's.
        clock: Time.
        keep_days: Days for which changes are kept.
        batch_rows: Rows of one transaction, at most.
    """

    def __init__(self, database: Database, clock: Clock, keep_days: int, batch_rows: int) -> None:
        self._database = database
        self._clock = clock
        self._largest = batch_rows
        self._batch = min(_FIRST_BATCH, batch_rows)
        with database.transaction() as connection:
            self._old = Prunable.since(database.now(connection), keep_days)

    def steps(self) -> Iterator[Pruned]:
        """Prune table after table; yield what the transactions have deleted."""
        with self._database.transaction() as connection:
            by_account = self._old.run_keys(connection)
            accounts = connection.execute(sa.select(rejects.c.account).distinct()).scalars().all()
            applied = connection.execute(sa.select(plans.c.plan_id, plans.c.rows).where(self._old.plans())).all()
        for account, run_keys in by_account.items():
            for first in range(0, len(run_keys), _RUNS_AT_ONCE):
                yield from self._runs(account, run_keys[first : first + _RUNS_AT_ONCE])
        yield from (Pruned(changes=number) for number in self._all(changes, (changes.c.id,), self._old.commands()))
        for plan_id, rows in applied:
            yield from self._plan_rows(plan_id, rows)
        key = (plan_reads.c.run_key, plan_reads.c.account, plan_reads.c.record_id)
        yield from (Pruned(plan_reads=number) for number in self._all(plan_reads, key, [self._old.reads()]))
        for account in accounts:
            yield from self._rejects(account)

    def _runs(self, account: str, run_keys: Sequence[str]) -> Iterator[Pruned]:
        """Mark some runs first, as a run of which a part is gone must not be undone; then delete their changes."""
        mine = (runs.c.account == account, runs.c.run_key.in_(run_keys), self._old.runs())
        mark = sa.update(runs).where(*mine).values(pruned_at=self._old.now).returning(runs.c.run_key)
        with self._database.transaction() as connection:
            marked = connection.execute(mark).scalars().all()  # without those that have begun again
        for number in self._all(changes, (changes.c.id,), self._old.lines(account, marked)):
            yield Pruned(changes=number)
        yield Pruned(runs=len(marked), tries=self._delete(tries, self._old.tries(account, marked)))

    def _plan_rows(self, plan_id: str, rows: int) -> Iterator[Pruned]:
        """Delete the rows of a plan, which stays with its digest and counts."""
        number, first = plan_rows.c.row_number, 0
        while first < rows:
            last = first + self._batch
            yield Pruned(
                plan_rows=self._delete(plan_rows, [plan_rows.c.plan_id == plan_id, number >= first, number < last])
            )
            first = last

    def _rejects(self, account: str) -> Iterator[Pruned]:
        """Look through the refusals of an account, in the order of their record ids."""
        last: str | None = ""
        old = (rejects.c.account == account, self._old.rejects())
        while last is not None:
            query = sa.select(rejects.c.record_id, self._old.came_since().label("came"))
            query = query.where(*old, rejects.c.record_id > last).order_by(rejects.c.record_id).limit(_SMALLEST_BATCH)
            with self._database.transaction() as connection:
                found = connection.execute(query).all()
            over = [row.record_id for row in found if not row.came]
            if over:
                yield Pruned(
                    rejects=self._delete(
                        rejects,
                        [*old, rejects.c.record_id.in_(over), ~self._old.came_since()],
                        lock=rejects.c.record_id,
                    )
                )
            last = found[-1].record_id if found else None

    def _all(
        self, table: sa.Table, key: Sequence[sa.ColumnElement[Any]], conditions: Sequence[sa.ColumnElement[bool]]
    ) -> Iterator[int]:
        """Delete all rows with some conditions, batch by batch; yield the numbers of rows."""
        number = size = 1
        while number == size:
            size = self._batch
            some = sa.select(*key).where(*conditions).limit(size)
            number = self._delete(table, [sa.tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)])
            yield number

    def _delete(
        self, table: sa.Table, conditions: Sequence[sa.ColumnElement[bool]], lock: sa.ColumnElement[str] | None = None
    ) -> int:
        """Delete some rows in one transaction, then let others write.

        Args:
            table: Of the rows.
            conditions: Of the rows.
            lock: The column in whose order runs lock such rows, if they do.
        """
        with self._database.transaction() as connection:
            began = self._clock.monotonic()
            if lock is not None:
                connection.execute(self._database.dialect.lock_rows(sa.select(lock).where(*conditions), lock))
            number = connection.execute(sa.delete(table).where(*conditions)).rowcount
        self._wait(self._clock.monotonic() - began)
        return number

    def _wait(self, seconds: float) -> None:
        """Fit the next batch to the time that the last one took; pause where others wait for the whole file."""
        if seconds > _LONGEST_TRANSACTION:
            self._batch = max(_SMALLEST_BATCH, int(self._batch * _LONGEST_TRANSACTION / seconds))
        elif seconds < _LONGEST_TRANSACTION / 2:
            self._batch = min(self._largest, self._batch * 2)
        self._batch = min(self._batch, self._largest)
        if self._database.dialect.is_file:
            self._clock.sleep(max(_SHORTEST_PAUSE, seconds))
