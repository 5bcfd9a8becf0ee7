"""From a warehouse query to CRM opportunities, by chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_crm.exceptions import ConfigurationError
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

        Without these options pandas turns decimals into floats, and a whole number beside a null into one.
        """
        hook = BaseHook.get_hook(self.sql_conn_id)
        if not hasattr(hook, "get_df_by_chunks"):
            msg = (
                f"Connection {self.sql_conn_id!r} is no SQL connection: {type(hook).__name__} runs no query by chunks."
            )
            raise ConfigurationError(msg)
        chunks: Iterator[pd.DataFrame] = hook.get_df_by_chunks(
            self.sql, self.parameters, chunksize=self.chunk_rows, coerce_float=False, dtype_backend="numpy_nullable"
        )
        return chunks
