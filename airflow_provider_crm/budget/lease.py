"""One worker's part of a shared budget: calls that it took in a batch, and those it gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from airflow_provider_crm.budget.windows import LeaseDemand


# Seconds after which to look again while another thread is asking.
_PAUSE = 0.002


class Refusal(NamedTuple):
    """A call that was refused because of a limit that no answer tells.

    Attributes:
        sent_at: When it was sent: monotonic seconds, in an `LeaseRequest` seconds ago.
        at: When it was refused, likewise.
        wait: Seconds until the vendor opens again, as it says.
    """

    sent_at: float
    at: float
    wait: float


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What a worker asks of the store, and tells it.

    Attributes:
        share: Part of the limit that all workers together may have used after this.
        limit: Calls per window, or 0 if the worker does not know it.
        counted: Calls that the vendor has counted in the window.
        in_flight: Calls that may land in a window that is new to this worker.
        number: The store's number of the last window of which the worker knew; None for none.
        ends_in: Seconds until that window ends at the latest; not above 0 if it has ended, None if not known.
        length: Seconds that a window lasts, as far as known.
        rate: Calls per second by which a bucket is filled; 0 where there are windows, or nothing is known.
        stated: Calls per second that the connection states; 0 for none.
        returned: Calls given back.
        accepted: Calls that were not refused since the worker asked last.
        accepted_from: Seconds ago when the first of them was sent.
        refusal: The first one since then that the limit does not explain.
        asks: Whether calls are asked for.
    """

    share: float
    limit: int
    counted: int
    in_flight: int
    number: int | None
    ends_in: float | None
    length: float
    rate: float = 0.0
    stated: float = 0.0
    returned: int = 0
    accepted: int = 0
    accepted_from: float = 0.0
    refusal: Refusal | None = None
    wants_calls: bool = True


@dataclass(frozen=True, slots=True)
class Lease:
    """What the store answers.

    Attributes:
        calls: Calls that may be sent.
        limit: Calls per window; 0 if no worker knows it yet.
        number: The store's number of their window.
        anew: Whether that window is another than the last one of which the worker knew.
        ends_at: Monotonic seconds of the worker at which it ends at the latest, or None if not known.
        wait: Seconds after which to ask again if there are no calls.
        begins_at: Monotonic seconds of the worker at which the first call may be sent.
        gap: Seconds from one call to the next.
    """

    calls: int
    limit: int
    number: int
    anew: bool
    ends_at: float | None
    wait: float
    begins_at: float = -math.inf
    gap: float = 0.0


class SharedBudget(Protocol):
    """Where workers on one account share what they may use."""

    def acquire(self, name: str, ask: LeaseRequest) -> Lease:
        """Tell what a worker knows, and take a batch of calls.

        Raises:
            TransientError: If the store cannot be used.
        """
        ...


class Leases:
    """The calls that one worker holds for one key and endpoint group.

    `ask` is called without the pacer's lock, by one thread at a time; everything else under it.

    Args:
        store: Shared with other workers.
        name: Of the key and endpoint group, the same for all workers.
        share: Part of the limit that may be used.
    """

    def __init__(self, store: SharedBudget, name: str, share: float) -> None:
        self._store = store
        self._name = name
        self._share = share
        self._left = 0
        self._window = -1
        self._number: int | None = None
        self._asking, self._ended = False, False
        self._ask_at = -math.inf
        self._next_at, self._gap = -math.inf, 0.0
        self._untold = False
        self._accepted, self._returned = 0, 0
        self._accepted_from = math.inf
        self._refusal: Refusal | None = None

    def use(self, window: int, now: float) -> float | None:
        """Use one of the calls held for this worker's window of that number.

        Returns:
            0 if one was used, seconds if the next one is for later, None if there is none.
        """
        if window != self._window or not self._left:
            return None
        if now < self._next_at:
            return self._next_at - now
        self._left -= 1
        self._next_at += self._gap  # who wakes late catches up: a batch of spaced calls is small
        return 0.0

    def back(self, window: int) -> None:
        """Hold a call again that was not sent."""
        if window == self._window:
            self._left += 1

    def accepted(self, sent_at: float) -> None:
        """Note a call that was not refused."""
        self._accepted += 1
        self._accepted_from = min(self._accepted_from, sent_at)

    def refused(self, refusal: Refusal) -> None:
        """Note a refusal for the other workers; of several the first tells the most."""
        self._refusal = self._refusal or refusal
        # Calls that were taken before it was known how they have to be spaced would all leave at once.
        self._returned, self._left = self._returned + self._left, 0

    def must_report(self, window: int, *, end_known: bool) -> bool:
        """Whether the store does not know yet what was learned here: when the window ends, or of a refusal."""
        news = self._refusal is not None or (end_known and self._untold and window == self._window)
        return news and not self._asking

    def begin(self, need: LeaseDemand, *, wants_calls: bool, stated: float = 0.0) -> LeaseRequest | float:
        """What this thread is to ask the store, or to report to it; else the seconds after which to look again."""
        if self._asking or (need.at < self._ask_at and wants_calls):
            return max(self._ask_at - need.at, _PAUSE)
        self._ended = ended = need.number != self._window
        end = need.opened_at if ended else need.ends_at
        first = self._refusal
        ask = LeaseRequest(
            share=self._share,
            limit=need.limit,
            counted=0 if ended else need.counted,
            in_flight=need.in_flight,
            number=self._number,
            ends_in=None if end is None else end - need.at,
            length=need.length,
            rate=need.rate,
            stated=stated,
            returned=self._returned,
            accepted=self._accepted,
            accepted_from=need.at - min(self._accepted_from, need.at),
            refusal=None if first is None else Refusal(need.at - first.sent_at, need.at - first.at, first.wait),
            wants_calls=wants_calls,
        )
        self._asking, self._accepted, self._refusal, self._returned = True, 0, None, 0
        self._accepted_from = math.inf
        return ask

    def ask(self, ask: LeaseRequest) -> Lease:
        """Tell the store what is known here, and take a batch of calls if asked to.

        Raises:
            TransientError: If its database cannot be used.
        """
        try:
            grant = self._store.acquire(self._name, ask)
            return replace(grant, anew=grant.anew and not self._ended)
        except BaseException:
            self._asking = False
            raise

    def granted(self, grant: Lease, asked_in: int, window: int, now: float) -> None:
        """Hold what was granted.

        Args:
            grant: It.
            asked_in: This worker's number of the window in which it asked.
            window: Its number of the present window.
            now: Monotonic seconds.
        """
        if grant.number == self._number:
            window = asked_in  # what was granted in a window that ended meanwhile is of no use in the next
        self._asking, self._ask_at = False, now + grant.wait
        self._untold = grant.ends_at is None
        self._left = grant.calls + (self._left if window == self._window else 0)
        if grant.calls:
            self._next_at, self._gap = grant.begins_at, grant.gap
        self._number, self._window = grant.number, window

    def close(self) -> None:
        """Give back what is left.

        Raises:
            TransientError: If the store's database cannot be used.
        """
        if self._left and self._number is not None:
            returned, self._left = self._left, 0
            self._store.acquire(
                self._name,
                LeaseRequest(self._share, 0, 0, 0, self._number, None, 0.0, returned=returned, wants_calls=False),
            )
