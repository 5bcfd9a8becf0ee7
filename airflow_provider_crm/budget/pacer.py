"""Pacing: how many calls may go out, and when, so that the vendor's budget is used and never overdrawn.

The vendor counts arrivals, and says what is left in its answers. A `Pacer` learns from them which kind of limit it is
under, and hands the question "may I send now?" to the plan that fits:

- `budget_window.FixedWindow`: so many calls per window; the answers tell its limit, what remains and when it ends;
- `budget_bucket.TokenBucket`: the same headers, of a limit that is refilled all the time.

Beside it, or alone where no answer tells anything, `budget_rate.DiscoveredRate` obeys a limit that only refusals tell.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_crm.budget.bucket import TokenBucket
from airflow_provider_crm.budget.lease import LeaseRequest, Refusal
from airflow_provider_crm.budget.rate import TESTING_SHARE, DiscoveredRate
from airflow_provider_crm.budget.usage import GroupUse
from airflow_provider_crm.budget.windows import LONGEST_SPREAD, POLL, Answer, FixedWindow, LeaseDemand
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_crm.budget.lease import Lease, Leases, SharedBudget
    from airflow_provider_crm.vendors.limits import Limits

_STATED = re.compile(r"(\d{1,9})/(\d{1,5})(s|m|h)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class StatedLimit:
    """What a connection says about the vendor's limit: where pacing starts, until answers tell more.

    Attributes:
        calls: Calls per window.
        seconds: Length of the window.
    """

    calls: int
    seconds: int

    @classmethod
    def parse(cls, text: object) -> StatedLimit:
        """Read `40/1s`, `600/1m` or `1000/1h`.

        Raises:
            ConfigurationError: Saying what to write instead.
        """
        found = _STATED.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None or not int(found[1]) or not int(found[2]):
            msg = f"budget is {text!r}; write calls per time, such as '40/1s', '600/1m' or '1000/1h'."
            raise ConfigurationError(msg)
        return cls(int(found[1]), int(found[2]) * _UNITS[found[3]])


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of the vendor's budget a session may use.

    Attributes:
        share: Part of the vendor's limit, above 0, at most 1; the rest is left to people and other programs.
        store: Where workers on one account share it; None where each converges by what the vendor says remains.
    """

    share: float = 1.0
    store: SharedBudget | None = None


