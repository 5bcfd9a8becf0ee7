"""Read all fields of a plan, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import plan_rows
from airflow_provider_crm.queries.plans import PlannedField

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_AT_ONCE = 500


def all_fields(connection: Connection, plan_id: str) -> Iterator[PlannedField]:
    """Yield all fields of a plan, in the order of its rows. The caller has made sure that the reader may see it."""
    dialect_of(connection).plan_for_all_rows(connection)
    names = PlannedField.__dataclass_fields__
    query = sa.select(*(plan_rows.c[name] for name in names)).where(plan_rows.c.plan_id == plan_id)
    ordered = query.order_by(plan_rows.c.row_number, plan_rows.c.field)
    for row in connection.execute(ordered, execution_options={"yield_per": _AT_ONCE}):
        yield PlannedField(*row)
