"""Where the rows of a run come from: a frame, or a plan that was stored before."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.sync.ends import source_error

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from airflow_provider_crm.plan.planner import PlanRow
    from airflow_provider_crm.plan.store import Plan, PlanStore
    from airflow_provider_crm.push.run import Inspect
    from airflow_provider_crm.sync.run_context import RunContext
    from airflow_provider_crm.values.opportunity import Outcome, Update


def _nothing() -> None:
    """What most sources do when all rows have their outcome."""


@dataclass(frozen=True, slots=True)
class RowStream:
    """The rows of a run.

    Attributes:
        items: Updates and outcomes, in order.
        inspect: Looks at each record before it is written, see `Push`.
        finish: To be called when every row has its outcome.
    """

    items: Iterable[Update | Outcome]
    inspect: Inspect | None = None
    finish: Callable[[], None] = _nothing


class Source(Protocol):
    """Where rows come from; made before the first call, and read after it."""

    names: tuple[str, ...]
    """The fields that the rows are about, as far as the vendor has to be asked about them."""
    inspects: bool
    """Whether each record is read before it is written."""

    def rows(self, work: RunContext) -> RowStream:
        """The rows.

        Raises:
            ConfigurationError: They do not fit the account.
        """
        ...


class FrameSource:
    """Rows of frames.

    Args:
        frames: The data, chunk by chunk; the first one is read at once.
        columns: What is mapped.
        as_of: Data time of rows that do not tell their own.

    Attributes:
        empty: Whether there are no rows at all.
    """

    inspects = False

    def __init__(self, frames: Iterator[pd.DataFrame], columns: ColumnRules, as_of: dt.datetime | None) -> None:
        self.names = tuple(columns.fields.values())
        self._columns = columns
        self._as_of = as_of
        self._frames = _checked(frames, columns)
        try:
            self._first = next(self._frames, None)
        except Exception as err:
            error = source_error(err, 0)
            if error is err:
                raise
            raise error from err
        self.empty = self._first is None

    def rows(self, work: RunContext) -> RowStream:
        """The rows, one by one."""
        from airflow_provider_crm.push.rules import check_fields

        vendor = work.session.account.vendor
        check_fields(self._columns.fields, vendor, work.catalogue)
        reader = FrameReader(
            self._columns,
            work.catalogue.fields,
            self._as_of,
            canonical_id=vendor.canonical_id,
            now=work.session.clock.now,
        )
        return RowStream(self._read(reader, work))

    def _read(self, reader: FrameReader, work: RunContext) -> Iterator[Update | Outcome]:
        """Read all frames, and warn of the texts that were taken for missing values."""
        for frame in _chain(self._first, self._frames):
            yield from reader.read(frame)
        for sentence in reader.warnings():
            work.warnings.add(sentence)


class PlanRowsSource:
    """The rows of a stored plan as they were approved, and no others.

    The rows are read from the database once, when this is made. What is applied is that copy.

    Args:
        store: Where it is.
        plan: Which.
        on_conflict: What becomes of records that the CRM changed on its own: "fail", "skip" or "overwrite".
        digest: Of the plan that was approved.

    Raises:
        ConfigurationError: The rows are not those that were approved.
    """

    inspects = True

    def __init__(self, store: PlanStore, plan: Plan, on_conflict: str, *, digest: str) -> None:
        self._copied = store.copy(plan, digest)
        weakref.finalize(self, self._copied.close)
        self.names = tuple(sorted({row.field for batch in self._copied for row in batch if row.field}))
        self._store = store
        self._plan = plan
        self._on_conflict = on_conflict

    def rows(self, work: RunContext) -> RowStream:
        """The rows, once the plan is known to be this account's, and not applied by another run."""
        from airflow_provider_crm.plan.apply import PlanSource, check_account

        check_account(self._plan, work.account)
        if work.ledger is not None:
            self._store.begin(self._plan, work.run_key)
        source = PlanSource(
            self._copied,
            self._plan,
            on_conflict=self._on_conflict,
            vendor=work.session.account.vendor,
            catalogue=work.catalogue,
            ledger=work.ledger,
        )
        return RowStream(source.read(), source.inspect, self._finish(work))

    def _finish(self, work: RunContext) -> Callable[[], None]:
        return lambda: self._store.finish(self._plan, work.session.clock.now())


class UndoSource:
    """What stood before a run, to be put back.

    Args:
        store: Where plans and the change log are.
        reverts: Key of the run to take back.
        on_conflict: What becomes of records that no longer hold what the run wrote: "fail" or "skip".
        resumed: Whether this run has made its plan before, and goes on applying it.
    """

    inspects = True

    def __init__(self, store: PlanStore, reverts: str, on_conflict: str, *, resumed: bool = False) -> None:
        self.names = store.written_fields(reverts)
        self._store = store
        self._reverts = reverts
        self._on_conflict = on_conflict
        self._resumed = resumed

    def rows(self, work: RunContext) -> RowStream:
        """The rows of the plan, which is stored first."""
        plan = self._store.applied_by(work.run_key) if self._resumed else None
        if plan is None:
            plan, _ = self.plan(work)
        return PlanRowsSource(self._store, plan, self._on_conflict, digest=plan.digest).rows(work)

    def plan(self, work: RunContext) -> tuple[Plan, str]:
        """Store the plan; returns it and its summary."""
        from airflow_provider_crm.plan.spool import Spool

        now, planner = work.session.clock.now(), work.planner()
        with (
            Spool(self._store.written(self._reverts, work.account)) as written,
            Spool(planner.undo(written, now)) as rows,
        ):
            return stored(self._store, rows, work, reverts=self._reverts)


def stored(
    store: PlanStore, rows: Iterable[PlanRow], work: RunContext, *, reverts: str | None = None
) -> tuple[Plan, str]:
    """Store a plan, and sum it up for a person.

    Args:
        store: Where to.
        rows: Ready to be gone through twice.
        work: The run that makes the plan.
        reverts: The run that it takes back, or None.
    """
    from airflow_provider_crm.plan.summary import PlanSummary

    summary = PlanSummary(work.session.account.vendor, work.catalogue)
    for row in rows:
        summary.add(row)
    plan = store.save(rows, account=work.account, run_key=work.run_key, now=work.session.clock.now(), reverts=reverts)
    if work.reads is not None:
        work.reads.clear()
    return plan, summary.text(plan)


def mapped_columns(source: Iterator[pd.DataFrame], columns: ColumnRules) -> Iterator[pd.DataFrame]:
    """Check each frame's columns, and leave out those that are not mapped, so that they need not be kept."""
    mapped = {columns.id_column, *columns.fields, *([] if columns.as_of is None else [columns.as_of])}
    for frame in source:
        if len(frame.columns):
            columns.check(list(frame.columns), list(frame.index.names))
        yield frame[[name for name in frame.columns if name in mapped]]


def _checked(source: Iterator[pd.DataFrame], columns: ColumnRules) -> Iterator[pd.DataFrame]:
    """Check each chunk's columns; chunks without rows are dropped."""
    for frame in source:
        if len(frame.columns):
            columns.check(list(frame.columns), list(frame.index.names))
        if len(frame):
            yield frame


def _chain(first: pd.DataFrame | None, rest: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    if first is not None:
        yield first
    yield from rest
