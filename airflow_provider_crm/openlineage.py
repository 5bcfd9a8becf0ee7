"""Lineage for OpenLineage: from the columns of a query to the fields of an account, with the counts of the run.

Only OpenLineage's provider calls this; it is imported inside functions, and need not be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.generated.base import Dataset, DatasetFacet, JobFacet, OutputDataset, RunFacet
    from openlineage.client.generated.column_lineage_dataset import InputField

    from airflow_provider_crm.report.report import SyncReport


@dataclass(frozen=True, slots=True)
class SourceLineage:
    """Where the rows of a task come from, as far as it is known.

    Attributes:
        inputs: The tables of the query.
        columns: The columns of tables that each column of the result is made of.
        run_facets: What else is told of the run, such as parts of the query that could not be understood.
        job_facets: The query itself.
    """

    inputs: tuple[Dataset, ...] = ()
    columns: Mapping[str, tuple[InputField, ...]] = field(default_factory=dict)
    run_facets: Mapping[str, RunFacet] = field(default_factory=dict)
    job_facets: Mapping[str, JobFacet] = field(default_factory=dict)


def query_lineage(hook: DbApiHook, sql: str, conn_id: str) -> SourceLineage:
    """The tables and columns that a query reads.

    Args:
        hook: Of the database. One that tells OpenLineage nothing about it, as SQLite's, has no lineage.
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
    told = get_openlineage_facets_with_sql(
        hook,
        sql,
        conn_id,
        None,
        should_use_external_connection(hook),
        connection=connection,
        database_info=database,
    )
    if told is None:
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
    return SourceLineage(tuple(told.inputs), columns, told.run_facets, told.job_facets)


def run_lineage(
    source: SourceLineage, fields: Mapping[str, str], report: SyncReport | None
) -> OperatorLineage[Any, Any]:
    """What a task reads and writes.

    Args:
        source: Where the rows come from.
        fields: Field by column, as the task maps them.
        report: What became of the rows; None before the account is known, or where nothing is written.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    outputs = [] if report is None else [_opportunities(source, fields, report)]
    return OperatorLineage(
        inputs=list(source.inputs),
        outputs=outputs,
        run_facets=dict(source.run_facets),
        job_facets=dict(source.job_facets),
    )


def _opportunities(source: SourceLineage, fields: Mapping[str, str], report: SyncReport) -> OutputDataset:
    """The account's opportunities, named as their asset is."""
    from openlineage.client.generated.base import OutputDataset, OutputDatasetFacet
    from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet

    outcomes: Any = OutputDatasetFacet().with_additional_properties(
        runKey=report.run_key,
        rows=report.rows,
        outcomes=dict(report.outcomes),
        calls=report.calls,
        rejectsPath=report.rejects_path,
    )
    return OutputDataset(
        namespace=f"crm://{quote(report.account, safe=':')}",
        name="opportunity",
        facets=_mapping(source, fields),
        outputFacets={
            "outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=report.count(OutcomeWord.UPDATED)),
            "crm_outcomes": outcomes,
        },
    )


def _mapping(source: SourceLineage, fields: Mapping[str, str]) -> dict[str, DatasetFacet]:
    """The fields that are written, and the columns each one comes from."""
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
