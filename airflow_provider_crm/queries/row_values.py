"""Read the values of refused rows that were sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class LineValue:
    """One value of a refused row that was sent.

    Attributes:
        field: The vendor's key.
        text: The value as JSON text.
    """

    field: str
    text: str


def line_values(connection: Connection, ids: Collection[int]) -> Mapping[int, LineValue]:
    """Return the values in some lines of the change log, by the id of the line; nothing for a line without one.

    Args:
        connection: To the ledger.
        ids: At most some thousands.
    """
    query = sa.select(changes.c.id, changes.c.field, changes.c.after)
    found = connection.execute(query.where(changes.c.id.in_(ids), changes.c.after.is_not(None)))
    return {row.id: LineValue(row.field, row.after) for row in found}
