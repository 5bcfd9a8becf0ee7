"""Plans in the ledger's database, and what a run wrote, read from the change log."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import uuid
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, plan_rows, plans, runs
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict, WrittenField, WrittenRecord
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.plan.stored_plan import (
    Plan,
    PlanDigest,
    plan_of,
    plan_row_of,
    row_values,
    storable_row,
    stored_plan,
)
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from airflow_provider_crm.database.database import Database

_ROWS_AT_ONCE = 500
_MAY_HAVE_LANDED = (OutcomeWord.UPDATED.value, OutcomeWord.UNKNOWN.value, OutcomeWord.FAILED.value)


class PlanStore:
    """Stores plans beside the ledger.

    Every method raises `LedgerUnavailableError` if the database cannot be reached or written.

    Args:
        database: Where they are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self, rows: Iterable[PlanRow], *, account: str, run_key: str, now: dt.datetime, reverts: str | None = None
    ) -> Plan:
        """Store a plan, as a whole or not at all.

        Args:
            rows: In order of row and field. They are read while the database is locked: have them ready.
            account: Name of the account.
            run_key: The run that made the plan.
            now: When.
            reverts: The run that it takes back, or None.
        """
        plan_id, digest = uuid.uuid4().hex, PlanDigest(account)
        source = iter(rows)
        with self._database.transaction() as connection:
            while batch := [storable_row(row) for row in islice(source, _ROWS_AT_ONCE)]:
                for row in batch:
                    digest.add(row)
                connection.execute(sa.insert(plan_rows), [row_values(plan_id, row) for row in batch])
            counts = {verdict.value: digest.counts[verdict.value] for verdict in PlanVerdict}
            plan = Plan(plan_id, account, run_key, reverts, digest.text(), digest.rows, counts, now)
            connection.execute(
                sa.insert(plans).values(
                    plan_id=plan_id,
                    account=account,
                    run_key=run_key,
                    reverts=reverts,
                    digest=plan.digest,
                    rows=plan.rows,
                    counts=json.dumps(counts),
                    created_at=now,
                )
            )
        return plan

    def load(self, plan_id: str) -> Plan:
        """Return the plan of that id.

        Raises:
            ConfigurationError: There is no such plan.
        """
        with self._database.transaction() as connection:
            plan = stored_plan(connection, plan_id)
        if plan is None:
            msg = (
                f"There is no plan {plan_id!r} in the ledger; pass the plan_id that the plan's task returned, such as "
                "plan.output['plan_id']."
            )
            raise ConfigurationError(msg)
        return plan

    def applied_by(self, run_key: str) -> Plan | None:
        """Return the newest plan that a run has begun to apply."""
        query = sa.select(plans).where(plans.c.applied_by == run_key).order_by(plans.c.created_at.desc()).limit(1)
        with self._database.transaction() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else plan_of(row)

    def rows(self, plan: Plan) -> Iterator[list[PlanRow]]:
        """Read the rows of a plan, in order, some hundreds at a time; never a part of a source's row."""
        for start in range(0, plan.rows, _ROWS_AT_ONCE):
            query = sa.select(plan_rows).where(
                plan_rows.c.plan_id == plan.plan_id,
                plan_rows.c.row_number >= start,
                plan_rows.c.row_number < start + _ROWS_AT_ONCE,
            )
            with self._database.transaction() as connection:
                found = [plan_row_of(row) for row in connection.execute(query)]
            # Sorted here: databases sort text in many ways.
            yield sorted(found, key=lambda row: (row.row, row.field))

    def copy(self, plan: Plan, digest: str) -> Spool[list[PlanRow]]:
        """Copy the rows of a plan into a temporary file, in one read, if they are those that the digest is of.

        This copy is applied: a later change of the rows in the database has no effect.

        Args:
            plan: As it was loaded.
            digest: Of the plan that was approved.

        Returns:
            The rows, some hundreds at a time; to be closed.

        Raises:
            ConfigurationError: The rows are others.
        """
        seen = PlanDigest(plan.account)
        copied = Spool(self._digested(plan, seen))
        if hmac.compare_digest(seen.text(), digest):
            return copied
        copied.close()
        msg = (
            f"Plan {plan.plan_id} is not the one that was approved: its rows have the digest {seen.text()}, approved "
            f"was {digest}. Nothing was written; plan again, and have it approved again."
        )
        raise ConfigurationError(msg, code="NOT_APPROVED")

    def _digested(self, plan: Plan, digest: PlanDigest) -> Iterator[list[PlanRow]]:
        """Read the rows of a plan, and add each to the digest."""
        for batch in self.rows(plan):
            for row in batch:
                digest.add(row)
            yield batch

    def begin(self, plan: Plan, run_key: str) -> None:
        """Note that a run applies the plan; no other one may from now on.

        Raises:
            ConfigurationError: If another run has begun before.
        """
        is_free_or_own = plans.c.applied_by.is_(None) | (plans.c.applied_by == run_key)
        update = sa.update(plans).where(plans.c.plan_id == plan.plan_id, is_free_or_own).values(applied_by=run_key)
        with self._database.transaction() as connection:
            updated = connection.execute(update).rowcount
        if not updated:
            applied_by = self.load(plan.plan_id).applied_by
            msg = f"Plan {plan.plan_id} was applied by {applied_by} already, and a plan is applied once; plan again."
            raise ConfigurationError(msg)

    def finish(self, plan: Plan, now: dt.datetime) -> None:
        """Note that all rows of a plan have their outcome."""
        with self._database.transaction() as connection:
            connection.execute(sa.update(plans).where(plans.c.plan_id == plan.plan_id).values(applied_at=now))

    def written_fields(self, run_key: str) -> tuple[str, ...]:
        """Return the vendor's keys that a run wrote, in any account."""
        query = sa.select(changes.c.field).where(changes.c.run_key == run_key, changes.c.field != "").distinct()
        with self._database.transaction() as connection:
            return tuple(sorted(connection.execute(query).scalars()))

    def written(self, run_key: str, account: str) -> Iterator[WrittenRecord]:
        """Read what a run wrote, or may have written, by record; the database is locked until all of it is read.

        Raises:
            ConfigurationError: If the ledger knows no such run of that account, or has pruned its changes.
        """
        of_run = (changes.c.run_key == run_key, changes.c.account == account)
        query = (
            sa.select(changes)
            .where(*of_run, changes.c.field != "", changes.c.outcome.in_(_MAY_HAVE_LANDED))
            .order_by(changes.c.record_id, changes.c.id)
        )
        with self._database.transaction() as connection:
            stored = sa.select(runs.c.pruned_at).where(runs.c.run_key == run_key, runs.c.account == account)
            run = connection.execute(stored).first()
            if run is None:
                raise ConfigurationError(self._unknown_run(connection, run_key, account))
            if run.pruned_at is not None:
                raise ConfigurationError(_pruned(run_key, run.pruned_at))
            found = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
            for record_id, rows in groupby(found, key=lambda row: row.record_id):
                yield WrittenRecord(record_id, _written(rows))

    @staticmethod
    def _unknown_run(connection: Connection, run_key: str, account: str) -> str:
        latest = sa.select(runs.c.run_key).where(runs.c.account == account).order_by(runs.c.started_at.desc()).limit(3)
        known = ", ".join(map(repr, connection.execute(latest).scalars())) or "none"
        return (
            f"The ledger has no run {run_key!r} of account {account!r}; a run key is 'dag/task/run', as in the "
            f"task's report. The latest: {known}."
        )


def _pruned(run_key: str, pruned_at: dt.datetime) -> str:
    return (
        f"The changes of run {run_key!r} were pruned on {pruned_at:%Y-%m-%d}, so that it cannot be undone; "
        "[crm] keep_changes_days says for how many days changes are kept."
    )


def _written(rows: Iterable[Row[Any]]) -> tuple[WrittenField, ...]:
    """Return what a run did to the fields of one record: the values before it wrote, and all values that it wrote.

    An attempt that failed may have landed or not. A value that was seen after it was there before, unless it is the
    very value of that attempt.
    """
    before: dict[str, str | None] = {}
    values: dict[str, list[str]] = {}
    for row in rows:
        written = values.setdefault(row.field, [])
        if row.before_known and row.before not in written:
            before.setdefault(row.field, row.before)
        written.append(row.after)
    return tuple(WrittenField(key, before.get(key), tuple(dict.fromkeys(values[key]))) for key in sorted(values))
