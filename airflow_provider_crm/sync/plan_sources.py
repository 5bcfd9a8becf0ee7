"""Read the rows of a run from stored plans: a plan that was approved, and the undo of an earlier run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.plan.apply import ANY_DIGEST, PlanSource, check_account
from airflow_provider_crm.plan.planner import Planner
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.plan.summary import PlanSummary
from airflow_provider_crm.plan.undo import UndoPlanner
from airflow_provider_crm.sync.row_stream import RowStream

if TYPE_CHECKING:
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.plan_row import PlanRow
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.plan.store import PlanStore
    from airflow_provider_crm.plan.stored_plan import Plan
    from airflow_provider_crm.sync.run_context import RunContext


class PlanRowsSource:
    """The rows of a stored plan as they were approved, and no others.

    The rows are read from the database once, when this is made. That copy is applied.

    Args:
        store: The store of plans.
        plan: The plan to apply.
        on_conflict: The treatment of records that the CRM changed on its own: "fail", "skip" or "overwrite".
        digest: The digest of the plan that was approved.

    Raises:
        ConfigurationError: The rows are not those that were approved.
    """

    inspects = True

    def __init__(self, store: PlanStore, plan: Plan, on_conflict: str, *, digest: str) -> None:
        self._copied = store.copy(plan, digest)
        self.names = tuple(sorted({row.field for batch in self._copied for row in batch if row.field}))
        self._store = store
        self._plan = plan
        self._on_conflict = on_conflict

    @classmethod
    def approved(cls, store: PlanStore, plan_id: str, on_conflict: str, *, digest: str | None) -> PlanRowsSource:
        """Return the rows of a plan whose digest the user names.

        Args:
            store: The store of plans.
            plan_id: The id of the plan.
            on_conflict: See the class.
            digest: The digest that was approved, or `ANY_DIGEST` for the rows that the plan has now.

        Raises:
            ConfigurationError: There is no such plan, no digest was named, or the rows have another one.
        """
        plan = store.load(plan_id)
        if digest is None:
            msg = (
                "plan is given without digest: pass the digest of the plan that was approved, such as "
                f"plan.output['digest'], or digest={ANY_DIGEST!r} to apply the rows that the plan has now."
            )
            raise ConfigurationError(msg)
        return cls(store, plan, on_conflict, digest=plan.digest if digest == ANY_DIGEST else digest)

    def rows(self, run_context: RunContext) -> RowStream:
        """Return the rows, after checking that the plan is this account's and that no other run has applied it."""
        check_account(self._plan, run_context.account)
        if run_context.ledger is not None:
            self._store.begin(self._plan, run_context.run_key)
        source = PlanSource(
            self._copied,
            self._plan,
            on_conflict=self._on_conflict,
            vendor=run_context.session.account.vendor,
            catalogue=run_context.catalogue,
            ledger=run_context.ledger,
        )
        return RowStream(source.read(), inspect=source.inspect, finish=partial(self._finish, run_context))

    def close(self) -> None:
        """Delete the copy of the rows."""
        self._copied.close()

    def _finish(self, run_context: RunContext) -> None:
        self._store.finish(self._plan, run_context.session.clock.now())


class UndoSource:
    """The values that records had before a run, to be written back.

    Args:
        store: The store of plans and of the change log.
        reverts: Key of the run to undo.
        on_conflict: The treatment of records that no longer have the values of the run: "fail" or "skip".
        resumed: Whether this run has made its plan before, and goes on applying it.
    """

    inspects = True

    def __init__(self, store: PlanStore, reverts: str, on_conflict: str, *, resumed: bool = False) -> None:
        self.names = store.written_fields(reverts)
        self._store = store
        self._reverts = reverts
        self._on_conflict = on_conflict
        self._resumed = resumed
        self._applied: PlanRowsSource | None = None

    def rows(self, run_context: RunContext) -> RowStream:
        """Store the plan, and return its rows."""
        plan = self._store.applied_by(run_context.run_key) if self._resumed else None
        if plan is None:
            plan, _ = self.plan(run_context)
        self._applied = PlanRowsSource(self._store, plan, self._on_conflict, digest=plan.digest)
        return self._applied.rows(run_context)

    def plan(self, run_context: RunContext) -> tuple[Plan, str]:
        """Compare the values of the run with those of the CRM, and store the plan; return it with its summary."""
        ledger, reads = _ledger_and_reads(run_context)
        session, concurrency = run_context.session, run_context.rules.concurrency
        planner = UndoPlanner(session, run_context.catalogue, ledger, concurrency, reads)
        with (
            Spool(self._store.written(self._reverts, run_context.account)) as written,
            Spool(planner.plan(written, session.clock.now())) as rows,
        ):
            return store_plan(self._store, rows, run_context, reverts=self._reverts)

    def close(self) -> None:
        """Delete the copy of the plan's rows."""
        if self._applied is not None:
            self._applied.close()


def planner_of(run_context: RunContext) -> Planner:
    """Return the planner, which compares rows with the CRM.

    Raises:
        TypeError: There is no ledger, which every plan needs.
    """
    return Planner(run_context.session, run_context.catalogue, run_context.rules, *_ledger_and_reads(run_context))


def _ledger_and_reads(run_context: RunContext) -> tuple[Ledger, PlanReads]:
    """Return the ledger, which every plan needs, and the store of the records that a plan reads."""
    if run_context.ledger is None or run_context.reads is None:
        raise TypeError(run_context.run_key)
    return run_context.ledger, run_context.reads


def store_plan(
    store: PlanStore, rows: Iterable[PlanRow], run_context: RunContext, *, reverts: str | None = None
) -> tuple[Plan, str]:
    """Store a plan; return it with its summary for a person.

    Args:
        store: The store of plans.
        rows: The rows of the plan; they are iterated over twice.
        run_context: The run that makes the plan.
        reverts: The run that the plan undoes, or None.
    """
    summary = PlanSummary(run_context.catalogue)
    for row in rows:
        summary.add(row)
    now = run_context.session.clock.now()
    plan = store.save(rows, account=run_context.account, run_key=run_context.run_key, now=now, reverts=reverts)
    if run_context.reads is not None:
        run_context.reads.clear()
    return plan, summary.text(plan)
