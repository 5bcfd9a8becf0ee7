"""A limit of so many calls per window, learned from the answers.

What is known, and how. An answer that says "the window ends in `reset` seconds" was written between sending and
receiving, and vendors round `reset` up. So the end lies between `sent + reset - grain` and `received + reset`; the
answers of one window narrow that down by intersection. A new window is begun only after the latest possible end: what
is sent then cannot land in the old one. What was sent before and is not answered yet may land in either, so it counts
in both, until its answer tells. Within a window the vendor's count is at most what the answers have shown, plus what is
in flight: no call is sent beyond that, so none is refused, and none is left over, because all answers are in long
before the window ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_provider_crm.budget.allowance import Allowance

POLL = 0.005
"""Seconds after which to ask again where an answer on its way will tell more."""

_WHOLE_SECONDS, _MILLISECONDS = 1.0, 0.001
_TOLERANCE = 0.02
_DRIFT = 0.001
_CONTRADICTIONS = 2
_UNKNOWN = 1_000_000_000
# Other programs' calls are foreseen within windows of up to that many seconds by spreading our own over the window. A
# longer one is used at once: whoever has nothing left to send then frees its worker slot until the next.
LONGEST_SPREAD = 60.0
_SPREAD_OVER = 0.9


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer tells about the limit.

    Attributes:
        sent_at: Monotonic seconds before the call was sent.
        received_at: Monotonic seconds after its answer came.
        window: Number of the window for which the call was sent.
        limit: Calls per window.
        remaining: Calls left.
        reset: Seconds until the window ends, rounded up.
    """

    sent_at: float
    received_at: float
    window: int
    limit: int
    remaining: int
    reset: float

    @property
    def counted(self) -> int:
        """Calls that the vendor has counted in this window, this one included."""
        return max(self.limit - self.remaining, 0)

    @property
    def whole(self) -> bool:
        """Whether `reset` was rounded to seconds; one of many decimals may be taken for it, which does no harm."""
        return float(self.reset).is_integer() and self.reset > 0

    @property
    def earliest_end(self) -> float:
        """The window ends then or later."""
        grain = _WHOLE_SECONDS if self.whole else _MILLISECONDS
        return self.sent_at + max(self.reset - grain, 0.0)

    @property
    def latest_end(self) -> float:
        """The window ends then or earlier."""
        return self.received_at + self.reset


@dataclass(frozen=True, slots=True)
class LeaseDemand:
    """What a worker tells the shared store when it asks for calls.

    Attributes:
        at: Monotonic seconds to which `ends_at` refers.
        limit: Calls per window.
        counted: Calls that the vendor has counted in this window, as far as known here.
        in_flight: Calls sent and not answered, which may land in a window that is new to this worker.
        opened_at: Latest end of the window before.
        ends_at: Latest end of the window by this worker's knowledge, or None.
        length: Seconds that a window lasts, as far as known.
        number: This worker's number of the window.
        rate: Calls per second by which a bucket is filled; 0 where there are windows, or nothing is known.
    """

    at: float
    limit: int
    counted: int
    in_flight: int
    opened_at: float
    ends_at: float | None
    length: float
    number: int
    rate: float = 0.0


