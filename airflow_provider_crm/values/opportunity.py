"""Values of the domain: fields, updates, rows in columns, outcomes.

Nothing here does I/O or knows a vendor, Airflow or pandas. Money is `Decimal` from the first touch, points in time are
aware, a date stays a date. In an update a field that is **absent is left alone**, a field that is **None is cleared**.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, TypeVar, cast

CANONICAL_FIELDS = ("deal_value", "deal_currency", "stage", "date_won", "notes", "responsible_user_id")
NULL_VALUES = ("", "nan", "NaN", "NaT", "None", "<NA>", "\\N", "#N/A")
"""Texts that count as a missing value unless a user says otherwise: no text, and what only a tool writes for it."""

FieldValue: TypeAlias = str | bool | int | Decimal | dt.date | dt.datetime | tuple["FieldValue", ...] | None


class Kind(enum.Enum):
    """The kind of a field, which decides the rules for its values."""

    TEXT = "text"
    NUMBER = "a number"
    INTEGER = "a whole number"
    MONEY = "an amount of money"
    CURRENCY = "a currency code"
    STAGE = "a stage"
    DATE = "a date"
    DATETIME = "a point in time"
    USER = "a user"
    BOOLEAN = "a yes or no"


@dataclass(frozen=True, slots=True)
class Field:
    """One field that users may map a column to.

    Attributes:
        name: The name that users write: a canonical one or the vendor's own.
        target: The vendor's key that is written.
        kind: Which rules its values follow.
        multiple: Whether its value is a list.
        clearable: Whether None may be written to it.
        choices: The only values it takes, or empty for any.
        personal: Whether its values are hidden: they never reach a log, report or message.
        partial: Whether writing it adds to a list, or removes from it, so that a value alone cannot be put back.
        amount_digits: Decimal digits of the minor unit in which the vendor's API counts the field's money: 2 for cents,
            0 for major units, None if the field holds no money.
        also_writes: Other keys of the vendor's that writing the field sets, such as the pipeline of a stage.
    """

    name: str
    target: str
    kind: Kind = Kind.TEXT
    multiple: bool = False
    clearable: bool = True
    choices: tuple[str, ...] = ()
    personal: bool = False
    partial: bool = False
    amount_digits: int | None = None
    also_writes: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All of the vendor's keys that writing the field sets."""
        return (self.target, *self.also_writes)


