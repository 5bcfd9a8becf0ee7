"""Operators that write opportunities."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, CrmError
from airflow_provider_crm.frame import ColumnRules, FrameReader, frames
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.opportunity import FAILURES, TRANSIENT_FAILURES, Outcome, OutcomeWord, Update, ValueRules
from airflow_provider_crm.report import Settled, SyncReport, Tally, Tolerance, check_rejects_path, reopened

if TYPE_CHECKING:
    import datetime as dt
    from contextlib import AbstractContextManager

    import pandas as pd
    from airflow.sdk import Context

    from airflow_provider_crm.push import Push, PushRules
    from airflow_provider_crm.session import Account, Session

_PREVIEWED = 20
_PROGRESS_SECONDS = 10.0
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
        concurrency: Rows in flight at once, at most; 1 to 64.
        rejects_path: File of all rows that did not land, `.csv` or `.jsonl`, on any object store.
        dry_run: Make every check and log the calls, send none that writes.
        date_won_default: In a run whose data is more than a day old, what a won stage without a date means: "server"
            (the vendor's today) or "as_of" (the date of the data). Left out, such a row is refused.
        defer_after: Seconds; a vendor that asks for a longer wait defers the task, which frees its worker slot.
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
    )
    ui_color = "#e4f0e8"

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
        concurrency: int = 8,
        rejects_path: str | None = None,
        dry_run: bool = False,
        date_won_default: str | None = None,
        defer_after: float = 60.0,
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

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:
        """The rows, chunk by chunk."""
        raise NotImplementedError

    def session_for(self, account: Account) -> Session:
        """The session of one run; a subclass may give it other retry rules or another clock."""
        from airflow_provider_crm.session import RetryRules, Session

        return Session(account, retry=RetryRules(defer_after=self.defer_after))

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
            return self._run(context, Settled(settled), report or {})
        # The sentence says all: a second traceback above Airflow's own would only hide it.
        except ConfigurationError as err:
            raise AirflowFailException(self._advised(str(err), err)) from None
        except CrmError as err:
            raise AirflowException(str(err)) from None

    def _advised(self, message: str, err: CrmError | None) -> str:
        """The message with the connection to look at, if the vendor refused its key."""
        refused = isinstance(err, AuthenticationError)
        return f"{message} Check the key in connection {self.crm_conn_id!r}." if refused else message

    def _run(self, context: Context, settled: Settled, earlier: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider_crm.push import Push, check_fields

        started = time.monotonic()
        tolerance = Tolerance(self.max_rejected)
        if self.rejects_path is not None:
            check_rejects_path(self.rejects_path)
        account = CrmHook.for_connection(self.crm_conn_id).account()
        timezone = self.timezone or account.timezone
        columns = self._columns(timezone)
        rules = self._push_rules(context, timezone)
        frames = _checked(self.frames(context), columns)
        first = next(frames, None)
        if first is None:
            self.log.info("The data has no rows: nothing to write.")
        with self.session_for(account) as session, self._rejects_file(earlier) as file:
            catalogue = session.catalogue(tuple(columns.fields.values()))
            check_fields(columns.fields, account.vendor, catalogue)
            reader = FrameReader(columns, catalogue.fields, as_of_run(context))
            rows = (
                row for frame in _chain(first, frames) for row in reader.read(frame) if not settled.skip(row.record_id)
            )
            push = Push(session, catalogue, rules)
            tally = Tally(
                file, suffix=PurePath(self.rejects_path or "").suffix, failures=self._failures(), earlier=earlier
            )
            for outcome in self._progress(self._outcomes(push, rows), tally):
                if outcome.word is OutcomeWord.NOT_SENT and push.wait is not None:
                    continue
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
            )
        if push.wait is not None:
            self._defer(push.wait, settled, report)
        self._conclude(context, report, push.stopped, tolerance)
        return report.as_dict()

    def _columns(self, timezone: str | None) -> ColumnRules:
        return ColumnRules(
            id_column=self.id_column,
            fields=self.fields,
            nulls=self.nulls,
            on_duplicate=self.on_duplicate,
            as_of=self.as_of,
            values=ValueRules(timezone=timezone, rounding=self.rounding),
        )

    def _push_rules(self, context: Context, timezone: str | None) -> PushRules:
        from airflow_provider_crm.push import PushRules

        return PushRules(
            timezone=timezone,
            verify_echo=self.verify_echo,
            concurrency=self.concurrency,
            date_won_default=self.date_won_default,
            resumed=context["ti"].try_number > 1,
            interval_end=interval_end(context),
        )

    def _failures(self) -> frozenset[OutcomeWord]:
        return FAILURES if self.sends else FAILURES - {OutcomeWord.NOT_SENT}

    def _rejects_file(self, earlier: Mapping[str, Any]) -> AbstractContextManager[IO[str] | None]:
        """The rejects file, opened for writing; after a deferral with what it held before."""
        if self.rejects_path is None:
            return nullcontext()
        path = object_path(self.rejects_path)
        try:
            before = path.read_text() if earlier else ""
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8", newline="")  # type: ignore[no-untyped-call]
        except OSError as err:
            msg = f"rejects_path {self.rejects_path!r} cannot be written: {err}."
            raise ConfigurationError(msg) from err
        return reopened(file, before)

    def _outcomes(self, push: Push, rows: Iterable[Update | Outcome]) -> Iterator[Outcome]:
        from airflow_provider_crm.push import shown_payload

        if self.sends:
            yield from push.run(rows)
            return
        for number, (outcome, calls) in enumerate(push.rehearse(rows)):
            if number < _PREVIEWED:
                for call in calls:
                    self.log.info("Would send %s %s %s", call.method, call.path, shown_payload(call, push.catalogue))
            yield outcome

    def _progress(self, outcomes: Iterable[Outcome], tally: Tally) -> Iterator[Outcome]:
        """Pass outcomes on, and say every few seconds how far the run is."""
        told = time.monotonic()
        for outcome in outcomes:
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                self.log.info("%d rows so far: %s", tally.rows, tally.outcomes())
            yield outcome

    def _defer(self, wait: float, settled: Settled, report: SyncReport) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.info("%s; the vendor asks for a wait of %.0f seconds: deferred.", report.summary(), wait)
        kwargs = {"settled": settled.text(), "report": report.as_dict()}
        delay = timedelta(seconds=min(wait, _LONGEST_DEFERRAL))
        self.defer(trigger=TimeDeltaTrigger(delay), method_name="resume", kwargs=kwargs)

    def _conclude(self, context: Context, report: SyncReport, stopped: CrmError | None, tolerance: Tolerance) -> None:
        """Store the report, then fail the task if rows did not land."""
        failed = [word for word in self._failures() if report.count(word)]
        message = self._advised(report.failure_text(), stopped)
        if stopped is not None or tolerance.exceeded(report.count(*failed), report.rows):
            context["ti"].xcom_push(key="return_value", value=report.as_dict())
            if isinstance(stopped, ConfigurationError) or TRANSIENT_FAILURES.isdisjoint(failed):
                raise AirflowFailException(message)
            raise AirflowException(message)
        self.log.info("%s in %.1f s with %d calls.", report.summary(), report.seconds, report.calls)


class UpdateOpportunityOperator(OpportunityOperator):
    """Write the rows of a frame, a list or a file into CRM opportunities.

    Args:
        data: A DataFrame, a list of dicts, the output of another task (`XComArg`), or a path to parquet, CSV or JSON
            lines on any object store. One row per opportunity.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own.
    """

    template_fields: Sequence[str] = ("data", *OpportunityOperator.template_fields)

    def __init__(self, *, data: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a frame, a list, a path or an XComArg
        super().__init__(**kwargs)
        self.data = data

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:  # noqa: ARG002 - part of the interface
        """The data, chunk by chunk."""
        is_url = isinstance(self.data, str) and "://" in self.data
        return frames(object_path(self.data) if is_url else self.data)


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


def _checked(source: Iterator[pd.DataFrame], columns: ColumnRules) -> Iterator[pd.DataFrame]:
    """Check each chunk's columns; chunks without rows are dropped."""
    for frame in source:
        if len(frame.columns):
            columns.check(list(frame.columns))
        if len(frame):
            yield frame


def _chain(first: pd.DataFrame | None, rest: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    if first is not None:
        yield first
    yield from rest
