"""Read the values of refused rows: those that were sent, and those of the source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes
from airflow_provider_crm.values.source_values import from_json

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.values.opportunity import SourceValue


@dataclass(frozen=True, slots=True)
class LineValue:
    """One value of a refused row that was sent.

    Attributes:
        field: The vendor's key.
        text: The value as JSON text.
    """

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class RowValues:
    """The values of a refused row.

    Attributes:
        sent: Those that were sent.
        source: All mapped ones as the source had them, those at fault first; none for a row that was logged before
            they were kept.
    """

    sent: tuple[LineValue, ...] = ()
    source: tuple[SourceValue, ...] = ()


NO_VALUES = RowValues()


class LineValues:
    """The values in some lines of the change log.

    Args:
        connection: To the ledger.
        ids: Ids of the lines, at most some thousands.
    """

    def __init__(self, connection: Connection, ids: Collection[int]) -> None:
        query = sa.select(changes.c.id, changes.c.field, changes.c.after, changes.c.source)
        with_values = changes.c.after.is_not(None) | changes.c.source.is_not(None)
        found = connection.execute(query.where(changes.c.id.in_(ids), with_values)).all()
        self._sent: Mapping[int, LineValue] = {
            row.id: LineValue(row.field, row.after) for row in found if row.after is not None
        }
        self._source: Mapping[int, str] = {row.id: row.source for row in found if row.source is not None}

    def of(self, lines: Iterable[int]) -> RowValues:
        """Return the values of a row that has these lines."""
        numbers = sorted(lines)
        sent = (self._sent[number] for number in numbers if number in self._sent)
        source = next((self._source[number] for number in numbers if number in self._source), None)
        return RowValues(tuple(sorted(sent, key=lambda value: value.field)), from_json(source))
