"""Remember which calls wait for room in a limit, so that cheaper ones do not take it from them for ever."""

from __future__ import annotations

# So many seconds late, a call that waits still finds its room: threads do not wake to the moment, and some give up.
_WAKING = 0.1


class WaitingCalls:
    """The calls that wait, by cost; not safe for threads, and reads no clock."""

    def __init__(self) -> None:
        # The first to wait comes first: until when its thread has asked again, unless it gave up.
        self._until: dict[int, float] = {}

    def add(self, now: float, wait: float, cost: int, ahead: int) -> float:
        """Note that a call waits; one that leaves room for another asks again when that one may have given up.

        Args:
            now: The time.
            wait: Seconds that it waits.
            cost: Its units.
            ahead: Units of the call that waits for longer; 0 for none.

        Returns:
            The seconds after which it is to ask again.
        """
        if ahead in self._until:
            wait = min(wait, self._until[ahead] - now)
        self._until[cost] = now + wait + _WAKING
        return wait

    def remove(self, cost: int) -> None:
        """Note that a call of this cost leaves."""
        self._until.pop(cost, None)

    def ahead(self, now: float, cost: int) -> int:
        """Return the cost of the call that waits for longest; 0 if none waits, or only calls of this same cost."""
        while self._until:
            first = next(iter(self._until))
            if now < self._until[first]:
                return 0 if first == cost else first
            del self._until[first]
        return 0
