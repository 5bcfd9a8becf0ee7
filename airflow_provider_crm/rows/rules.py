"""Map columns to fields, and check the mapping before a row is read."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import NULL_VALUES

_NULL_RULES = ("skip", "clear", "error")
_DUPLICATE_RULES = ("error", "last")


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """The mapping of columns to fields, and the meaning of empty cells and duplicate ids.

    Attributes:
        id_column: Column of record ids: text or whole numbers.
        fields: Field name by column; each field once.
        nulls: The meaning of an empty (null) cell: "skip" leaves the field alone, "clear" empties it in the CRM,
            "error" refuses the row. One word for all, or a word by column, where columns not named are "skip".
        on_duplicate: "error" refuses every row whose id occurs more than once; "last" writes the last of each chunk.
        as_of: Column with the data time of the row, or None to take the run's.
        values: Time zone and rounding.
        null_values: Texts that are missing values in every column, compared without surrounding white space.
        null_texts: The same texts, stripped, for look-ups.

    Raises:
        ConfigurationError: For an empty mapping or a wrong word, saying what to write instead.
    """

    id_column: str
    fields: Mapping[str, str]
    nulls: str | Mapping[str, str] = "skip"
    on_duplicate: str = "error"
    as_of: str | None = None
    values: ValueRules = field(default_factory=ValueRules)
    null_values: Collection[str] = NULL_VALUES
    null_texts: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the words. The columns are checked when the data is known."""
        if not isinstance(self.id_column, str) or not self.id_column:
            msg = f"id_column is {self.id_column!r}; write the name of the column with the record ids."
            raise ConfigurationError(msg)
        if self.as_of is not None and (not isinstance(self.as_of, str) or not self.as_of):
            msg = f"as_of is {self.as_of!r}; write the name of the column with the data time, or None for the run's."
            raise ConfigurationError(msg)
        if self.on_duplicate not in _DUPLICATE_RULES:
            msg = f"on_duplicate is {self.on_duplicate!r}; write one of {', '.join(_DUPLICATE_RULES)}."
            raise ConfigurationError(msg)
        self._check_fields()
        self._check_nulls()
        check_null_values(self.null_values)
        object.__setattr__(self, "null_texts", frozenset(map(str.strip, self.null_values)))

    def _check_fields(self) -> None:
        if not isinstance(self.fields, Mapping) or not self.fields:
            was = "empty" if isinstance(self.fields, Mapping) else repr(self.fields)
            msg = f"fields is {was}; write which column goes to which field, such as {{'arr': 'deal_value'}}."
            raise ConfigurationError(msg)
        column_of: dict[str, str] = {}
        for column, name in self.fields.items():
            if not (isinstance(column, str) and column and isinstance(name, str) and name):
                msg = f"fields has {column!r}: {name!r}; write a column name and a field name, both as text."
                raise ConfigurationError(msg)
            if name in column_of:
                msg = f"fields maps both {column_of[name]!r} and {column!r} to {name}; keep one of them."
                raise ConfigurationError(msg)
            column_of[name] = column

    def _check_nulls(self) -> None:
        if isinstance(self.nulls, Mapping):
            unknown = [column for column in self.nulls if column not in self.fields]
            if unknown:
                names, known = ", ".join(map(repr, unknown)), ", ".join(self.fields)
                msg = f"nulls names {names}, which fields does not map; write one of its columns: {known}."
                raise ConfigurationError(msg)
        words = self.nulls if isinstance(self.nulls, Mapping) else {"": self.nulls}
        for column, word in words.items():
            if word not in _NULL_RULES:
                of = f" of column {column!r}" if column else ""
                msg = f"nulls{of} is {word!r}; write one of {', '.join(_NULL_RULES)}."
                raise ConfigurationError(msg)

    def null_rule(self, column: str) -> str:
        """Return what a null in this column means: skip, clear or error."""
        return self.nulls.get(column, "skip") if isinstance(self.nulls, Mapping) else self.nulls

    @property
    def used(self) -> tuple[str, ...]:
        """Return all columns that are read, each once."""
        names = (self.id_column, *self.fields, *([self.as_of] if self.as_of is not None else []))
        return tuple(dict.fromkeys(names))

    def check(self, columns: Sequence[str], index: Sequence[object] = ()) -> None:
        """Check that the data has every column that is read, once.

        Args:
            columns: Names of the columns.
            index: Names of the frame's index, which is not read.

        Raises:
            ConfigurationError: Naming every missing or doubled column, the columns there are, and close matches.
        """
        names = [name for name in columns if isinstance(name, str)]
        known = dict.fromkeys(names)
        missing = [_suggested(name, list(known)) for name in self.used if name not in known]
        if missing:
            there = f"its columns are: {', '.join(map(str, columns))}" if len(columns) else "it has no columns at all"
            msg = f"The data has no column {', '.join(missing)}; {there}."
            hidden = [repr(name) for name in index if name in self.used]
            if hidden:
                msg += f" Its index is named {' and '.join(hidden)}: pass reset_index() of the frame."
            raise ConfigurationError(msg)
        doubled = [name for name in self.used if names.count(name) > 1] if len(known) < len(names) else []
        if doubled:
            msg = f"The data has more than one column {', '.join(map(repr, doubled))}; rename or drop the others."
            raise ConfigurationError(msg)


def check_null_values(null_values: object) -> Collection[str]:
    """Check the texts that are missing values, and return them.

    Raises:
        ConfigurationError: They are no collection of texts, saying what to write instead.
    """
    if isinstance(null_values, str) or not isinstance(null_values, Collection):
        msg = f"null_values is {null_values!r}; write a list of the texts that are missing values, such as ['', 'nan']."
        raise ConfigurationError(msg)
    for text in null_values:
        if not isinstance(text, str):
            msg = f"null_values has {text!r}; write texts only, such as ['', 'nan']: nulls are missing values anyway."
            raise ConfigurationError(msg)
    return null_values


def _suggested(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known) or [other for other in known if other.casefold() == name.casefold()]
    return f"{name!r} (did you mean {' or '.join(map(repr, close))}?)" if close else repr(name)
