"""Store records, with enough history to answer stale reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.switches import Switches
    from airflow_provider_crm.sandbox.wire import Request

Fields = dict[str, Any]

_ALWAYS = datetime.min.replace(tzinfo=UTC)
_VERSIONS_STORED = 8


class Records:
    """Records by id. Fields are replaced, never changed in place, so an earlier version stays what it was."""

    def __init__(self) -> None:
        self._versions: dict[str, list[tuple[datetime, Fields | None]]] = {}

    def seed(self, record_id: str, fields: Fields) -> None:
        """Put a record there as if it had always been there."""
        self._versions[record_id] = [(_ALWAYS, fields)]

    def write(self, record_id: str, fields: Fields | None, at: datetime) -> None:
        """Replace a record's fields; None deletes it."""
        versions = self._versions.setdefault(record_id, [])
        versions.append((at, fields))
        del versions[:-_VERSIONS_STORED]

    def get(self, record_id: str) -> Fields | None:
        """Return the record as it is now, or None."""
        versions = self._versions.get(record_id)
        return versions[-1][1] if versions else None

    def read(self, record_id: str, request: Request, switches: Switches) -> Fields | None:
        """Return the record as a reading call sees it: as it is now, or earlier where reads are made stale."""
        if request.stale:
            return self.before(record_id)
        if switches.stale_seconds:
            return self.at(record_id, request.at - timedelta(seconds=switches.stale_seconds))
        return self.get(record_id)

    def before(self, record_id: str) -> Fields | None:
        """Return the record as it was before its last write; an unchanged record as it is."""
        versions = self._versions.get(record_id)
        return versions[-2:][0][1] if versions else None

    def at(self, record_id: str, instant: datetime) -> Fields | None:
        """Return the record as it was at an instant, or None if it was not there."""
        for since, fields in reversed(self._versions.get(record_id, [])):
            if since <= instant:
                return fields
        return None

    def ids(self) -> list[str]:
        """Return all ids ever seen, deleted ones too, in the order of their creation."""
        return list(self._versions)
