"""Build SQL expressions that several pages need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection


def of_dags(connection: Connection, run_key: sa.ColumnElement[str], dags: Collection[str]) -> sa.ColumnElement[bool]:
    """Return whether a run key belongs to one of these Dags."""
    return dialect_of(connection).text_before(run_key, "/").in_(sorted(dags))


def count_up_to(connection: Connection, query: sa.Select[Any], most: int) -> int:
    """Count the rows of a query up to a bound, so that counting never takes long."""
    rows = query.with_only_columns(sa.literal(1), maintain_column_froms=True).limit(most).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()
