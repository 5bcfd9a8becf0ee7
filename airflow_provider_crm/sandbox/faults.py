"""Inject faults into calls, by script (so many, in order) or by rate (seeded, so a run repeats).

| name | the write is applied | the client gets |
|---|---|---|
| `http_<status>` | no | that status (400 to 599) with the vendor's own error body; `http_429` says nothing remains |
| `http_429_remaining` | no | 429 although the headers say that calls remain |
| `http_429_bare` | no | 429 that says nothing: no limit, no wait |
| `html_<status>` | no | that status with an HTML page, as from a proxy; also with 200 |
| `redirect_<status>` | no | 301, 302, 303, 307 or 308 to the switch `redirect_to` |
| `reset_before` | no | a TCP reset and no answer |
| `reset_after` | yes | a TCP reset and no answer |
| `truncated` | yes | half of the body, then the connection closes |
| `http_<status>_after`, `html_<status>_after` | yes | that error |
| `slow` | yes, at once | the right answer, after the switch `slow_seconds` |
| `late` | yes, after `slow_seconds` | the right answer; calls that arrive in between overtake this one |
| `ignore` | no | 2xx with the record as it was |
| `stale` | no | a read answers the record as it was before its last write |
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FaultKind = Literal["http", "html", "redirect", "reset", "truncated", "slow", "late", "ignore", "stale"]

_BARE: Mapping[str, FaultKind] = {
    "truncated": "truncated",
    "slow": "slow",
    "late": "late",
    "ignore": "ignore",
    "stale": "stale",
    "reset_after": "reset",
}
_NUMBERED = re.compile(r"(http|html|redirect)_(\d{3})(_after|_remaining|_bare)?")
_REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
_ERRORS = range(400, 600)
_ANY_ANSWER = range(200, 600)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. `applied`: the call takes effect. A 429 says that calls are `remaining`, or if `bare` nothing."""

    name: str
    kind: FaultKind
    status: int = 0
    applied: bool = False
    remaining: bool = False
    bare: bool = False

    @classmethod
    def parse(cls, name: str) -> Fault:
        """Read a fault's name.

        Raises:
            ValueError: no such fault; the message lists what there is.
        """
        if name == "reset_before":
            return cls(name=name, kind="reset")
        if name in _BARE:
            return cls(name=name, kind=_BARE[name], applied=True)
        match = _NUMBERED.fullmatch(name)
        if match is None:
            raise _unknown(name)
        kind, status, suffix = match[1], int(match[2]), match[3]
        after, remaining, bare = suffix == "_after", suffix == "_remaining", suffix == "_bare"
        if (remaining or bare) and (kind, status) != ("http", HTTPStatus.TOO_MANY_REQUESTS):
            raise _unknown(name)
        if kind == "http" and status in _ERRORS:
            return cls(name=name, kind="http", status=status, applied=after, remaining=remaining, bare=bare)
        if kind == "html" and status in _ANY_ANSWER:
            return cls(name=name, kind="html", status=status, applied=after)
        if kind == "redirect" and status in _REDIRECTS and not after:
            return cls(name=name, kind="redirect", status=status)
        raise _unknown(name)


class Script:
    """Faults for the next matching calls, one for each; None lets a call through untouched."""

    def __init__(
        self, *, faults: Iterable[str | None], vendor: str | None, method: str | None, path: str | None
    ) -> None:
        self._faults = [None if name is None else Fault.parse(name) for name in faults]
        self._filter = (vendor, method, path)

    @property
    def left(self) -> int:
        """Return the number of entries that have not been used yet."""
        return len(self._faults)

    def matches(self, vendor: str, method: str, path: str) -> bool:
        """Return whether the next entry is for this call."""
        call = (vendor, method, path)
        return bool(self._faults) and all(want in (None, have) for want, have in zip(self._filter, call, strict=True))

    def take(self) -> Fault | None:
        """Use the next entry."""
        return self._faults.pop(0)


class FaultPlan:
    """The choice of each call's fault: from the first script that matches it, else by the rates."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []
        self._random = random.Random(0)  # noqa: S311 - repeatable, not secret

    def add(self, script: Script) -> None:
        """Append a script."""
        self._scripts = [one for one in self._scripts if one.left]
        self._scripts.append(script)

    def clear(self) -> None:
        """Drop all scripts."""
        self._scripts.clear()

    def reseed(self, seed: int) -> None:
        """Start the random numbers over."""
        self._random.seed(seed)

    def choose(self, vendor: str, method: str, path: str, *, rates: Mapping[str, float]) -> Fault | None:
        """Return the fault of this call, or None.

        Args:
            vendor: the vendor called.
            method: the call's method.
            path: the call's path as on the wire.
            rates: fault name to probability. A call that a script covers draws no random number.
        """
        for script in self._scripts:
            if script.matches(vendor, method, path):
                return script.take()
        if not rates:
            return None
        drawn = self._random.random()
        for name, rate in rates.items():
            if drawn < rate:
                return Fault.parse(name)
            drawn -= rate
        return None


def _unknown(name: str) -> ValueError:
    known = (
        "http_<400-599>, http_429_remaining, http_429_bare, html_<200-599>, redirect_<301|302|303|307|308>,"
        " reset_before, reset_after, truncated, slow, late, ignore, stale, and http_<status>_after or"
        " html_<status>_after"
    )
    return ValueError(f"There is no fault {name!r}. Known faults: {known}.")
