"""The few SQL expressions that SQLite and PostgreSQL write differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection

NUMBER = r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$"


def of_dags(connection: Connection, run_key: sa.ColumnElement[str], dags: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a run key is of one of these Dags."""
    if connection.dialect.name == "postgresql":
        dag_id: sa.ColumnElement[Any] = sa.func.split_part(run_key, "/", 1)
    else:
        dag_id = sa.func.substr(run_key, 1, sa.func.instr(run_key, "/") - 1)
    return dag_id.in_(sorted(dags))


def json_part(connection: Connection, column: sa.ColumnElement[Any], key: str) -> sa.ColumnElement[Any]:
    """A member of a JSON object that is kept as text, as text or, in SQLite, as a number."""
    if connection.dialect.name == "postgresql":
        return sa.cast(column, sa.JSON).op("->>")(key)
    return sa.func.json_extract(column, f"$.{key}")


def number(connection: Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A JSON number that is kept as text; null for everything else, such as a hash."""
    if connection.dialect.name == "postgresql":
        return sa.case((column.regexp_match(NUMBER), sa.cast(column, sa.Numeric)))
    other = column.op("GLOB")("*[^-+0-9.eE]*")
    return sa.case((other, None), else_=sa.cast(column, sa.Float))


def count_up_to(connection: Connection, query: sa.Select[Any], most: int) -> int:
    """Number of rows of a query, counted up to a bound, so that counting never takes long."""
    rows = query.with_only_columns(sa.literal(1), maintain_column_froms=True).limit(most).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()
