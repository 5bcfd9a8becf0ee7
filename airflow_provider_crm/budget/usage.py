"""Add up what a run used of the vendor's rate limit, for its report: when it ends, at no cost while it goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

KEY_DIGITS = 12
"""So many digits of a key's SHA-256 distinguish it from the other keys of one Airflow."""

# The end of one day is computed from several answers, which differ by seconds; two days end 23 to 25 hours apart.
_SAME_DAY = dt.timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class DayUse:
    """The use of a daily limit by the calls of one run.

    Attributes:
        limit: Units a day that the vendor allows to all programs on the key.
        used: Units that the run's calls of that day cost.
        left: Units that the vendor's last answer leaves to all programs; None where no answer names them.
        ends_at: End of the day, as an ISO instant in UTC; None where the last 24 hours count.
        share: Part of the limit that all runs on the key may use together.
    """

    limit: int
    used: int
    left: int | None
    ends_at: str | None
    share: float

    def after(self, earlier: DayUse | None) -> DayUse:
        """Return the use by two segments of a run, of which this is the later one; of an earlier day nothing counts."""
        if earlier is None or not self._same_day(earlier):
            return self
        left = earlier.left if self.left is None else self.left
        # Vendors round the end up, and answers travel: of two ends of one day the earlier is nearer to the truth.
        ends = [one.ends_at for one in (self, earlier) if one.ends_at is not None]
        ends_at = min(ends, key=dt.datetime.fromisoformat, default=None)
        return replace(self, used=self.used + earlier.used, left=left, ends_at=ends_at)

    def _same_day(self, earlier: DayUse) -> bool:
        if self.ends_at is None or earlier.ends_at is None:
            return True
        apart = dt.datetime.fromisoformat(self.ends_at) - dt.datetime.fromisoformat(earlier.ends_at)
        return abs(apart) < _SAME_DAY


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
        kind: Kind of the limit by the evidence of the answers: "aligned", "first_call", "sliding", "bucket" or
            "refusals"; None while nothing is known.
        day: The use of the limit of a day; None where no answer names one.
    """

    group: str
    calls: int
    limit: int | None = None
    window: float | None = None
    allowed: int | None = None
    cost: int | None = None
    kind: str | None = None
    day: DayUse | None = None

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
            kind=self.kind or earlier.kind,
            day=earlier.day if self.day is None else self.day.after(earlier.day),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the use that `dataclasses.asdict` made, maybe in a version that knew fewer of the attributes."""
        day = values.get("day")
        return cls(**{**values, "day": None if day is None else DayUse(**day)})


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
        groups = tuple(map(GroupUse.from_dict, values["groups"]))
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