def check_share(name: str, value: object) -> float:
    """A share as an argument has it.

    Raises:
        ConfigurationError: Saying what to write instead.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < float(str(value)) <= 1:
        msg = (
            f"{name} is {value!r}; write the part of the vendor's limit that the run may use, such as 0.9 (at most 1)."
        )
        raise ConfigurationError(msg)
    return float(str(value))


@dataclass(frozen=True, slots=True)
class Reservation:
    """Permission for one call.

    Attributes:
        sent_at: Monotonic seconds; the call leaves then or later.
        window: Number of the window for which it was given.
    """

    sent_at: float
    window: int


class Pacer:
    """Says for one key and endpoint group when the next call may go out; safe for many threads, and never sleeps.

    Args:
        clock: Time.
        share: Part of the vendor's limit that may be used.
        stated: What the connection says about the limit, or None.
        leases: Where calls come from that are shared with other workers; None for a worker of its own.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        share: float = 1.0,
        stated: StatedLimit | None = None,
        leases: Leases | None = None,
    ) -> None:
        self._clock = clock
        self._share = share
        self._leases = leases
        self._lock = threading.Lock()
        self._in_flight = 0
        self._heard = False
        self._calls = 0
        self._began = self._held_until = clock.monotonic()
        self._plan: FixedWindow | TokenBucket | None = None
        self._stated = 0.0
        if stated is not None and stated.seconds > LONGEST_SPREAD:
            self._plan = FixedWindow(share, shared=leases is not None, stated=(stated.calls, float(stated.seconds)))
        elif stated is not None:
            self._stated = stated.calls / stated.seconds
        self._found = DiscoveredRate.stated(self._stated) if self._stated else DiscoveredRate()

    def acquire(self) -> Reservation | float:
        """A ticket for a call that leaves now, or else the seconds after which to ask again.

        Raises:
            TransientError: The store of a shared budget cannot be used.
        """
        with self._lock:
            now = self._clock.monotonic()
            wait = self._held_until - now
            if self._plan is not None:
                wait = max(wait, self._plan.wait(now, self._in_flight))
            if self._leases is None:
                wait = max(wait, self._found.wait(now))
                return wait if wait > 0 else self._ticket(now)
            need = self._need(now)
            if wait <= 0 and (leased := self._leases.use(need.number, now)) is not None:
                return leased if leased > 0 else self._ticket(now)
            if wait > 0 and not self._leases.must_report(need.number, end_known=need.ends_at is not None):
                return wait
            if not self._heard and self._in_flight:
                return max(wait, POLL)  # the answer to the first call tells which limit it is
            ask = self._leases.begin(need, wants_calls=wait <= 0, stated=self._stated)
            if not isinstance(ask, LeaseRequest):
                return max(wait, ask)
        grant = self._leases.ask(ask)
        with self._lock:
            return max(self._joined(self._leases, grant, need.number), wait)

    def _need(self, now: float) -> LeaseDemand:
        if self._plan is None:  # nothing is known yet
            return LeaseDemand(now, 0, 0, self._in_flight, now, None, 0.0, 0)
        return self._plan.need(now, self._in_flight)

    def _joined(self, leases: Leases, grant: Lease, asked_in: int) -> float:
        """Take over what the store knows and gives; a limit that it does not know either has to be found out."""
        now = self._clock.monotonic()
        if self._plan is None and grant.limit:
            self._plan = FixedWindow(self._share, shared=True)
        if isinstance(self._plan, FixedWindow):
            anew = grant.anew and self._plan.number == asked_in
            self._plan.joined(now, self._in_flight, limit=grant.limit, anew=anew, ends_at=grant.ends_at)
        leases.granted(grant, asked_in, 0 if self._plan is None else self._plan.number, now)
        return grant.wait

    def _ticket(self, now: float) -> Reservation:
        self._in_flight += 1
        if self._leases is None:
            self._found.sent(now, self._found.gap(self._share), share=self._share)
        return Reservation(now, 0 if self._plan is None else self._plan.sent(now))

    def cancel(self, reservation: Reservation) -> None:
        """Take a ticket back: its call was not sent."""
        with self._lock:
            self._in_flight -= 1
            if self._plan is not None:
                self._plan.unsent(reservation.window)
            if self._leases is not None:
                self._leases.back(reservation.window)

    def record_answer(self, reservation: Reservation, limits: Limits | None, *, refused: bool = False) -> None:
        """Learn from what became of a call.

        Args:
            ticket: Its ticket.
            limits: What the answer says about the budget; None if there was no answer.
            refused: Whether the budget was the reason of a refusal (429).
        """
        with self._lock:
            now = self._clock.monotonic()
            self._in_flight -= 1
            self._calls += 1
            self._heard = True
            told = _told(reservation, limits, now)
            if refused and told is not None and self._plan is not None and self._plan.limit not in (0, told.limit):
                told = None  # of another, stricter limit than the answers tell of
            self._learn(told, reservation, now)
            if refused:
                self._refused(reservation, now, (limits.wait if limits is not None else None) or 0.0)
            elif self._leases is not None:
                self._leases.accepted(reservation.sent_at)
            else:
                self._found.accept(reservation.sent_at)

    def pause(self, seconds: float) -> None:
        """Let nobody pass for that long; a shorter hold never ends a longer one."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def use(self, group: str) -> GroupUse:
        """What was used so far.

        Args:
            group: Name of the endpoint group.
        """
        with self._lock:
            seconds = self._clock.monotonic() - self._began
            limit, window = (0, 0.0) if self._plan is None else (self._plan.limit, self._plan.length)
            return GroupUse.of(group, self._calls, limit=limit, window=window, seconds=seconds)

    def close(self) -> None:
        """Give back what was leased and not used."""
        if self._leases is not None:
            self._leases.close()

    def _refused(self, reservation: Reservation, now: float, wait: float) -> None:
        """Hold everybody; where no answer has told a limit, refusals are all that is known of it.

        Where one has, a refusal that it does not explain is of another limit: obeyed, not learned from.
        """
        self._held_until = max(self._held_until, now + wait)
        if self._plan is not None:
            self._plan.refused(now, wait)
        elif self._leases is not None:
            self._leases.refused(Refusal(reservation.sent_at, now, wait))
        else:
            self._found.refused(reservation.sent_at, now, wait)

    def _learn(self, told: Answer | None, reservation: Reservation, now: float) -> None:
        if told is None:
            if self._plan is not None:
                self._plan.untold(now, reservation.window)
            return
        if isinstance(self._plan, FixedWindow) and self._plan.unfit:
            shared = self._leases is not None
            self._plan = TokenBucket(1.0 if shared else self._share, tries=shared and self._share >= TESTING_SHARE)
        elif self._plan is None or self._plan.unfit:
            self._plan = FixedWindow(self._share, shared=self._leases is not None)
        self._plan.told(told, self._in_flight)


def _told(reservation: Reservation, limits: Limits | None, now: float) -> Answer | None:
    """What an answer tells; None if it leaves out a part of it."""
    if limits is None or limits.limit is None or limits.remaining is None or limits.reset is None:
        return None
    return Answer(reservation.sent_at, now, reservation.window, limits.limit, limits.remaining, limits.reset)
