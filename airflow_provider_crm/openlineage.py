"""Report lineage to OpenLineage: from the columns of a query to the fields of an account, with the run's counts.

Only OpenLineage's provider calls this. It is imported inside functions, and need not be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_crm.values.opportunity import WRITTEN

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.generated.base import Dataset, DatasetFacet, JobFacet, OutputDataset, RunFacet
    from openlineage.client.generated.column_lineage_dataset import InputField


@dataclass(frozen=True, slots=True)
class SourceLineage:
    """The origin of a task's rows, as far as it is known.

    Attributes:
        inputs: The tables of the query.
        columns: The columns of tables that each column of the result is made of.
        run_facets: Other facets of the run, such as parts of the query that could not be parsed.
        job_facets: The query itself.
    """

    inputs: tuple[Dataset, ...] = ()
    columns: Mapping[str, tuple[InputField, ...]] = field(default_factory=dict)
    run_facets: Mapping[str, RunFacet] = field(default_factory=dict)
    job_facets: Mapping[str, JobFacet] = field(default_factory=dict)


def query_lineage(hook: DbApiHook, sql: str, conn_id: str) -> SourceLineage:
    """Return the tables and columns that a query reads.

    Args:
        hook: The hook of the database. One that describes no database to OpenLineage, as SQLite's, has no lineage.
        sql: The rendered query.
        conn_id: The hook's connection.
    """
    from airflow.providers.openlineage.sqlparser import SQLParser, from_table_meta, get_openlineage_facets_with_sql
    from airflow.providers.openlineage.utils.utils import should_use_external_connection
    from openlineage.client.generated.column_lineage_dataset import InputField

    connection = hook.get_connection(conn_id)
    database = hook.get_openlineage_database_info(connection)
    if database is None:
        return SourceLineage()
    parsed_sql = get_openlineage_facets_with_sql(
        hook,
        sql,
        conn_id,
        None,
        should_use_external_connection(hook),
        connection=connection,
        database_info=database,
    )
    if parsed_sql is None:
        return SourceLineage()
    dialect = hook.get_openlineage_database_dialect(connection)
    parsed = SQLParser(dialect, hook.get_openlineage_default_schema()).parse(SQLParser.split_sql_string(sql))
    namespace = SQLParser.create_namespace(database)
    columns: dict[str, tuple[InputField, ...]] = {}
    for column in parsed.column_lineage if parsed else ():
        tables = [
            (from_table_meta(one.origin, database.database, namespace, database.is_uppercase_names), one.name)
            for one in column.lineage
            if one.origin is not None
        ]
        columns[column.descendant.name] = tuple(InputField(table.namespace, table.name, name) for table, name in tables)
    return SourceLineage(tuple(parsed_sql.inputs), columns, parsed_sql.run_facets, parsed_sql.job_facets)


def run_lineage(
    query: tuple[DbApiHook, str, str] | None, fields: Mapping[str, str], report: Mapping[str, Any] | None
) -> OperatorLineage[Any, Any]:
    """Return what a task reads and writes.

    Args:
        query: The query that the rows come from, as the arguments of `query_lineage`; None for another source.
        fields: Field by column, as the task maps them.
        report: The report of the run as in XCom; None before the account is known, or where nothing is written.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    source = SourceLineage() if query is None else query_lineage(*query)
    outputs = [] if report is None else [_opportunities(source, fields, report)]
    return OperatorLineage(
        inputs=list(source.inputs),
        outputs=outputs,
        run_facets=dict(source.run_facets),
        job_facets=dict(source.job_facets),
    )


def _opportunities(source: SourceLineage, fields: Mapping[str, str], report: Mapping[str, Any]) -> OutputDataset:
    """Return the account's opportunities, named as their asset is."""
    from openlineage.client.generated.base import OutputDataset, OutputDatasetFacet
    from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet

    account = quote(report["account"], safe=":")
    written = sum(report["outcomes"].get(word.value, 0) for word in WRITTEN)
    outcomes: Any = OutputDatasetFacet().with_additional_properties(
        runKey=report["run_key"],
        rows=report["rows"],
        outcomes=dict(report["outcomes"]),
        calls=report["calls"],
        rejectsPath=report["rejects_path"],
    )
    return OutputDataset(
        namespace=f"crm://{account}",
        name="opportunity",
        facets=_mapping(source, fields),
        outputFacets={
            "outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=written),
            "crm_outcomes": outcomes,
        },
    )


def _mapping(source: SourceLineage, fields: Mapping[str, str]) -> dict[str, DatasetFacet]:
    """Return the fields that are written, and the columns that each one is made of."""
    from openlineage.client.generated.column_lineage_dataset import ColumnLineageDatasetFacet, Fields
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

    facets: dict[str, DatasetFacet] = {}
    if fields:
        facets["schema"] = SchemaDatasetFacet(fields=[SchemaDatasetFacetFields(name=name) for name in fields.values()])
    known = {
        name: Fields(inputFields=list(source.columns[column]))
        for column, name in fields.items()
        if source.columns.get(column)
    }
    if known:
        facets["columnLineage"] = ColumnLineageDatasetFacet(fields=known)
    return facets
