"""What is measured over real HTTP, and how: the part of a limit that runs use, by the server's record of their calls.

Used is `ideal time / time`, from the first accepted call of the runs to their last one. The ideal is that of a client
that knows the limiter, has no latency, and sends each call at the first moment at which the limiter accepts it. So
after its first call it has sent `n` more calls, under a limit of `L` per `W` seconds (times the run's share of it),
after these seconds:

| kind | seconds |
|---|---|
| `aligned` | 0 for `n < L`, else the rest of the first window + `W * (floor(n / L) - 1)` |
| `first_call`, `sliding` | `W * floor(n / L)` |
| `bucket` | `max(0, n + 1 - L) * W / L`: it is full at the start |

The number of rows is one more than a multiple of `L`, so that neither a burst nor an even spread of the calls is at an
advantage. Of a run with a share the figure is that share times `ideal time / time`. Used later is the same without the
first third of the calls, in which a run starts and finds out which limit it faces: from the first call of a window to
a call that is the first of a later window for the ideal client. For a bucket it is there `n * W / L`, and of aligned
windows it is the part of their units that was used, in all windows but the last one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.budget.limited_server import Call, VendorSetup
from tests.budget.limiters import DAY

KEY, OTHER_KEY = "key-of-the-runs", "key-of-another-program"


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        kind: Kind of the limit, see `limiters.py`.
        limit: Units per window.
        seconds: Length of a window.
        announces: What the answers say of it, see `limited_server.py`.
        store: Where the runs share the limit: "none", "sqlite" or "postgresql".
        processes: Number of runs at once, each in a process of its own.
        share: Part of the limit that the runs may use.
        other: Part of the limit that another program takes at random times.
        lasts: Seconds that the ideal client takes, about.
        way: "operator", or what it is compared with: "threads" or "gate".
        day: Limit of a day beside this one; 0 for none.
        day_used: Units of the day that are used up already.
    """

    kind: str
    limit: int
    seconds: float
    announces: str = "seconds"
    store: str = "sqlite"
    processes: int = 1
    share: float = 1.0
    other: float = 0.0
    lasts: float = 12.0
    way: str = "operator"
    day: int = 0
    day_used: int = 0

    @property
    def allowed(self) -> float:
        """Units per window that the runs may use."""
        return self.limit * self.share

    @property
    def setup(self) -> VendorSetup:
        """What the server does."""
        limits = [(self.kind, self.limit, self.seconds, 0)]
        return VendorSetup(
            (*limits, ("aligned", self.day, DAY, self.day_used)) if self.day else tuple(limits), self.announces
        )

    @property
    def rows(self) -> int:
        """Rows that the ideal client writes in `lasts` seconds."""
        windows = max(1, round(self.lasts / self.seconds))
        if self.kind == "bucket":
            return round(self.allowed * (1 + (1 - self.other) * self.lasts / self.seconds))
        return round(self.allowed * (1 - self.other)) * windows + 1

    def ideal(self, calls: int, *, begins: float = 0.0) -> float:
        """Return the seconds after which the ideal client has sent that many calls after its first one.

        Args:
            calls: The calls after the first one.
            begins: The time of the first one on the server's clock.
        """
        if self.kind == "bucket":
            return max(0.0, calls + 1 - self.allowed) * self.seconds / self.allowed
        windows = math.floor(calls / self.allowed + 1e-9)
        if self.kind == "aligned" and windows:
            return windows * self.seconds - (begins + self.setup.phase * self.seconds) % self.seconds
        return windows * self.seconds