@dataclass(slots=True)
class Update:
    """The field values that one row wants for one opportunity; an update is never changed, only replaced.

    There is one for each row, and creating frozen ones would take three times as long.

    Attributes:
        row: Position of the row in its source, from 0.
        record_id: The vendor's id of the opportunity.
        fields: Value by field name; absent means "leave alone", None means "clear".
        as_of: Data time of the row, aware.
        approved: Whether a person approved this very change, so that it is a failure if newer data prevents it.
    """

    approved: ClassVar[bool] = False

    row: int
    record_id: str
    fields: Mapping[str, FieldValue]
    as_of: dt.datetime | None = None

    def read_keys(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return the vendor's keys that are read before the row is written.

        Args:
            keys: The keys that it writes.
        """
        return tuple(keys)


class OutcomeKind(enum.Enum):
    """The class of an outcome: whether the row is in place, was left alone, or failed."""

    WRITTEN = "written"
    """The run wrote the row's values into the CRM."""
    IN_PLACE = "in_place"
    """The CRM held the row's values already."""
    LEFT_ALONE = "left_alone"
    """The row was not written, on purpose: no failure."""
    PERMANENT = "permanent"
    """A failure that a retry meets again."""
    TRANSIENT = "transient"
    """A failure that a retry may cure."""


class OutcomeWord(enum.StrEnum):
    """The outcomes that a row can have.

    Attributes:
        kind: The class that it belongs to.
        meaning: A sentence that explains it.
    """

    kind: OutcomeKind
    meaning: str

    def __new__(cls, word: str, kind: OutcomeKind, meaning: str) -> Self:
        """Make one word."""
        made = str.__new__(cls, word)
        made._value_ = word
        made.kind, made.meaning = kind, meaning
        return made

    UPDATED = "updated", OutcomeKind.WRITTEN, "The CRM confirmed that it holds the values."
    UNCHANGED = "unchanged", OutcomeKind.IN_PLACE, "The CRM held the values already: no call."
    STALE = "stale", OutcomeKind.LEFT_ALONE, "Newer data was written or claimed by another run."
    SKIPPED = (
        "skipped",
        OutcomeKind.LEFT_ALONE,
        "Left alone because of on_conflict='skip' (the record was changed in the CRM) or on_missing='skip'.",
    )
    INVALID = "invalid", OutcomeKind.PERMANENT, "Refused before sending."
    REJECTED = "rejected", OutcomeKind.PERMANENT, "Refused by the CRM."
    IGNORED = "ignored", OutcomeKind.PERMANENT, "The CRM said success, and shows another value."
    FAILED = "failed", OutcomeKind.TRANSIENT, "Attempts exhausted."
    UNKNOWN = "unknown", OutcomeKind.TRANSIENT, "Sent, no answer, not safe to repeat."
    NOT_SENT = "not_sent", OutcomeKind.TRANSIENT, "The run stopped before this row."

    @property
    def label(self) -> str:
        """Return the word as pages write it."""
        return self.value.replace("_", " ")

    @property
    def is_written(self) -> bool:
        """Return whether the run wrote the row into the CRM."""
        return self.kind is OutcomeKind.WRITTEN

    @property
    def is_failure(self) -> bool:
        """Return whether the row counts towards `max_rejected`."""
        return self.kind in (OutcomeKind.PERMANENT, OutcomeKind.TRANSIENT)

    @property
    def is_transient(self) -> bool:
        """Return whether it is a failure that a retry may cure."""
        return self.kind is OutcomeKind.TRANSIENT


WRITTEN = tuple(word for word in OutcomeWord if word.is_written)
FAILURES = frozenset(word for word in OutcomeWord if word.is_failure)
TRANSIENT_FAILURES = frozenset(word for word in OutcomeWord if word.is_transient)


class SourceValue(NamedTuple):
    """The name of a field, and its value as the source of the rows had it; None for a missing one."""

    field: str
    text: str | None


@dataclass(slots=True)
class Outcome:
    """The outcome of one row; like an `Update` it is never changed, and there is one for each row.

    Attributes:
        row: Position of the row in its source, from 0.
        record_id: The id as the row gave it; empty when it gave none.
        word: Which outcome it is.
        code: Machine-readable cause: the vendor's, else ours; empty for success.
        reason: One sentence for a person; empty for success.
        applied: Fields that were written although the row failed as a whole (a half-applied row).
        source: Of a refused row: its values as the source had them, those at fault first.
    """

    row: int
    record_id: str
    word: OutcomeWord
    code: str = ""
    reason: str = ""
    applied: tuple[str, ...] = ()
    source: tuple[SourceValue, ...] = ()


_T = TypeVar("_T")


class Row(Mapping[str, _T]):
    """One row, by the names of its columns; nothing is copied until it is read.

    It is pickled as a dict.

    Args:
        columns: Values of all rows by name; they no longer change.
        index: Index of the row in its columns.
    """

    __slots__ = ("columns", "index")

    def __init__(self, columns: Mapping[str, Sequence[_T]], index: int) -> None:
        self.columns = columns
        self.index = index

    def __getitem__(self, name: str) -> _T:
        return self.columns[name][self.index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return repr(row_of(self.columns, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (row_of(self.columns, self.index),)

    def items(self) -> ItemsView[str, _T]:
        """Return all items at once, which is faster than one by one."""
        return row_of(self.columns, self.index).items()


def row_of(columns: Mapping[str, Sequence[_T]], index: int) -> dict[str, _T]:
    """Return one row as a dict."""
    return {name: column[index] for name, column in columns.items()}


def positions_by_shape(shapes: Sequence[object]) -> list[Sequence[int]]:
    """Return the positions of each shape that occurs, in order."""
    if len(set(shapes)) == 1:
        return [range(len(shapes))]
    positions: dict[object, list[int]] = {}
    for position, shape in enumerate(shapes):
        positions.setdefault(shape, []).append(position)
    return list(positions.values())


def items_at(items: Sequence[_T], positions: Sequence[int]) -> Sequence[_T]:
    """Return the items at some positions, or at all of them, in order."""
    return items if len(positions) == len(items) else [items[position] for position in positions]


def merge_parts(parts: Sequence[tuple[Sequence[int], Iterable[_T]]]) -> list[_T]:
    """Merge parts of a sequence into one, in order; each part comes with the positions of its items."""
    if len(parts) == 1:
        return list(parts[0][1])
    by_position = {
        position: item for positions, items in parts for position, item in zip(positions, items, strict=True)
    }
    return [by_position[position] for position in range(len(by_position))]


def shapes_of(rows: Iterable[Mapping[str, object]]) -> list[object]:
    """Return a value for each row that is the same for rows of the same names in the same order.

    Only fast checks are made: two rows of one shape may get different values.
    """
    return [id(row.columns) if type(row) is Row else tuple(row) for row in rows]


def columns_of(rows: Sequence[Mapping[str, _T]]) -> dict[str, Sequence[_T]]:
    """Return the values of rows of one shape, column by column."""
    first = rows[0]
    if isinstance(first, Row):
        return rows_at(first.columns, [row.index for row in cast("Sequence[Row[_T]]", rows)])
    return dict(zip(first, zip(*[row.values() for row in rows], strict=True), strict=False))


def rows_at(columns: Mapping[str, Sequence[_T]], indexes: Sequence[int]) -> dict[str, Sequence[_T]]:
    """Return some rows of columns, in the order of the indexes."""
    first, end = indexes[0], indexes[0] + len(indexes)
    if indexes == list(range(first, end)):
        return {name: column[first:end] for name, column in columns.items()}
    return {name: [column[index] for index in indexes] for name, column in columns.items()}
