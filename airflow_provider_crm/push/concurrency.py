"""Find the number of threads while the run goes on, between one and a largest number.

The right number of threads is the latency of the vendor times the rate of calls that its limit, its server and this
process allow. These four are unknown and change, so `Concurrency` tries: more threads stay if they bring more calls per
second, fewer stay if they cost none.
"""

from __future__ import annotations

import math
from typing import NamedTuple

FIRST_SIZE = 16
# Calls per second that a process makes at most, more or less: to begin with there are no more threads than that needs.
_FIRST_RATE = 2_000
_SETTLED_ROUNDS = 2
_SHORTEST_ROUND = 0.1
_FEWEST_CALLS = 8  # the mean of fewer says little
_SHORTEST_PACED_ROUND = 5.0
_REST = 10.0
# Parts of the threads' time that they wait for the rate limit: below the first all are needed, above the last there are
# too many; with the one between, the limit is used in full although latencies vary.
_SCARCE, _ENOUGH, _PLENTY = 0.1, 0.15, 0.3
_BUSY = 0.75
_MANY = 2  # a call for that many times as many rows takes longer by itself
_CROWDED = 2.0
_GAIN = 0.15
_LOSS = 0.9
_SLOWER = 0.75


class CallTiming(NamedTuple):
    """The time that one call took, or the calls of one row.

    Attributes:
        at: When it ended, in monotonic seconds.
        seconds: How long a thread had it.
        waited: How many of these it waited for the rate limit.
        rows: How many rows it carried.
    """

    at: float
    seconds: float
    waited: float
    rows: int = 1


class _Tried(NamedTuple):
    """A number of threads, and the calls per second that it brought."""

    size: int
    rate: float


class Concurrency:
    """Finds the number of threads; not safe for threads, and reads no clock.

    The first call goes alone, and the time that it takes sets the first number of threads. The number is doubled with
    each round, as long as calls take less than twice the time that they took at first. A round is about one call of
    each thread. What one thread does for a row counts as one call, or what it does for rows that share one. Where the
    first row goes alone and others share calls, the first round of those is what later ones are compared with.

    From then on it looks at longer rounds; calls that had begun before the number was changed do not count. After each,
    one of these is done:

    - Threads that only wait for the rate limit are removed.
    - Threads that wait for rows change nothing: the source is slower than the vendor.
    - Twice as many are tried, and kept if twice as many threads bring at least 15% more calls per second. Otherwise the
      vendor, or this process, is at its limit, and only answers got slower.
    - Where more bring nothing, a third fewer are tried, and kept as long as that costs nothing. Calls that wait for the
      vendor's server or for this process need no thread.
    - The same when the calls per second fall by a quarter: a server that is overloaded gets relief. If it does cost,
      the vendor is only farther away, and more are tried.

    Args:
        largest: Threads at most.

    Attributes:
        size: Threads that there may be now.
    """

    def __init__(self, largest: int) -> None:
        self.size = 1
        self._largest = largest
        self._starting = True
        self._unhurried: float | None = None
        self._measured_rows, self._most_rows = 0, 0
        self._before: _Tried | None = None
        self._settled: float | None = None
        self._falling = False
        self._needed = 1
        self._rest_until = -math.inf
        self._old_calls = 0
        self._began: float | None = None
        self._calls, self._seconds, self._waited = 0, 0.0, 0.0

    def ended(self, call: CallTiming) -> None:
        """Learn from a call that ended, and choose the number of threads again after each round."""
        if self._old_calls > 0:
            self._old_calls -= 1
            self._begin(call.at)
            return
        if self._began is None:
            self._began = call.at - call.seconds
        self._calls += 1
        self._most_rows = max(self._most_rows, call.rows)
        self._seconds += call.seconds
        self._waited += call.waited
        lasted = call.at - self._began
        if self._starting:
            if self._calls >= self.size and lasted > 0:
                self._start(lasted)
                self._begin(call.at)
            return
        rounds = 1 if self._settled is None or self._before is not None else _SETTLED_ROUNDS
        paced = self._waited > _SCARCE * self._seconds
        enough = self._calls >= max(rounds * self.size, _FEWEST_CALLS)
        if enough and lasted >= (_SHORTEST_PACED_ROUND if paced else _SHORTEST_ROUND):
            self._choose(call.at, lasted)
            self._begin(call.at)

    def _begin(self, now: float) -> None:
        self._began = now
        self._calls, self._seconds, self._waited = 0, 0.0, 0.0

    def _start(self, lasted: float) -> None:
        """Double the threads until there are enough, or calls take longer, or wait for something."""
        took = (self._seconds - self._waited) / self._calls
        scarce, idle = self._waited > _SCARCE * self._seconds, self._seconds < _BUSY * lasted * self.size
        if self._unhurried is None:
            self._unhurried, self._measured_rows = took, self._most_rows
            self.size = max(1, min(math.ceil(took * _FIRST_RATE), FIRST_SIZE, self._largest))
        elif self._most_rows > _MANY * self._measured_rows:
            self._unhurried, self._measured_rows = took, self._most_rows
        elif took > _CROWDED * self._unhurried:
            self._starting = False
            # By Little's law: so many calls are on their way when none of them has to queue.
            self._resize(math.ceil(self._calls / lasted * self._unhurried))
        elif scarce or idle:
            self._starting = False
        else:
            self._unhurried = min(self._unhurried, took)
            self.size = min(2 * self.size, self._largest)
        self._starting = self._starting and self.size < self._largest

    def _choose(self, now: float, lasted: float) -> None:
        falling, self._falling = self._falling, False
        rate, waiting = self._calls / lasted, self._waited / self._seconds if self._seconds else 0.0
        if waiting > _SCARCE:
            self._before = self._settled = None
            if waiting > _PLENTY:
                # At most by half: a long window may just have ended, and the next one begins with a full budget.
                self._resize(max(math.ceil(self.size * (1 - waiting) / (1 - _ENOUGH)), self.size // 2))
        elif self._seconds < _BUSY * lasted * self.size:
            self._before = None
        elif self._before is not None:
            self._judge(self._before, rate, now)
        elif falling and self.size > 1:
            self._needed = 1
            self._try_fewer(rate)
        elif self._settled is not None and rate < _SLOWER * self._settled:
            # Part of this round was still as before: what fewer threads bring is compared with the next one.
            self._settled, self._falling = None, True
        elif now >= self._rest_until and self.size < self._largest:
            self._try(self.size * 2, rate)
        elif self._settled is None:
            self._settled = rate
            if now < self._rest_until and self.size > self._needed:
                self._try_fewer(rate)

    def _judge(self, before: _Tried, rate: float, now: float) -> None:
        """Go on in the direction that was tried, or go back."""
        more = self.size > before.size
        least = 1 + _GAIN * (self.size / before.size - 1) if more else _LOSS
        self._before, self._settled = None, rate
        if rate < least * before.rate:
            self._settled = None if more else before.rate
            self._resize(before.size)
            # Fewer were too few: then more may be better than before. More were too many: that will not change soon.
            self._rest_until = now + _REST if more else now
            if not more:
                self._needed = before.size
        elif more and self.size < self._largest:
            self._try(self.size * 2, rate)
        elif not more and self.size > 1:
            self._try_fewer(max(rate, before.rate))

    def _try_fewer(self, rate: float) -> None:
        self._try(self.size * 2 // 3, rate)

    def _try(self, size: int, rate: float) -> None:
        self._before = _Tried(self.size, rate)
        self._resize(size)

    def _resize(self, size: int) -> None:
        self._old_calls = self.size
        self.size = max(1, min(size, self._largest))
