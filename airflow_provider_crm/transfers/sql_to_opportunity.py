"""From a warehouse query to CRM opportunities, by chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.frame import frame_of_rows
from airflow_provider_crm.operators.opportunity import OpportunityOperator

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Context


class SqlToOpportunityOperator(OpportunityOperator):
    """Write the rows of a query into CRM opportunities.

    Args:
        sql: The query; templated, also from a `.sql` file. One row per opportunity.
        sql_conn_id: Any connection whose hook is a common-sql `DbApiHook`.
        parameters: Values for the query's placeholders.
        chunk_rows: Rows fetched at once.
        kwargs: The arguments of `OpportunityOperator`, then Airflow's own.
    """

    template_fields: Sequence[str] = ("sql", "sql_conn_id", "parameters", *OpportunityOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow's own form

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Sequence[Any] | dict[str, Any] | None = None,
        chunk_rows: int = 10_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.chunk_rows = chunk_rows

    def frames(self, context: Context) -> Iterator[pd.DataFrame]:  # noqa: ARG002 - part of the interface
        """The query's rows, chunk by chunk, each value exactly as the database gave it.

        Rows are taken from the database's own cursor: `pandas.read_sql` makes floats of decimals and of whole numbers
        beside a null, and text of lists.

        Raises:
            ConfigurationError: If the connection runs no SQL, or the statement returns no rows at all.
        """
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        hook = BaseHook.get_hook(self.sql_conn_id)
        if not isinstance(hook, DbApiHook):
            msg = f"Connection {self.sql_conn_id!r} is no SQL connection: {type(hook).__name__} runs no query."
            raise ConfigurationError(msg)
        with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
            if self.parameters is None:
                cursor.execute(self.sql)
            else:
                cursor.execute(self.sql, self.parameters)
            if cursor.description is None:
                msg = "The sql returns no rows; write a SELECT."
                raise ConfigurationError(msg)
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchmany(self.chunk_rows)
            yield frame_of_rows(names, rows)
            while rows := cursor.fetchmany(self.chunk_rows):
                yield frame_of_rows(names, rows)
