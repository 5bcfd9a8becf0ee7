"""Add up what a run used of the vendor's rate limit, for its report: when it ends, at no cost while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

KEY_DIGITS = 12
"""So many digits of a key's SHA-256 distinguish it from the other keys of one Airflow."""


@dataclass(frozen=True, slots=True)
class GroupUse:
    """The calls of one endpoint group.

    Attributes:
        group: Name of the group; empty where a key has one limit for everything.
        calls: HTTP calls of the run.
        limit: Units per window, as the answers name it; None where none did.
        window: Seconds of a window: the longest time to its end that an answer named; None where none did.
        allowed: Units that the vendor allowed in that time to all programs on the key: `limit` for each window, for at
            least one; None where no answer named a limit.
        cost: Units that the calls cost; None where each costs one.
    """

    group: str
    calls: int
    limit: int | None = None
    window: float | None = None
    allowed: int | None = None
    cost: int | None = None

    @property
    def units(self) -> int:
        """Units of the limit that the calls cost; as many as calls, unless the vendor counts something else."""
        return self.calls if self.cost is None else self.cost

    @classmethod
    def over_time(cls, group: str, calls: int, *, limit: int, window: float, seconds: float) -> Self:
        """Return the use of some seconds; a limit or a window of 0 is one that no answer named."""
        if not limit or not window:
            return cls(group, calls)
        return cls(group, calls, limit, round(window, 3), round(limit * max(seconds / window, 1.0)))

    @property
    def used(self) -> float | None:
        """Part of the allowed units; None where that is not known."""
        return self.units / self.allowed if self.allowed else None

    def after(self, earlier: GroupUse) -> GroupUse:
        """Return the use of two segments of one run, of which this is the later one."""
        return replace(
            self,
            calls=self.calls + earlier.calls,
            limit=self.limit or earlier.limit,
            window=max(self.window or 0.0, earlier.window or 0.0) or None,
            allowed=(self.allowed or 0) + (earlier.allowed or 0) or None,
            cost=None if self.cost is None and earlier.cost is None else self.units + earlier.units,
        )


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """The use of the rate limit by one run.

    Attributes:
        key: The first `KEY_DIGITS` digits of the SHA-256 of the key, of which the name of a shared budget has all.
        share: Part of the vendor's limit that all runs on the key together could use.
        waited: Seconds in which at least one thread of the run waited, without deferrals.
        groups: By endpoint group.
    """

    key: str
    share: float
    waited: float
    groups: tuple[GroupUse, ...]

    @property
    def used(self) -> float | None:
        """The part used of the group that is nearest to its limit; None where no limit is known."""
        return max((group.used for group in self.groups if group.used is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for XCom."""
        return {
            "key": self.key,
            "share": self.share,
            "waited": round(self.waited, 3),
            "groups": [asdict(group) for group in self.groups],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the use that `to_dict` wrote."""
        groups = tuple(GroupUse(**group) for group in values["groups"])
        return cls(values["key"], values["share"], values["waited"], groups)

    def after(self, earlier: Mapping[str, Any] | None) -> BudgetUse:
        """Return the use of a whole run of which this is the last segment.

        Args:
            earlier: The use of the segments before, as `to_dict` wrote it, or None.
        """
        if earlier is None:
            return self
        first = BudgetUse.from_dict(earlier)
        before = {group.group: group for group in first.groups}
        groups = [group.after(before.pop(group.group)) if group.group in before else group for group in self.groups]
        return replace(self, waited=self.waited + first.waited, groups=(*groups, *before.values()))
