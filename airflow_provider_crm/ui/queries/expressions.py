"""The few SQL expressions that SQLite and PostgreSQL write differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection

_FIRST_OF_A_NUMBER = tuple("-0123456789")  # no other JSON text begins like one


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
    kind = sa.Numeric() if connection.dialect.name == "postgresql" else sa.Float()
    return sa.case((sa.func.substr(column, 1, 1).in_(_FIRST_OF_A_NUMBER), sa.cast(column, kind)))


def count_up_to(connection: Connection, query: sa.Select[Any], most: int) -> int:
    """Number of rows of a query, counted up to a bound, so that counting never takes long."""
    rows = query.with_only_columns(sa.literal(1), maintain_column_froms=True).limit(most).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()
