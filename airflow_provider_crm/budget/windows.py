"""Learn from answers a limit of so many calls per window, or of so many units of which each call costs some.

An answer that says "the window ends in `reset` seconds" was written between sending and receiving, and vendors round
`reset` up. So the end lies between `sent + reset - grain` and `received + reset`; the answers of one window narrow that
down by intersection. A new window begins here only after the latest possible end: no call sent then can land in the old
one. A call that was sent before and is not answered yet may land in either, so it counts in both until its answer
comes. Within a window the vendor's count is at most the highest that answers have shown, plus the calls in flight. No
call is sent beyond that, so none is refused; and none is left over, because all answers are in long before the window
ends. A call that costs more than is left waits for the next window; one that costs more than the whole limit could
wait for ever, so it is sent when nothing of a window is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from airflow_provider_crm.budget.allowance import Allowance
from airflow_provider_crm.budget.limit_state import POLL, LeaseDemand, Observation, OwnCalls, changed
from airflow_provider_crm.budget.span import Span

_TOLERANCE = 0.02
_DRIFT = 0.001
_CONTRADICTIONS = 2
_UNKNOWN = 1_000_000_000
# Other programs' calls are foreseen within windows of up to that many seconds by spreading our own over the window. A
# longer one is used at once: a worker that has nothing left to send then frees its slot until the next.
LONGEST_SPREAD = 60.0
_SPREAD_OVER = 0.9
# Before a window that one call needs whole, no other leaves for so many seconds: what lands late would take a part.
_DRAINED = 2.0


@dataclass(frozen=True)
class FixedWindow:
    """The present window of one limit.

    Attributes:
        allowance: The calls that may be sent in it.
        span: When it ends.
        shared: Whether the calls of this and other workers are counted elsewhere.
        limit: Units per window; 0 until an answer names it.
        stated: Whether limit and length are what the connection states, and no answer has come yet.
        number: Number of the window, counted by this worker.
        observed: Whether an answer of this window has come.
        counted: Units that the vendor has counted, by its answers.
        counted_at: When the answer with the highest count came.
        unanswered: When the calls ended that got no answer, and that no answer has counted yet; and their costs.
        sent_before: Our units, as `OwnCalls` counts them, that were sent before this window.
        late: Units of the calls whose answers came when the next window may have begun.
        refusals: Units of the calls that were refused when the window was used up.
        contradictions: How often the answers contradicted a fixed window.
    """

    allowance: Allowance
    span: Span
    shared: bool
    limit: int = 0
    stated: bool = False
    number: int = 0
    observed: bool = False
    counted: int = 0
    counted_at: float = math.inf
    unanswered: tuple[tuple[float, int], ...] = ()
    sent_before: int = -_UNKNOWN
    late: int = 0
    refusals: int = 0
    contradictions: int = 0

    @classmethod
    def unknown(cls, share: float, *, shared: bool) -> Self:
        """Return a window of which nothing is known yet.

        Args:
            share: Part of the limit that may be used.
            shared: Whether the calls of this and other workers are counted elsewhere, so that no call is external.
        """
        return cls(Allowance(1.0 if shared else share), Span(0.0), shared)

    @classmethod
    def as_stated(cls, share: float, *, shared: bool, limit: int, length: float) -> Self:
        """Return a window of a limit that the connection states, to go by until an answer says more."""
        return cls(Allowance(1.0 if shared else share), Span(length), shared, limit, stated=True, sent_before=0)

    @property
    def contradicted(self) -> bool:
        """Whether the end of the window moves with the calls, as that of a token bucket does."""
        return self.contradictions >= _CONTRADICTIONS

    @property
    def length(self) -> float:
        """Seconds that windows last, as far as answers have shown; 0 if none has yet."""
        return self.span.length

    def at(self, now: float, calls: OwnCalls) -> FixedWindow:
        """Return the window at this moment: the next one if this one is surely over."""
        if (end := self.span.latest_end) is None:
            end = self._end(calls)
        return self if end is None or now < end else _following(self, end, calls)

    def wait(self, now: float, calls: OwnCalls, cost: int = 1, ahead: int = 0) -> float:
        """Return the seconds until a call may be sent; 0 for now."""
        cap, own, end = self.allowance.cap(self.limit), calls.sent - self.sent_before, self._end(calls)
        if ahead >= cap and end is not None and 0 < end - now <= _DRAINED and own:
            return end - now
        costs = (cost, ahead) if ahead and self._fits(cap, own, calls, (ahead,)) else (cost,)
        if self._fits(cap, own, calls, costs):
            return self._spread(now, cap - own, calls)
        unsent = end is None or calls.last_sent < self.span.opened_at
        if self.span.latest_end is None and not calls.in_flight and unsent:
            return 0.0  # one call has to find out where the window stands
        until = POLL if end is None else end - now
        return min(POLL, until) if calls.in_flight else until

    def record_send(self, now: float, cost: int = 1) -> FixedWindow:  # noqa: ARG002 - as buckets have it
        """Begin a stated window with its first call, which leaves now."""
        if self.stated and self.span.latest_end is None:
            return changed(self, span=self.span.ending(now + self.length))
        return self

    def cancel_send(self, window: int, cost: int = 1) -> FixedWindow:
        """Count a call no more, because it was not sent."""
        return changed(self, sent_before=self.sent_before + cost) if window == self.number else self

    def record_unanswered(self, now: float, window: int, cost: int = 1) -> FixedWindow:
        """Count a call as used until an answer includes it: it got no answer, or one without limits."""
        if window != self.number:
            return self
        late = self.late + cost if self.observed and now > self.span.earliest_end else self.late
        return changed(self, unanswered=(*self.unanswered, (now, cost)), late=late)

    def record_refusal(self, now: float, wait: float, cost: int = 1) -> FixedWindow:
        """Count a refusal if the window is used up, as others use the limit, too; else it was by another limit."""
        if self.counted + _units(self.unanswered) + min(cost, self.limit) <= self.limit:
            return self
        known = wait > 0 and self.span.latest_end is not None
        return changed(self, refusals=self.refusals + cost, span=self.span.ending(now + wait) if known else self.span)

    def observe(self, seen: Observation, calls: OwnCalls) -> FixedWindow:
        """Learn from an answer: when the window ends, and what the vendor has counted."""
        state = self
        if state.stated:
            state = changed(state, stated=False, span=replace(state.span, length=seen.reset))
        if seen.limit != state.limit:
            state = changed(state, limit=seen.limit, counted=0)
        span, tolerance = state.span, _TOLERANCE + _DRIFT * seen.reset
        earliest_end, latest_end = seen.earliest_end, seen.latest_end
        if seen.window < state.number and _landed_before(span, earliest_end, latest_end, tolerance):
            return changed(state, sent_before=min(state.sent_before + seen.cost, calls.sent))
        if span.latest_end is None or latest_end < span.earliest_end - tolerance:
            state = _first(state, seen)
        elif earliest_end > span.latest_end + tolerance or _restarted(state, seen):
            if seen.received_at < span.earliest_end - tolerance and not seen.whole_seconds:
                # The end moved on; whole seconds cannot show that, nor answers that crossed each other.
                state = changed(state, contradictions=state.contradictions + 1)
            state = _following(state, min(span.latest_end, seen.received_at), calls)
            state = _first(changed(state, sent_before=state.sent_before - seen.cost), seen)
        else:
            state = _narrowed(state, span.narrowed(earliest_end, min(span.latest_end, latest_end)), seen)
        return _counting(state, seen, calls)

    def join(self, now: float, calls: OwnCalls, *, limit: int, is_new: bool, ends_at: float | None) -> FixedWindow:
        """Learn what other workers know: the limit, whether a new window has begun, and when it ends."""
        state = self
        if is_new and (state.observed or state.span.latest_end is not None):
            state = _following(state, now, calls)
        if limit and not state.observed:
            unknown = calls.sent - state.sent_before == _UNKNOWN
            sent_before = calls.sent - calls.in_flight if unknown else state.sent_before
            state = changed(state, limit=limit, sent_before=sent_before)
        return state if ends_at is None else changed(state, span=state.span.ending(ends_at))

    def demand(self, now: float, calls: OwnCalls) -> LeaseDemand:
        """Return the knowledge that the shared store needs to lease calls."""
        span = self.span
        return LeaseDemand(
            now, self.limit, self.counted, calls.in_flight, span.opened_at, span.latest_end, span.length, self.number
        )

    def _end(self, calls: OwnCalls) -> float | None:
        """Return when the window surely is over; where no answer says so any more, after its length."""
        span = self.span
        if span.latest_end is None and not self.shared and not calls.in_flight and math.isfinite(span.opened_at):
            return span.opened_at + span.length
        return span.latest_end

    def _fits(self, cap: int, own: int, calls: OwnCalls, costs: tuple[int, ...]) -> bool:
        """Return whether calls of these costs fit into this window; one that exceeds it counts as a whole window."""
        if own + sum(min(cost, cap) for cost in costs) > cap:
            return False
        most = max(self.limit, 1)
        return self._used(own, calls.in_flight) + sum(min(cost, most) for cost in costs) <= self.limit

    def _used(self, own: int, in_flight: int) -> int:
        """Return the units that the vendor has counted at most, once the calls on their way have arrived."""
        external_calls = self.allowance.external_calls
        # With other programs on the limit, one of their calls may be on its way, too.
        most = self.counted + _units(self.unanswered) + in_flight + (1 if external_calls and own else 0)
        return most if external_calls or self.counted > own else min(most, own)

    def _spread(self, now: float, left: int, calls: OwnCalls) -> float:
        """With other programs on the limit, leave time between the calls that are left, so that theirs show in time."""
        span = self.span
        if not self.allowance.external_calls or span.length > LONGEST_SPREAD or calls.last_sent < span.opened_at:
            return 0.0
        end = span.latest_end if span.latest_end is not None else span.opened_at + span.length
        rest = max(end - span.length * (1 - _SPREAD_OVER) - now, 0.0)
        gap = rest / (left + calls.last_cost - 1) * calls.last_cost
        return max(calls.last_sent + gap - now, 0.0)


def _units(unanswered: tuple[tuple[float, int], ...]) -> int:
    """Return the units of calls that got no answer."""
    return sum(cost for _, cost in unanswered)


def _landed_before(span: Span, earliest_end: float, latest_end: float, tolerance: float) -> bool:
    """Return whether a call that was on its way when this window began was counted in the one before."""
    if span.latest_end is None:
        return earliest_end <= span.opened_at
    return latest_end < span.earliest_end - tolerance


def _restarted(state: FixedWindow, seen: Observation) -> bool:
    """Return whether a call was counted below one that was answered earlier: whole seconds hide a new window."""
    return seen.sent_at >= state.counted_at and seen.whole_seconds and seen.counted <= state.counted


def _first(state: FixedWindow, seen: Observation) -> FixedWindow:
    """Learn from the first answer of a window when it ends, and what was counted before."""
    return changed(
        state,
        span=state.span.first(seen),
        counted=seen.counted,
        counted_at=seen.received_at,
        observed=True,
        late=0,
    )


def _narrowed(state: FixedWindow, span: Span, seen: Observation) -> FixedWindow:
    """Learn from one more answer of a window, which narrows it to that span."""
    counted = seen.counted
    if not state.observed and seen.window == state.number:
        state = changed(state, counted=0, late=0, observed=True)
    if counted > state.counted:
        return changed(state, span=span, counted=counted, counted_at=seen.received_at)
    return state if span is state.span else changed(state, span=span)


def _counting(state: FixedWindow, seen: Observation, calls: OwnCalls) -> FixedWindow:
    """Count what an answer includes: calls without an answer that ended before this one was sent."""
    if state.unanswered:
        unanswered = tuple(one for one in state.unanswered if one[0] >= seen.sent_at)
        state = changed(state, unanswered=unanswered)
    sent_before = calls.sent - calls.in_flight - state.counted - _units(state.unanswered)
    if sent_before > state.sent_before:
        state = changed(state, sent_before=sent_before)
    if seen.window == state.number and state.observed and seen.received_at > state.span.earliest_end:
        return changed(state, late=state.late + seen.cost)  # it may have landed in the next window
    return state


def _following(state: FixedWindow, at: float, calls: OwnCalls) -> FixedWindow:
    """Return the next window, which opens then."""
    allowance, own = state.allowance, calls.sent - state.sent_before
    if not state.shared and (state.observed or state.unanswered):
        counted = state.counted if state.observed else own
        allowance = allowance.after_window(state.limit, counted=counted, own=own, refused=state.refusals)
    # A window that opened and let no call pass: more likely it is a bucket, and empty.
    contradicted = state.refusals >= max(own, 1)
    return changed(
        state,
        allowance=allowance,
        span=state.span.following(at),
        number=state.number + 1,
        observed=False,
        counted=state.late,
        counted_at=math.inf,
        unanswered=(),
        sent_before=calls.sent - calls.in_flight - state.late,
        late=0,
        refusals=0,
        contradictions=state.contradictions + 1 if contradicted else state.contradictions,
    )
