"""Find deals by the values of unique properties."""

from __future__ import annotations

from collections import defaultdict


class UniqueValues:
    """The id of the record that has a value, by property and value."""

    def __init__(self) -> None:
        self._ids: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def find(self, name: str, value: str) -> str | None:
        """Return the id of the record that has a value, None if no record has it."""
        return self._ids[name].get(value)

    def replace(self, record_id: str, name: str, before: str | None, after: str | None) -> None:
        """Note the value that a record has now, in place of the one that it had."""
        ids = self._ids[name]
        if before and ids.get(before) == record_id:
            del ids[before]
        if after:
            ids[after] = record_id