class FixedWindow:
    """The present window of one limit.

    Args:
        share: Part of the limit that may be used.
        shared: Whether the calls of this and other workers are counted elsewhere, so that nobody is a stranger.
        stated: Calls and seconds to go by until an answer tells more; None where one has told already.

    Attributes:
        number: Of the present window, counted by this worker.
        unfit: Whether the answers contradict a fixed window.
    """

    def __init__(self, share: float, *, shared: bool, stated: tuple[int, float] | None = None) -> None:
        self.number = 0
        self._alone = not shared
        self._allowance = Allowance(1.0 if shared else share)
        self._limit, self._length = stated or (0, 0.0)
        self._stated = stated is not None
        self._earliest = -math.inf
        self._latest: float | None = None
        self._opened_at = -math.inf
        self._told = False
        self._counted = 0
        self._counted_at = math.inf
        self._uncounted: list[float] = []
        self._own = _UNKNOWN if stated is None else 0
        self._late = 0
        self._refusals = 0
        self._contradictions = 0
        self._last_sent = -math.inf

    @property
    def unfit(self) -> bool:
        """Whether the end of the window moves with the calls, as that of a token bucket does."""
        return self._contradictions >= _CONTRADICTIONS

    @property
    def limit(self) -> int:
        """Calls per window as the vendor told; 0 if it has not yet."""
        return self._limit

    @property
    def length(self) -> float:
        """Seconds that windows last, as far as the answers told; 0 if none has yet."""
        return self._length

    @property
    def end_known(self) -> bool:
        """Whether it is known when the window ends."""
        return self._latest is not None

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until the next call may be sent; 0 for now."""
        if (end := self._end(in_flight)) is not None and now >= end:
            self._begin(end, in_flight)
            end = self._end(in_flight)
        cap = self._allowance.cap(self._limit)
        if self._own < cap and self._used(in_flight) < self._limit:
            return self._spread(now, cap)
        if self._latest is None and not in_flight and (end is None or self._last_sent < self._opened_at):
            return 0.0  # one call has to find out where the window stands
        until = POLL if end is None else end - now
        return min(POLL, until) if in_flight else until

    def sent(self, now: float) -> int:
        """Count a call that leaves now."""
        self._own += 1
        self._last_sent = now
        if self._stated and self._latest is None:
            self._latest = now + self._length
        return self.number

    def unsent(self, window: int) -> None:
        """Count a call no more, because it was not sent."""
        if window == self.number:
            self._own -= 1

    def untold(self, answered_at: float, window: int) -> None:
        """A call had no answer, or one without limits: it counts as used until an answer includes it."""
        if window == self.number:
            self._uncounted.append(answered_at)
            self._note_late(answered_at)

    def refused(self, now: float, wait: float) -> None:
        """A call was refused: if the window is used up, others use the limit, too; else it was by another limit."""
        if self._counted + len(self._uncounted) < self._limit:
            return
        self._refusals += 1
        if wait > 0 and self._latest is not None:
            self._latest = min(self._latest, now + wait)

    def told(self, answer: Answer, in_flight: int) -> None:
        """Take in what an answer says."""
        if self._stated:
            self._stated, self._length = False, answer.reset
        if answer.limit != self._limit:
            self._limit, self._counted = answer.limit, 0
        tolerance = _TOLERANCE + _DRIFT * answer.reset
        if self._latest is None:
            if answer.window < self.number and answer.earliest_end <= self._opened_at:
                self._landed_before()
                return
            self._first(answer)
        elif answer.latest_end < self._earliest - tolerance:
            if answer.window < self.number:
                self._landed_before()
                return
            self._first(answer)
        elif answer.earliest_end > self._latest + tolerance or self._counts_anew(answer):
            if answer.received_at < self._earliest - tolerance:
                self._contradicted(answer)
            self._begin(min(self._latest, answer.received_at), in_flight)
            self._own += 1
            self._first(answer)
        else:
            self._narrow(answer)
        # What was answered before this call was sent is in its count.
        self._uncounted = [answered_at for answered_at in self._uncounted if answered_at >= answer.sent_at]
        self._own = min(self._own, self._counted + len(self._uncounted) + in_flight)
        if answer.window == self.number:
            self._note_late(answer.received_at)

    def need(self, now: float, in_flight: int) -> LeaseDemand:
        """What the shared store has to know to grant calls."""
        return LeaseDemand(
            now, self._limit, self._counted, in_flight, self._opened_at, self._latest, self._length, self.number
        )

    def joined(self, now: float, in_flight: int, *, limit: int, anew: bool, ends_at: float | None) -> None:
        """Take over what other workers know: the limit, that a new window has begun, and when it ends."""
        if anew and (self._told or self._latest is not None):
            self._begin(now, in_flight)
        if limit and not self._told:
            self._limit = limit
            self._own = in_flight if self._own == _UNKNOWN else self._own
        if ends_at is not None:
            self._latest = ends_at if self._latest is None else min(ends_at, self._latest)

    def _end(self, in_flight: int) -> float | None:
        """When the window surely is over; where no answer tells any more, after its length."""
        if self._latest is None and self._alone and not in_flight and math.isfinite(self._opened_at):
            return self._opened_at + self._length
        return self._latest

    def _used(self, in_flight: int) -> int:
        """Calls that the vendor has counted at most, once those on their way have arrived."""
        external_calls = self._allowance.external_calls
        # With others on the limit, one of their calls may be on its way, too.
        most = self._counted + len(self._uncounted) + in_flight + (1 if external_calls and self._own else 0)
        return most if external_calls or self._counted > self._own else min(most, self._own)

    def _contradicted(self, answer: Answer) -> None:
        """The end moved on; of whole seconds that cannot be said, nor of answers that crossed each other."""
        if not answer.whole:
            self._contradictions += 1

    def _landed_before(self) -> None:
        """A call that was on its way when this window began was counted in the one before."""
        self._own = max(self._own - 1, 0)

    def _counts_anew(self, answer: Answer) -> bool:
        """Whether a call that was sent after an answer was counted below it: where whole seconds hide a new window."""
        return answer.whole and answer.sent_at >= self._counted_at and answer.counted <= self._counted

    def _spread(self, now: float, cap: int) -> float:
        """With other programs on the limit, leave time between calls, so that what they use shows in time."""
        if not self._allowance.external_calls or self._length > LONGEST_SPREAD or self._last_sent < self._opened_at:
            return 0.0
        end = self._latest if self._latest is not None else self._opened_at + self._length
        gap = max(end - self._length * (1 - _SPREAD_OVER) - now, 0.0) / (cap - self._own)
        return max(self._last_sent + gap - now, 0.0)

    def _first(self, answer: Answer) -> None:
        """The first answer of a window tells its end, and what was counted before."""
        self._length = max(self._length, answer.reset)
        self._earliest, self._latest = answer.earliest_end, min(answer.latest_end, self._predicted(answer))
        self._counted, self._counted_at = answer.counted, answer.received_at
        self._told = True
        self._late = 0

    def _predicted(self, answer: Answer) -> float:
        """The end as the window before foretells it, where the answers tell it in whole seconds only.

        Waiting for the latest end of each window as its answers tell it, late by a latency, would add up over windows.
        """
        if not answer.whole or not math.isfinite(self._opened_at):
            return math.inf
        windows = math.floor((answer.received_at - self._opened_at) / self._length) + 1
        return self._opened_at + windows * self._length

    def _narrow(self, answer: Answer) -> None:
        if self._latest is not None:
            self._latest = min(self._latest, answer.latest_end)
            self._earliest = max(self._earliest, min(answer.earliest_end, self._latest))
        if not self._told and answer.window == self.number:
            self._counted, self._late, self._told = 0, 0, True
        if answer.counted > self._counted:
            self._counted, self._counted_at = answer.counted, answer.received_at

    def _note_late(self, now: float) -> None:
        """Count answers that came when the next window may have begun: those calls may have landed in it."""
        if now > self._earliest and self._told:
            self._late += 1

    def _begin(self, at: float, in_flight: int) -> None:
        if self._alone and (self._told or self._uncounted):
            counted = self._counted if self._told else self._own
            self._allowance.reckon(self._limit, counted=counted, own=self._own, refused=self._refusals)
        if self._refusals >= max(self._own, 1):
            self._contradictions += 1  # a window that opened brought nothing: more likely it is a bucket, and empty
        self.number += 1
        self._opened_at = at
        self._earliest, self._latest = -math.inf, None
        self._counted, self._own, self._late = self._late, in_flight + self._late, 0
        self._counted_at = math.inf
        self._uncounted = []
        self._refusals, self._told = 0, False
