"""Write the rows of a warehouse query into CRM opportunities, chunk by chunk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.operators.opportunity_operator import OpportunityOperator

if TYPE_CHECKING:
    import pandas as pd
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.sdk import Context

    from airflow_provider_crm.sync.arguments import Check
    from airflow_provider_crm.sync.run_context import Source
    from airflow_provider_crm.sync.task_run import Segment

_QUERY = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/)*(SELECT|VALUES|TABLE|WITH)\b", re.IGNORECASE | re.DOTALL)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


class SqlToOpportunityOperator(OpportunityOperator):
    """Write the rows of a query into CRM opportunities.

    One query can be shared by several tasks, on as many workers as the executor has:

    ```python
    SqlToOpportunityOperator.partial(task_id="deal_values", ..., shards=8).expand(shard=list(range(8)))
    ```

    (Write the `list`: Airflow serializes a bare `range` as text.)

    Each task reads the whole query and keeps the rows whose record id belongs to its shard: the same rows on every
    machine, in any order of the rows. The report, `max_rejected`, `guardrails`, `concurrency` and the row numbers in
    reasons are those of one task and its own rows. `rejects_path` is a file per task: write `{{ ti.map_index }}` into
    it. With more than one machine the ledger has to be in PostgreSQL.

    Args:
        sql: The query; templated, also from a `.sql` file. One row per opportunity.
        sql_conn_id: Any connection whose hook is a common-sql `DbApiHook`.
        parameters: Values for the query's placeholders.
        chunk_rows: Rows fetched at once.
        shard: Number of the part of the rows that this task writes, from 0; a whole number, also as text from a
            template. Default: all rows.
        shards: Number of tasks that share the rows, the same for all of them; a whole number, also as text.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own.
    """

    template_fields: Sequence[str] = (
        "sql",
        "sql_conn_id",
        "parameters",
        "shard",
        "shards",
        *OpportunityOperator.template_fields,
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow's own form

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Sequence[Any] | dict[str, Any] | None = None,
        chunk_rows: int = 10_000,
        shard: int | str | None = None,
        shards: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.chunk_rows = chunk_rows
        self.shard = shard
        self.shards = shards

    def argument_checks(self) -> Mapping[str, Check | None]:
        """Return the check of each argument by its name."""
        from airflow_provider_crm.sync.arguments import QUERY

        return {**super().argument_checks(), **QUERY}

    def source(self, segment: Segment) -> Source:
        """Open the query."""
        if self.sends:
            segment.ledger.set_up_file()
        return super().source(segment)

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:  # noqa: ARG002 - part of the interface
        """Return the rows of this task's shard, or all rows, chunk by chunk; each value is the database's own.

        Raises:
            ConfigurationError: If the connection runs no SQL, the statement returns no result, or there is no such
                shard.
        """
        from airflow_provider_crm.hooks.connection import read_connection, vendor_of
        from airflow_provider_crm.rows import Shard

        shard = Shard.from_arguments(self.shard, self.shards)
        if shard is None:
            yield from self._chunks()
            return
        canonical_id = vendor_of(read_connection(self.crm_conn_id)).canonical_id
        for frame in self._chunks():
            yield shard.part(frame, self.id_column, canonical_id)

    def source_query(self) -> tuple[DbApiHook, str, str]:
        """Return hook, SQL and connection id of the query."""
        return self._hook(), self.sql, self.sql_conn_id

    def _hook(self) -> DbApiHook:
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        hook = BaseHook.get_hook(self.sql_conn_id)
        if not isinstance(hook, DbApiHook):
            msg = f"Connection {self.sql_conn_id!r} is no SQL connection: {type(hook).__name__} runs no query."
            raise ConfigurationError(msg)
        return hook

    def _chunks(self) -> Iterator[pd.DataFrame]:
        """Return all rows of the query.

        The database's own cursor reads them: `pandas.read_sql` turns decimals, and whole numbers beside a null, into
        floats, and lists into text.
        """
        from airflow_provider_crm.rows import frame_of_rows
        from airflow_provider_crm.transfers.unreadable_dates import fetched, keep_unreadable_dates

        with closing(self._hook().get_conn()) as connection, closing(_cursor(connection, self.sql)) as cursor:
            keep_unreadable_dates(cursor, _driver(connection))
            if self.parameters is None:
                cursor.execute(self.sql)
            else:
                cursor.execute(self.sql, self.parameters)
            rows = fetched(cursor, self.chunk_rows, 0) if _is_named(cursor) else None
            if cursor.description is None:  # psycopg2 sets it for a named cursor only after the first fetch
                msg = "The sql returns no rows; write a SELECT."
                raise ConfigurationError(msg)
            names = [column[0] for column in cursor.description]
            self.settings().column_rules(self.timezone).check(names)
            rows = fetched(cursor, self.chunk_rows, 0) if rows is None else rows
            yield frame_of_rows(names, rows)
            before = len(rows)
            while rows := fetched(cursor, self.chunk_rows, before):
                yield frame_of_rows(names, rows)
                before += len(rows)


def _cursor(connection: Any, sql: str) -> Any:  # noqa: ANN401 - of any driver
    """Return a cursor that fetches one chunk at a time: an unnamed one of psycopg fetches the whole result at once.

    PostgreSQL names cursors for queries only, so any other statement gets a plain one.
    """
    if _driver(connection) in ("psycopg", "psycopg2") and _QUERY.match(sql) and not _WRITES.search(sql):
        return connection.cursor("airflow_provider_crm")
    return connection.cursor()


def _driver(connection: Any) -> str:  # noqa: ANN401 - of any driver
    return type(connection).__module__.partition(".")[0]


def _is_named(cursor: Any) -> bool:  # noqa: ANN401 - of any driver
    return bool(getattr(cursor, "name", None))
