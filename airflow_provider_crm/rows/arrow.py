"""Read tables of Arrow, polars, DuckDB and other libraries that have Arrow's own interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.parquet import require_pyarrow

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]


_READ_AT_ONCE = 1 << 20


def arrow_frames(data: Any, chunk_rows: int) -> Iterator[pd.DataFrame]:  # noqa: ANN401 - of whatever library
    """Cut a table, or a stream of batches, into frames of Arrow's own types: a nullable int64 stays one.

    Raises:
        ConfigurationError: pyarrow is missing, or it cannot take the object for a table.
    """
    require_pyarrow(f"data is a {type(data).__name__}, which is read by Arrow")
    import pyarrow as pa

    try:
        stream = pa.RecordBatchReader.from_stream(data)
    except (ValueError, TypeError, NotImplementedError) as err:  # Arrow's own errors are among them
        msg = f"data is a {type(data).__name__}, which Arrow does not take for a table: {err}"
        raise ConfigurationError(msg) from err
    return _batch_frames(stream, chunk_rows)


def _batch_frames(stream: pa.RecordBatchReader, chunk_rows: int) -> Iterator[pd.DataFrame]:
    has_rows = False
    for batch in stream:
        for start in range(0, batch.num_rows, chunk_rows):
            has_rows = True
            yield frame_of_arrow(batch.slice(start, chunk_rows))
    if not has_rows:
        yield frame_of_arrow(stream.schema.empty_table())


def frame_of_arrow(table: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Return a frame of Arrow's types; pandas' metadata is left out, as it would hide index columns."""
    import pandas as pd

    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    return frame


def parquet_frames(raw: IO[bytes], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Read with Arrow types: a nullable int64 would become a float, and pandas' metadata would hide index columns.

    Files often are one large row group, which Arrow by default reads ahead as a whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    file = pq.ParquetFile(raw, pre_buffer=False, buffer_size=_READ_AT_ONCE)
    batch: pa.RecordBatch | pa.Table | None = None
    batches = file.iter_batches(chunk_rows, use_threads=False) if file.num_row_groups else ()  # pyarrow 18 refuses none
    for batch in batches:
        yield frame_of_arrow(batch)
        pa.default_memory_pool().release_unused()
    if batch is None:
        yield frame_of_arrow(file.schema_arrow.empty_table())


def load_pandas() -> None:
    """Import pandas, and with it pyarrow, in the calling thread.

    Call it in a long-lived thread before a short-lived one needs pandas. Airflow 3.3.1's constraints install
    pyarrow 25.0.0, which hangs or crashes once the thread that imported it has ended and another one allocates memory
    (https://github.com/apache/arrow/issues/50471).
    """
    import pandas as pd  # noqa: F401
