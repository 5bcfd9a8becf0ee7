"""Operators that write opportunities."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.assets import announce
from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, CrmError, TransientError
from airflow_provider_crm.frame import ColumnRules, frames
from airflow_provider_crm.guardrails import Measurement
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, hashed_keys, ledger_engine
from airflow_provider_crm.operators.guarded import held
from airflow_provider_crm.operators.links import CrmRunLink
from airflow_provider_crm.operators.metrics import count_run, metric_tags, time_waits
from airflow_provider_crm.operators.sources import FrameSource, PlanRowsSource, Work
from airflow_provider_crm.operators.spans import describe_run, span
from airflow_provider_crm.opportunity import FAILURES, TRANSIENT_FAILURES, Outcome, OutcomeWord, Update, ValueRules
from airflow_provider_crm.progress import Progress, Reading, Waits
from airflow_provider_crm.rejects import check_rejects_path, rejects_file
from airflow_provider_crm.report import Settled, SyncReport, Tally
from airflow_provider_crm.tolerance import Tolerance

if TYPE_CHECKING:
    import datetime as dt
    from contextlib import AbstractContextManager

    import pandas as pd
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from sqlalchemy.engine import Engine

    from airflow_provider_crm.account import Account
    from airflow_provider_crm.budget import Budget
    from airflow_provider_crm.guardrails import Guardrails
    from airflow_provider_crm.ledger import Ledger
    from airflow_provider_crm.openlineage import SourceLineage
    from airflow_provider_crm.operators.sources import Source
    from airflow_provider_crm.plan_store import PlanStore
    from airflow_provider_crm.push import Push
    from airflow_provider_crm.push_rules import PushRules
    from airflow_provider_crm.rejects import Write
    from airflow_provider_crm.session import Session
    from airflow_provider_crm.vendors import Catalogue

_PREVIEWED = 20
_LEASE_MARGIN = 30.0
_LONGEST_DEFERRAL = 86_400.0


class OpportunityOperator(BaseOperator):
    """What every operator that writes opportunities has in common: all but where the rows come from.

    All arguments are keyword-only; each is checked when the task runs, before the first call.

    Args:
        crm_conn_id: Connection of type `close` or `raze`; its type chooses the vendor.
        id_column: Column with the vendor's id of the opportunity; one row per opportunity.
        fields: Field by column: a canonical name (`deal_value` in major units, `deal_currency`, `stage`, `date_won`,
            `notes`, `responsible_user_id`) or the vendor's own.
        timezone: IANA zone in which dates are meant; default: the connection's. Without either, a date is never cut
            from a point in time.
        nulls: What a missing value means: "skip" leaves the field alone, "clear" empties it, "error" refuses the row;
            or one of these by column.
        rounding: How money is rounded, once, to the vendor's decimal places: "half-even", "half-up", "half-down",
            "up", "down", "ceiling" or "floor".
        on_duplicate: Two rows of one id: "error" refuses both, "last" writes the later.
        as_of: Column with the data time of each row; default: the run's partition date, else the end of its data
            interval, else its logical date, else the time it was asked for.
        max_rejected: Rows that may fail before the task does: a count (int) or a fraction (float).
        verify_echo: Compare the record that comes back with what was sent; a difference is the outcome `ignored`.
        concurrency: Rows in flight at once, at most; 1 to 64. How many there are is found on the way: as many as
            latency, budget and vendor bear.
        rejects_path: File of all rows that did not land, `.csv`, `.jsonl` or `.parquet`, on any object store.
        dry_run: Make every check and log the calls, send none that writes.
        date_won_default: In a run whose data is more than a day old, what a won stage without a date means: "server"
            (the vendor's today) or "as_of" (the date of the data). Left out, such a row is refused.
        defer_after: Seconds; a vendor that asks for a longer wait defers the task, which frees its worker slot.
        changes_only: Send only what the CRM is not known to hold already.
        retry_rejected: Send also the very values that the CRM has refused before.
        ledger_conn_id: Connection to the ledger's database; default: what `[crm] ledger_conn_id` names, else a SQLite
            file in the Airflow home. None goes without: every row is sent, and old data can overwrite newer.
        guardrails: Limits to what the run may do, checked before the first call that writes.
        capture_before: Read a record before it is written for the first time (one call more), so that
            `RevertOpportunityUpdatesOperator` can put back what stood there.
        budget_share: Part of the vendor's limit that all runs on one key together may use; the rest is left to people
            and other programs.
        backfill_budget_share: The same for a run of a backfill, which so leaves room to the runs of today.
    """

    template_fields: Sequence[str] = (
        "crm_conn_id",
        "id_column",
        "fields",
        "timezone",
        "nulls",
        "as_of",
        "rejects_path",
        "date_won_default",
        "ledger_conn_id",
    )
    ui_color = "#e4f0e8"
    operator_extra_links = (CrmRunLink(),)
    _engine: Engine | None = None
    _written: SyncReport | None = None
    _held: tuple[Measurement, ...] = ()
    _share: float

    def __init__(
        self,
        *,
        crm_conn_id: str,
        id_column: str,
        fields: Mapping[str, str],
        timezone: str | None = None,
        nulls: str | Mapping[str, str] = "skip",
        rounding: str = "half-even",
        on_duplicate: str = "error",
        as_of: str | None = None,
        max_rejected: float = 0,
        verify_echo: bool = True,
        concurrency: int = 64,
        rejects_path: str | None = None,
        dry_run: bool = False,
        date_won_default: str | None = None,
        defer_after: float = 60.0,
        changes_only: bool = True,
        retry_rejected: bool = False,
        ledger_conn_id: str | None = DEFAULT_LEDGER,
        guardrails: Guardrails | None = None,
        capture_before: bool = False,
        budget_share: float = 0.9,
        backfill_budget_share: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.crm_conn_id = crm_conn_id
        self.id_column = id_column
        self.fields = fields
        self.timezone = timezone
        self.nulls = nulls
        self.rounding = rounding
        self.on_duplicate = on_duplicate
        self.as_of = as_of
        self.max_rejected = max_rejected
        self.verify_echo = verify_echo
        self.concurrency = concurrency
        self.rejects_path = rejects_path
        self.sends = not dry_run
        self.date_won_default = date_won_default
        self.defer_after = defer_after
        self.changes_only = changes_only
        self.retry_rejected = retry_rejected
        self.ledger_conn_id = ledger_conn_id
        self.guardrails = guardrails
        self.capture_before = capture_before
        self.budget_share = budget_share
        self.backfill_budget_share = backfill_budget_share

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:
        """The rows, chunk by chunk."""
        raise NotImplementedError

    def total_rows(self) -> int | None:
        """How many rows there are, where that is known without reading them; else None."""
        return None

    def source_lineage(self) -> SourceLineage:
        """Where the rows come from, for OpenLineage; a frame or a list does not tell."""
        from airflow_provider_crm.openlineage import SourceLineage

        return SourceLineage()

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """What OpenLineage asks for when the task starts: its inputs, as the account is known only later."""
        return self.get_openlineage_facets_on_complete(None)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - part of OpenLineage's interface
        """What OpenLineage asks for when the task has ended, also by a failure."""
        from airflow_provider_crm.openlineage import run_lineage

        return run_lineage(self.source_lineage(), self.fields, self._written)

    def session_for(self, account: Account) -> Session:
        """The session of one run; a subclass may give it other retry rules or another clock."""
        from airflow_provider_crm.session import RetryRules, Session

        return Session(account, retry=RetryRules(defer_after=self.defer_after), budget=self._budget())

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the rows.

        Returns:
            The report, which is also in XCom when the task fails.

        Raises:
            AirflowFailException: The set-up is wrong, or too many rows failed for good: a retry would not help.
            AirflowException: Too many rows failed, some of them for reasons that pass.
        """
        return self.resume(context, settled="", report=None)

    def resume(
        self,
        context: Context,
        *,
        settled: str,
        report: dict[str, Any] | None,
        event: object = None,  # noqa: ARG002 - what the trigger passes
    ) -> dict[str, Any]:
        """Go on after a deferral.

        Args:
            context: Airflow's.
            settled: The rows that were settled before, as `report.Settled` writes them.
            report: The report of what was settled before.
            event: What the trigger passes; not needed.
        """
        try:
            self._share = self._budget_share(context)
            with span("crm.run"):
                return self._run(context, Settled(settled), report or {})
        # The sentence says all: a second traceback above Airflow's own would only hide it.
        except ConfigurationError as err:
            raise AirflowFailException(self._advised(str(err), err)) from None
        except CrmError as err:
            raise AirflowException(str(err)) from None
        finally:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _budget_share(self, context: Context) -> float:
        """The part of the vendor's limit that this run may use."""
        from airflow_provider_crm.budget import check_share

        share = check_share("budget_share", self.budget_share)
        backfill_share = check_share("backfill_budget_share", self.backfill_budget_share)
        return backfill_share if context["dag_run"].run_type == "backfill" else share

    def _budget(self) -> Budget:
        """What the run may use, shared through the ledger's database if there is one."""
        from airflow_provider_crm.budget import Budget, Clock

        engine = self._database() if self.sends else None
        if engine is None:
            return Budget(self._share)
        from airflow_provider_crm.budget_store import BudgetStore

        return Budget(self._share, BudgetStore(engine, Clock()))

    def _advised(self, message: str, err: CrmError | None) -> str:
        """The message with the connection to look at, if the vendor refused its key."""
        refused = isinstance(err, AuthenticationError)
        return f"{message} Check the key in connection {self.crm_conn_id!r}." if refused else message

    def _run(self, context: Context, settled: Settled, earlier: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider_crm.push import Push

        started = time.monotonic()
        tolerance = Tolerance(self.max_rejected)
        if self.rejects_path is not None:
            check_rejects_path(self.rejects_path)
        account = CrmHook.for_connection(self.crm_conn_id, ledger_conn_id=self.ledger_conn_id).account()
        timezone = self.timezone or account.timezone
        rules = self._push_rules(context, timezone)
        if self.capture_before:
            self._ledger_database()
        source = self.source(context, timezone, resumed=bool(earlier))
        anew = self._goes_through_all_rows_again(source)
        told = {} if anew else earlier
        with self.session_for(account) as session, self._rejects_file(told) as write:
            waits = Waits(session.clock)
            session.clock = waits.clock
            with span("crm.catalogue"):
                catalogue = session.catalogue(source.names)
            ledger = self._ledger(context, session, account.key(catalogue), catalogue)
            work = Work(session, catalogue, account.key(catalogue), rules, run_key(context), ledger)
            found = source.rows(work)
            rows: Iterable[Update | Outcome] = found.items
            if self.guardrails is not None and not earlier:
                rows = self._guarded(rows, context, work, source.names)
            rows = (row for row in rows if not settled.skip(row.record_id))
            push = Push(session, catalogue, rules, ledger, found.inspect)
            tally = Tally(
                write,
                failures=self._failures(),
                earlier=told,
                landed=earlier.get("outcomes", {}).get(OutcomeWord.UPDATED, 0) if anew else 0,
            )
            with span("crm.write"):
                for outcome in self._progress(tally, session).watch(self._outcomes(push, rows)):
                    if outcome.word is OutcomeWord.NOT_SENT and push.wait is not None:
                        continue
                    if not anew:
                        settled.add(outcome.record_id)
                    tally.add(outcome)
            report = SyncReport(
                run_key=run_key(context),
                vendor=account.vendor.name,
                account=account.key(catalogue),
                rows=tally.rows,
                calls=session.calls + earlier.get("calls", 0),
                seconds=time.monotonic() - started + earlier.get("seconds", 0.0),
                outcomes=tally.outcomes(),
                rejects=tuple(tally.rejects),
                rejects_path=self.rejects_path,
                budget=session.used(waited=waits.seconds).after(earlier.get("budget")),
                causes=tally.causes(),
                guardrails=self._held or tuple(map(Measurement.of, earlier.get("guardrails", ()))),
            )
        describe_run(report)
        tags = metric_tags(context, report.vendor)
        time_waits(waits.seconds, tags)
        if push.wait is not None:
            self._defer(push.wait, settled, report)
        count_run(report, tags)
        if ledger is not None:
            push.close(report.as_dict())
            if push.stopped is None:
                found.finish()
        self._conclude(context, report, push.stopped, tolerance)
        return report.as_dict()

    def _goes_through_all_rows_again(self, source: Source) -> bool:
        """Whether a task that was deferred starts over: the ledger then makes what landed cost nothing.

        Where it would not, the task has to carry along which rows are settled.
        """
        keeps = self.sends and self._database() is not None
        return keeps and self.changes_only and not self.retry_rejected and not source.inspects

    def source(self, context: Context, timezone: str | None, *, resumed: bool = False) -> Source:  # noqa: ARG002 - for subclasses
        """Where the rows come from: the frames, or what a subclass has instead.

        Args:
            context: Airflow's.
            timezone: IANA zone of the run, or None.
            resumed: Whether the task goes on after a deferral.
        """
        source = FrameSource(self.frames(context), self._columns(timezone), as_of_run(context))
        if source.empty:
            self.log.info("The data has no rows: nothing to write.")
        return source

    def _guarded(
        self, rows: Iterable[Update | Outcome], context: Context, work: Work, names: Sequence[str]
    ) -> Iterator[Update | Outcome]:
        """Pass the rows on once all of them are known to stay within the guardrails."""
        from airflow_provider_crm.guardrails import Guardrails
        from airflow_provider_crm.measure import Measured
        from airflow_provider_crm.spool import Spool

        guardrails, measured = self.guardrails or Guardrails(), Measured(names)
        guardrails.check()
        with Spool(rows) as spool:
            with span("crm.guardrails"):
                measured.add(spool)
                if guardrails.compares:
                    self.plan_store()  # makes the tables where a dry run is the first to ask
                    ledger = work.ledger or self._book(context, work.session, work.account, work.catalogue)
                    measured.compare(spool, work.session.account.vendor, work.catalogue, ledger)
                self._held = held(guardrails, measured, work)
            yield from spool

    def _columns(self, timezone: str | None) -> ColumnRules:
        return ColumnRules(
            id_column=self.id_column,
            fields=self.fields,
            nulls=self.nulls,
            on_duplicate=self.on_duplicate,
            as_of=self.as_of,
            values=ValueRules(timezone=timezone, rounding=self.rounding),
        )

    def _database(self) -> Engine | None:
        """The ledger's database, opened once and closed when the task ends; None for no ledger."""
        if self._engine is None:
            self._engine = ledger_engine(self.ledger_conn_id)
        return self._engine

    def plan_store(self) -> PlanStore:
        """Where plans are kept.

        Raises:
            ConfigurationError: If there is no ledger.
        """
        from airflow_provider_crm.plan_store import PlanStore

        return PlanStore(self._ledger_database())

    def _ledger_database(self) -> Engine:
        engine = self._database()
        if engine is None:
            msg = (
                "Plans, capture_before and the guardrails max_changed_fraction and max_total_delta need the ledger, "
                "and ledger_conn_id is None; name a connection to PostgreSQL or SQLite."
            )
            raise ConfigurationError(msg)
        return engine

    def _ledger(self, context: Context, session: Session, account: str, catalogue: Catalogue) -> Ledger | None:
        """The ledger in the hands of this try; a dry run needs none."""
        if not self.sends or self._database() is None:
            return None
        ledger = self._book(context, session, account, catalogue)
        ledger.open(as_of_run(context))
        return ledger

    def _book(self, context: Context, session: Session, account: str, catalogue: Catalogue) -> Ledger:
        from airflow_provider_crm.ledger import Ledger

        return Ledger(
            self._ledger_database(),
            account=account,
            run_key=run_key(context),
            lease=2 * session.account.timeout + _LEASE_MARGIN,
            clock=session.clock,
            hashed=hashed_keys(catalogue.fields),
        )

    def _push_rules(self, context: Context, timezone: str | None) -> PushRules:
        from airflow_provider_crm.push_rules import PushRules

        return PushRules(
            timezone=timezone,
            verify_echo=self.verify_echo,
            concurrency=self.concurrency,
            date_won_default=self.date_won_default,
            resumed=context["ti"].try_number > 1,
            interval_end=interval_end(context),
            changes_only=self.changes_only,
            retry_rejected=self.retry_rejected,
            capture_before=self.capture_before,
        )

    def _failures(self) -> frozenset[OutcomeWord]:
        return FAILURES if self.sends else FAILURES - {OutcomeWord.NOT_SENT}

    def _rejects_file(self, earlier: Mapping[str, Any]) -> AbstractContextManager[Write | None]:
        """The rejects file, opened for writing; after a deferral with what it held before."""
        if self.rejects_path is None:
            return nullcontext()
        path = object_path(self.rejects_path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            msg = f"rejects_path {self.rejects_path!r} cannot be written: {err}."
            raise ConfigurationError(msg) from err
        return rejects_file(path, resumed=bool(earlier))

    def _outcomes(self, push: Push, rows: Iterable[Update | Outcome]) -> Iterator[Outcome]:
        from airflow_provider_crm.push_row import shown_payload

        if self.sends:
            yield from push.run(rows)
            return
        for number, (outcome, calls) in enumerate(push.rehearse(rows)):
            if number < _PREVIEWED:
                for call in calls:
                    self.log.info("Would send %s %s %s", call.method, call.path, shown_payload(call, push.catalogue))
            yield outcome

    def _progress(self, tally: Tally, session: Session) -> Progress:
        """What says every few seconds how far the run is."""

        def reading() -> Reading:
            return Reading(tally.rows, tally.refused, session.calls, session.used().used)

        return Progress(reading, self.log.info, total=self.total_rows(), monotonic=session.clock.monotonic)

    def _defer(self, wait: float, settled: Settled, report: SyncReport) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.info("%s; the vendor asks for a wait of %.0f seconds: deferred.", report.summary(), wait)
        kwargs = {"settled": settled.text(), "report": report.as_dict()}
        delay = timedelta(seconds=min(wait, _LONGEST_DEFERRAL))
        self.defer(trigger=TimeDeltaTrigger(delay), method_name="resume", kwargs=kwargs)

    def _conclude(self, context: Context, report: SyncReport, stopped: CrmError | None, tolerance: Tolerance) -> None:
        """Store the report, then fail the task if rows did not land."""
        self._written = report if self.sends else None
        failed = [word for word in self._failures() if report.count(word)]
        told = report.failure_text() if failed or stopped is None else f"{stopped} {report.summary()}."
        message = self._advised(told, stopped)
        if stopped is not None or tolerance.exceeded(report.count(*failed), report.rows):
            context["ti"].xcom_push(key="return_value", value=report.as_dict())
            passes = isinstance(stopped, TransientError) or not TRANSIENT_FAILURES.isdisjoint(failed)
            if isinstance(stopped, ConfigurationError) or not passes:
                raise AirflowFailException(message)
            raise AirflowException(message)
        if self.sends:
            announce(context, self.outlets, report)
        self.log.info("%s in %.1f s with %d calls.", report.summary(), report.seconds, report.calls)


class UpdateOpportunityOperator(OpportunityOperator):
    """Write the rows of a frame, a list or a file into CRM opportunities; or apply a plan that was made of them.

    Args:
        data: A DataFrame, a list of dicts, the output of another task (`XComArg`), or a path to parquet, CSV or JSON
            lines on any object store. One row per opportunity.
        plan: Id of a plan, instead of `data`, `id_column` and `fields`: exactly that plan is written. Each record is
            read first (one call more), and one that the CRM changed since the plan, or that was in conflict in the
            plan itself, is not written.
        on_conflict: What becomes of such a record of a plan: "fail" (`rejected`, code `CONFLICT`), "skip" (`stale`, no
            failure) or "overwrite" (written all the same).
        id_column: See `OpportunityOperator`.
        fields: See `OpportunityOperator`.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own.
    """

    template_fields: Sequence[str] = ("data", "plan", *OpportunityOperator.template_fields)

    def __init__(
        self,
        *,
        data: Any = None,  # noqa: ANN401 - a frame, a list, a path or an XComArg
        plan: str | None = None,
        on_conflict: str = "fail",
        id_column: str = "",
        fields: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(id_column=id_column, fields=fields or {}, **kwargs)
        self.data = data
        self.plan = plan
        self.on_conflict = on_conflict

    def source(self, context: Context, timezone: str | None, *, resumed: bool = False) -> Source:
        """The data, or the plan.

        Raises:
            ConfigurationError: If both or neither are given.
        """
        if self.plan is None and self.data is None:
            msg = "data and plan are None; pass rows as data, or the id of a plan, such as plan.output['plan_id']."
            raise ConfigurationError(msg)
        if self.plan is None:
            return super().source(context, timezone, resumed=resumed)
        self._check_plan_arguments()
        store = self.plan_store()
        return PlanRowsSource(store, store.load(self.plan), self.on_conflict)

    def _check_plan_arguments(self) -> None:
        """Refuse what the plan has decided already."""
        from airflow_provider_crm.plan_apply import check_conflict_rule

        check_conflict_rule(self.on_conflict)
        others = {
            "data": self.data,
            "id_column": self.id_column or None,
            "fields": self.fields or None,
            "as_of": self.as_of,
            "guardrails": self.guardrails,
        }
        given = [name for name, value in others.items() if value is not None]
        if given:
            msg = f"plan is given, and so are {', '.join(given)}: those belong to PlanOpportunityUpdatesOperator."
            raise ConfigurationError(msg)
        if self.date_won_default == "as_of":
            msg = "date_won_default='as_of' would add to the plan; pass it to PlanOpportunityUpdatesOperator."
            raise ConfigurationError(msg)

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:  # noqa: ARG002 - part of the interface
        """The data, chunk by chunk."""
        is_url = isinstance(self.data, str) and "://" in self.data
        return frames(object_path(self.data) if is_url else self.data)

    def total_rows(self) -> int | None:
        """Rows of a frame or a list; a path does not tell."""
        return len(self.data) if hasattr(self.data, "__len__") and not isinstance(self.data, str) else None


def object_path(path: str) -> ObjectStoragePath:
    """A path on any object store.

    Raises:
        ConfigurationError: If no filesystem is known for its scheme.
    """
    try:
        return ObjectStoragePath(path)
    except ValueError as err:
        msg = f"The path {path!r} cannot be opened: {err}."
        raise ConfigurationError(msg) from err


def as_of_run(context: Context) -> dt.datetime | None:
    """Data time of a run: the first it has of partition date, end of data interval, logical date and run_after."""
    moments = (context.get("partition_date"), context.get("data_interval_end"), context.get("logical_date"))
    return next((moment for moment in moments if moment is not None), context["dag_run"].run_after)


def interval_end(context: Context) -> dt.datetime | None:
    """End of the data interval; None for a run whose interval is a mere moment."""
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return end if start != end else None


def run_key(context: Context) -> str:
    """Name of one run of one task, the same for all its tries: `dag/task/run`, with `[index]` for a mapped task."""
    ti = context["ti"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    return f"{ti.dag_id}/{ti.task_id}{index}/{ti.run_id}"
