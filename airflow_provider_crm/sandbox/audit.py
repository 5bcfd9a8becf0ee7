"""The record of every call that reached a vendor, and of every write that was applied."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_crm.sandbox.wire import AppliedChange, Json, Request


@dataclass(frozen=True, kw_only=True)
class AuditedCall:
    """One call, as received.

    Attributes:
        number: 1 for the first call, counted across all vendors.
        path: as on the wire, with its percent-encoding, without the query.
        headers: names in lower case.
        body: the parsed JSON (numbers with a fraction are `Decimal`, with every digit of the wire), or None.
        status: the status that was sent, or None if the connection was cut before any answer.
        fault: the name of the injected fault, or None.
        at: the sandbox's time when the call was handled.
    """

    number: int
    vendor: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    status: int | None
    fault: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Write:
    """One applied write of one record. `number` is that of its call; `fields` are the values that took effect."""

    number: int
    vendor: str
    method: str
    path: str
    record_id: str
    fields: Mapping[str, Any]
    at: datetime


class Audit:
    """Calls and writes, in order. Calls to the sandbox's own control routes are not in it."""

    def __init__(self, *, keep: int = 200_000) -> None:
        """Start empty.

        Args:
            keep: how many calls, and how many writes, stay in memory; older ones are dropped but still counted.
        """
        self._lock = threading.Lock()
        self._calls: deque[AuditedCall] = deque(maxlen=keep)
        self._writes: deque[Write] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._number = 0
        self.connections = 0
        """TCP connections accepted since the sandbox started."""

    @property
    def calls(self) -> list[AuditedCall]:
        """Return every call, in the order in which it was handled."""
        with self._lock:
            return list(self._calls)

    @property
    def writes(self) -> list[Write]:
        """Return every applied write, in the order in which it was applied."""
        with self._lock:
            return list(self._writes)

    def count(self, vendor: str | None = None, method: str | None = None, path: str | None = None) -> int:
        """Count calls. Each argument that is given has to match exactly; `path` is compared as on the wire."""
        if path is None:
            with self._lock:
                items = list(self._counts.items())
            return sum(n for (one, verb), n in items if vendor in (None, one) and method in (None, verb))
        calls = self.calls
        return sum(c.path == path and vendor in (None, c.vendor) and method in (None, c.method) for c in calls)

    def clear(self) -> None:
        """Forget calls and writes and start numbering again; the count of connections stays."""
        with self._lock:
            self._calls.clear()
            self._writes.clear()
            self._counts.clear()
            self._number = 0

    def summary(self) -> dict[str, Any]:
        """Return counts by vendor and method, and the writes in order, as plain JSON values."""
        with self._lock:
            counts = sorted(self._counts.items())
        return {
            "calls": {f"{vendor} {method}": n for (vendor, method), n in counts},
            "connections": self.connections,
            "writes": [
                {
                    "number": write.number,
                    "vendor": write.vendor,
                    "method": write.method,
                    "path": write.path,
                    "record_id": write.record_id,
                    "fields": dict(write.fields),
                    "at": write.at.isoformat(),
                }
                for write in self.writes
            ],
        }

    def record(
        self, request: Request, *, status: int | None, fault: str | None, changes: tuple[AppliedChange, ...]
    ) -> None:
        """Note one handled call, and the writes that it applied."""
        with self._lock:
            self._number += 1
            self._counts[request.vendor, request.method] += 1
            call = AuditedCall(
                number=self._number,
                vendor=request.vendor,
                method=request.method,
                path=request.path,
                query=request.query,
                headers=request.headers,
                body=request.body,
                status=status,
                fault=fault,
                at=request.at,
            )
            self._calls.append(call)
            self._writes += [
                Write(
                    number=self._number,
                    vendor=request.vendor,
                    method=request.method,
                    path=request.path,
                    record_id=change.record_id,
                    fields=change.fields,
                    at=request.at,
                )
                for change in changes
                if change.fields
            ]
