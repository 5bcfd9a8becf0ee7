"""Read tables of Arrow, polars, DuckDB and other libraries that have Arrow's own interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.parquet import require_pyarrow

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]


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
