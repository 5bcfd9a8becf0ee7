"""DataFrames, files and cursors to updates: the only place that knows pandas.

A column is turned once into a list of plain Python objects that lose nothing (`cells`), each distinct value is fitted
to its field once, and the rows are put together from those lists (`reader`). Before that, rows can be dealt out to
several tasks (`shards`). pandas, numpy and pyarrow are imported inside functions: a DAG file that imports an operator
does not pay for them.
"""

from airflow_provider_crm.rows.objects import frame_of_rows, load_pandas
from airflow_provider_crm.rows.reader import FrameReader
from airflow_provider_crm.rows.rules import ColumnRules
from airflow_provider_crm.rows.shards import Shard
from airflow_provider_crm.rows.sources import frames, is_in_memory

__all__ = ["ColumnRules", "FrameReader", "Shard", "frame_of_rows", "frames", "is_in_memory", "load_pandas"]
