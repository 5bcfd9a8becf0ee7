"""Read the rows of a run from frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from airflow_provider_crm.push.record_keys import KeyResolver
from airflow_provider_crm.push.rules import check_fields
from airflow_provider_crm.rows import ColumnRules, FrameReader, load_pandas
from airflow_provider_crm.sync.ends import source_error
from airflow_provider_crm.sync.read_ahead import ReadAhead
from airflow_provider_crm.sync.row_stream import RowStream

if TYPE_CHECKING:
    import pandas as pd

    from airflow_provider_crm.sync.data_time import DataTime
    from airflow_provider_crm.sync.run_context import RunContext
    from airflow_provider_crm.values.opportunity import Outcome, Update


class FrameSource:
    """Rows of frames.

    Args:
        frames: Returns the data, chunk by chunk; the first chunk is read at once.
        columns: The mapping of columns to fields.
        data_time: The data time of rows that have none of their own.
        id_field: The field whose values the id column has; None if it has record ids.
        on_missing: What becomes of a row whose value no opportunity has, see `KeyResolver`.
        in_memory: Whether all rows are in memory already; else they are read ahead, so that their source is closed
            early.
        total: Number of all rows, or None where it is not known before they are read.
    """

    inspects = False

    def __init__(
        self,
        frames: Callable[[], Iterator[pd.DataFrame]],
        columns: ColumnRules,
        data_time: DataTime,
        *,
        id_field: str | None = None,
        on_missing: str = "error",
        in_memory: bool = False,
        total: int | None = None,
    ) -> None:
        self.names = tuple(columns.fields.values())
        self._columns = columns
        self._data_time = data_time
        self._id_field = id_field
        self._on_missing = on_missing
        self._total = total
        self._open = ExitStack()
        if in_memory:
            read = frames()
        else:
            load_pandas()
            read = self._open.enter_context(ReadAhead(lambda: _mapped_columns(frames(), columns)))
        self._frames = _checked(read, columns)
        try:
            self._first = self._first_frame()
        except BaseException:
            self.close()
            raise

    def rows(self, run_context: RunContext) -> RowStream:
        """Return the rows, one by one."""
        if self._data_time.doubt and self._columns.as_of is None:
            run_context.warnings.add(self._data_time.doubt)
        vendor = run_context.session.account.vendor
        check_fields(self._columns.fields, vendor, run_context.catalogue)
        reader = FrameReader(
            self._columns,
            run_context.catalogue.fields,
            self._data_time.as_of,
            canonical_id=vendor.canonical_id if self._id_field is None else str,
            now=run_context.session.clock.now,
        )
        rows = self._read(reader, run_context)
        if self._id_field is not None:
            session, catalogue, ledger = run_context.session, run_context.catalogue, run_context.ledger
            resolver = KeyResolver(
                session,
                catalogue,
                ledger,
                id_field=self._id_field,
                on_missing=self._on_missing,
                concurrency=run_context.rules.concurrency,
            )
            rows = resolver.resolve(rows)
        return RowStream(rows, total=self._total)

    def close(self) -> None:
        """Stop reading ahead, which closes the cursor or file."""
        self._open.close()

    def _first_frame(self) -> pd.DataFrame | None:
        try:
            return next(self._frames, None)
        except Exception as err:
            error = source_error(err, 0)
            if error is err:
                raise
            raise error from err

    def _read(self, reader: FrameReader, run_context: RunContext) -> Iterator[Update | Outcome]:
        """Read all frames, and warn of the texts that were read as missing values."""
        if self._first is not None:
            yield from reader.read(self._first)
        for frame in self._frames:
            yield from reader.read(frame)
        for sentence in reader.warnings():
            run_context.warnings.add(sentence)


def _mapped_columns(frames: Iterator[pd.DataFrame], columns: ColumnRules) -> Iterator[pd.DataFrame]:
    """Check each frame's columns, and drop those that are not mapped, so that they take no memory."""
    mapped = set(columns.used)
    for frame in frames:
        if len(frame.columns):
            columns.check(list(frame.columns), list(frame.index.names))
        yield frame[[name for name in frame.columns if name in mapped]]


def _checked(frames: Iterator[pd.DataFrame], columns: ColumnRules) -> Iterator[pd.DataFrame]:
    """Check each frame's columns, and drop frames without rows."""
    for frame in frames:
        if len(frame.columns):
            columns.check(list(frame.columns), list(frame.index.names))
        if len(frame):
            yield frame
