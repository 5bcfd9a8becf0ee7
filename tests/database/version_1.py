"""A ledger of version 1, with rows of every table, as that version of the package wrote them.

Its tables are never changed. `version_1.sql` is a dump of a SQLite file that two Dags wrote on a sandbox.
`version_1_postgresql.sql` has the same tables in PostgreSQL. `version_1_deferred.json` has what that version handed to
Airflow for some tasks: the arguments of deferred ones, with the rows of their ledgers, and the report of one that
failed. Close is `HOST` there.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

FOLDER = Path(__file__).parent
ACCOUNT = "close:127.0.0.1:39879:orga_sandbox"
HOST = "127.0.0.1:39879"
PLAN = "1006c4b14b1142f194cbb399f15aaa6e"
"""The plan that no run has applied."""
DIGEST = "d847ec6e6d374495928fc8a95cb4127f4c6fdc8deab546a01eeca33228512413"


def handed_to_airflow(name, host):
    """Return the arguments that version 1 handed to Airflow in one case, for a Close at this host."""
    text = (FOLDER / "version_1_deferred.json").read_text(encoding="utf-8")
    return json.loads(text.replace("HOST", host))[name]


def fill(engine, rows=None):
    """Create the tables of version 1 in an empty database, with all rows, or with those of other INSERT statements."""
    dump = (FOLDER / "version_1.sql").read_text(encoding="utf-8")
    if rows is not None:
        emptied = [f"DELETE FROM {table};" for table in re.findall(r"CREATE TABLE (\w+)", dump)]
        dump = "\n".join([dump, *emptied, *rows])
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(engine.url.database)) as connection:
            connection.executescript(dump)
            connection.commit()
        return
    with closing(sqlite3.connect(":memory:")) as source, engine.begin() as connection:
        source.executescript(dump)
        connection.exec_driver_sql((FOLDER / "version_1_postgresql.sql").read_text(encoding="utf-8"))
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for table in metadata.tables.values():
            if stored := list(_rows(source, table)):
                connection.execute(sa.insert(table), stored)
        connection.exec_driver_sql("SELECT setval('crm_changes_id_seq', (SELECT max(id) FROM crm_changes))")


def _rows(source, table):
    """Return the rows of a table; SQLite has neither booleans nor zones."""
    found = source.execute(f"SELECT * FROM {table.name}")
    names = [column[0] for column in found.description]
    for row in found:
        yield {name: _typed(value, table.c[name].type) for name, value in zip(names, row, strict=True)}


def _typed(value, kind):
    if value is None:
        return None
    if isinstance(kind, sa.Boolean):
        return bool(value)
    return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC) if isinstance(kind, sa.DateTime) else value


def rows(engine):
    """Return all rows by table, with the columns that a database really has."""
    metadata = sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        return {
            name: sorted((dict(row) for row in connection.execute(sa.select(table)).mappings()), key=repr)
            for name, table in metadata.tables.items()
        }