@dataclass(frozen=True)
class Use:
    """What came out.

    Attributes:
        used: Part of the limit that all programs used together, see above; None if nothing had to wait.
        later: The same without the start; None if the rest is shorter than a window.
        accepted: Calls that the server accepted from the runs.
        refused: Calls that it refused to them.
        other: Calls of the other program: all, and those that were refused.
        peak: The most that the runs used of a window of the limiter, as a part of the whole limit.
        ends: How the runs ended.
        core_wait: Seconds that the server waited for a core whenever it had something to do; 0 if it is not known.
    """

    used: float | None
    later: float | None
    accepted: int
    refused: int
    other: tuple[int, int]
    peak: float
    ends: tuple[dict[str, Any], ...]
    core_wait: float = 0.0

    @property
    def refused_part(self) -> float:
        """Part of the runs' calls that was refused."""
        return self.refused / max(1, self.refused + self.accepted)

    @property
    def waited(self) -> float:
        """Part of their time for which the runs waited for a core: that of the one that waited for longest."""
        longest = max((end.get("seconds", 0.0) for end in self.ends), default=0.0)
        return max(end.get("core_wait", 0.0) for end in self.ends) / longest if longest else 0.0

    @property
    def failures(self) -> list[str]:
        """How runs ended that did not write all their rows."""
        failed = [end for end in self.ends if end["outcomes"].keys() != {"updated"}]
        return [str(end.get("error") or end.get("deferred") or end["outcomes"]) for end in failed]


def use_of(cell: Cell, calls: Sequence[Call], ends: Sequence[dict[str, Any]] = ()) -> Use:
    """Return what the server's record of the calls says."""
    own = [call for call in calls if call.key == KEY]
    other = [call for call in calls if call.key != KEY]
    times = [call.at for call in own if call.accepted]
    accepted = [call.at for call in calls if call.accepted and times[0] <= call.at <= times[-1]]
    took = times[-1] - times[0]
    whole = replace(cell, share=1.0) if cell.other else cell
    ideal = whole.ideal(len(accepted) - 1, begins=times[0])
    return Use(
        used=whole.share * ideal / took if ideal else None,
        later=later_use(whole, accepted),
        accepted=len(times),
        refused=sum(not call.accepted for call in own),
        other=(len(other), sum(not call.accepted for call in other)),
        peak=peak(cell, times),
        ends=tuple(ends),
    )


def later_use(cell: Cell, times: Sequence[float]) -> float | None:
    """Return what was used after the first third of these calls; None if that is less than a window."""
    opens = [number for number, opened in enumerate(_openings(cell, times)) if opened and number >= len(times) / 3]
    if not opens:
        return None
    if cell.kind == "aligned":
        windows = [(at + cell.setup.phase * cell.seconds) // cell.seconds for at in times[opens[0] :]]
        whole = windows[-1] - windows[0]
        return sum(window < windows[-1] for window in windows) / (whole * cell.limit) if whole else None
    first, steps = opens[0], 1 if cell.kind == "bucket" else cell.allowed
    count = round(math.floor((len(times) - 1 - first) / steps + 1e-9) * steps)
    if not count:
        return None
    begins = times[first]
    ideal = count * cell.seconds / cell.allowed if cell.kind == "bucket" else cell.ideal(count, begins=begins)
    return cell.share * ideal / (times[first + count] - begins)


def _openings(cell: Cell, times: Sequence[float]) -> Iterator[bool]:
    """Return of each call whether it is the first one of a window; every call is, where there are no windows."""
    ends = -math.inf
    for at in times:
        yield at >= ends or cell.kind in {"sliding", "bucket"}
        if at >= ends:
            passed = (at + cell.setup.phase * cell.seconds) % cell.seconds if cell.kind == "aligned" else 0.0
            ends = at - passed + cell.seconds


def peak(cell: Cell, times: Sequence[float]) -> float:
    """Return the most that these calls used of one window of the limiter, as a part of the limit.

    Of a bucket it is the most that they took in any time, as a part of its tokens and of those that came in that time.
    """
    length = cell.seconds
    if cell.kind == "aligned":
        return max(Counter((at + cell.setup.phase * length) // length for at in times).values()) / cell.limit
    if cell.kind == "bucket":
        rate = cell.limit / length
        return max(
            (last - first + 1) / (cell.limit + rate * (times[last] - times[first]))
            for first in range(len(times))
            for last in range(first, len(times))
        )
    if cell.kind == "first_call":
        most, begun, counted = 0, -math.inf, 0
        for at in times:
            begun, counted = (at, 1) if at >= begun + length else (begun, counted + 1)
            most = max(most, counted)
        return most / cell.limit
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - length:
            first += 1
        most = max(most, last - first + 1)
    return most / cell.limit
