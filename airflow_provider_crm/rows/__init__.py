"""Turn DataFrames, files and cursors into updates; the only package that knows pandas.

Each column becomes a list of plain Python objects without loss (`cells`). Each distinct value is fitted to its field
once (`field_columns`), and the rows are put together from those lists (`reader`). Before that, rows can be divided
among several tasks (`shards`).

pandas, numpy and pyarrow are imported inside functions, so that a DAG file that imports an operator does not pay for
them.
"""

from airflow_provider_crm.rows.arrow import load_pandas
from airflow_provider_crm.rows.reader import FrameReader
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.rows.shards import Shard
from airflow_provider_crm.rows.sources import frame_of_rows, frames, is_in_memory, row_count

__all__ = ["ColumnRules", "FrameReader", "Shard", "frame_of_rows", "frames", "is_in_memory", "load_pandas", "row_count"]
