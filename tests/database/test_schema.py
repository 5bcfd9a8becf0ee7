"""The tables say themselves what is in them: the manual shows these comments, and so do tools on PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import metadata

from . import version_1

TABLES = metadata.sorted_tables


@pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
def test_each_table_and_column_has_a_comment(table):
    """A sentence with a full stop for the table, and one for each column."""
    comments = {table.name: table.comment, **{column.name: column.comment for column in table.columns}}
    assert [name for name, comment in comments.items() if not (comment or "").endswith(".")] == []


@pytest.mark.parametrize("migrated", [False, True], ids=["created", "migrated"])
def test_postgresql_stores_the_comments(empty_database, migrated):
    """They are those of the present version, also in a ledger that an older version has created."""
    engine = sa.create_engine(empty_database)
    if migrated:
        version_1.fill(engine)
    Database(engine).open()
    inspector = sa.inspect(engine)
    for table in TABLES:
        assert inspector.get_table_comment(table.name)["text"] == table.comment
        stored = {column["name"]: column["comment"] for column in inspector.get_columns(table.name)}
        assert stored == {column.name: column.comment for column in table.columns}
    engine.dispose()
