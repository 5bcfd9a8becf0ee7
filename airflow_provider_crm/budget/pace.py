"""Combine all that is known of the limits on the calls of one key and endpoint group: when may the next call leave?

A `Pace` is a value. It knows no clock and no lock, so that one worker can hold it, or a database for many of them.
Answers may name several limits; a call needs a place in each. Where they name none, refusals show one, see `rate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_crm.budget.kinds import Limit
from airflow_provider_crm.budget.limit_state import POLL, Traffic, changed
from airflow_provider_crm.budget.rate import DiscoveredRate

if TYPE_CHECKING:
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.vendors.limits import Limits

# A stated limit of longer windows is used at once, and then waited for, instead of spaced over them.
_LONGEST_SPACED = 60
_STATED = "stated"
# Refusals without a reason that show a limit, unless calls after the first one were accepted this much more often.
_REFUSALS, _ACCEPTED = 3, 3
# Seconds that a call waits whose refusal has no known reason, or all calls where its reason does not say for how long.
_OWN_WAIT, _PAUSE = 0.25, 0.25


class Doubt(NamedTuple):
    """Refusals that no known limit explains, and that say nothing themselves.

    Attributes:
        since: When the first refused call was sent.
        refused: How many calls sent since then were refused.
        accepted: How many were accepted.
        wait: The longest that one of them was to wait, in seconds; None if none says so.
    """

    since: float
    refused: int = 0
    accepted: int = 0
    wait: float | None = None

    def with_refusal(self, sent_at: float, wait: float | None) -> Doubt:
        """Return the doubt with one more refusal; a call that was sent before the first one says nothing new."""
        if sent_at < self.since:
            return self
        longest = wait if self.wait is None else max(self.wait, wait or 0.0)
        return self._replace(refused=self.refused + 1, wait=longest)


@dataclass(frozen=True)
class Pace:
    """The limits of one group, and the calls on their way.

    Attributes:
        share: Part of a limit that may be used.
        daily_share: Part of a daily limit that may be used.
        traffic: The calls on their way.
        limits: The limits that answers name, by name.
        discovered: The limit that refusals show, where no answer names one.
        opens_at: No call leaves before; where a refusal by a known limit says so.
        doubt: Refusals that may show a limit; None for none.
    """

    share: float = 1.0
    daily_share: float = 0.5
    traffic: Traffic = field(default_factory=Traffic)
    limits: tuple[tuple[str, Limit], ...] = ()
    discovered: DiscoveredRate = field(default_factory=DiscoveredRate)
    opens_at: float = -math.inf
    doubt: Doubt | None = None

    @classmethod
    def begin(cls, share: float, daily_share: float, stated: StatedLimit | None) -> Pace:
        """Return what is known before the first call.

        Args:
            share: Part of a limit that may be used.
            daily_share: Part of a daily limit that may be used.
            stated: The limit that a connection or the vendor states, or None.
        """
        if stated is None:
            return cls(share, daily_share)
        if stated.is_documented or stated.seconds > _LONGEST_SPACED:
            limit = Limit.stated(share, stated.calls, float(stated.seconds))
            return cls(share, daily_share, limits=((_STATED, limit),))
        return cls(share, daily_share, discovered=DiscoveredRate.stated(stated.calls / stated.seconds))

    @property
    def is_bound(self) -> bool:
        """Whether anything is known that bounds the calls."""
        return bool(self.limits) or self.discovered.is_known or self.doubt is not None

    @property
    def counts_rate(self) -> bool:
        """Whether accepted calls show a rate: where no answer names a limit, or a refusal had another reason."""
        return not self.limits or self.discovered.is_known

    @property
    def is_spaced(self) -> bool:
        """Whether calls leave one after another, so that the moments of some of them are known before."""
        return self.discovered.is_known or any(limit.is_spaced for _, limit in self.limits)

    def with_shares(self, share: float, daily_share: float) -> Pace:
        """Return the pace for a worker that may use other parts of the limits."""
        if (share, daily_share) == (self.share, self.daily_share):
            return self
        limits = tuple(
            (name, limit.with_share(daily_share if limit.is_daily else share)) for name, limit in self.limits
        )
        return changed(self, share=share, daily_share=daily_share, limits=limits)

    def with_in_flight(self, units: int) -> Pace:
        """Return the pace with so many units on their way."""
        return changed(self, traffic=changed(self.traffic, in_flight=units))

    def free(self, now: float) -> int:
        """Return the units that may leave now, as far as limits are known."""
        return min((limit.free(now, self.traffic) for _, limit in self.limits), default=1)

    def at(self, now: float) -> Pace:
        """Return the pace at this moment."""
        limits = tuple((name, limit.at(now)) for name, limit in self.limits)
        if all(new[1] is old[1] for new, old in zip(limits, self.limits, strict=True)):
            return self
        return changed(self, limits=limits)

    def wait(self, now: float, cost: int = 1, ahead: int = 0) -> float:
        """Return the seconds until a call may leave; 0 for now.

        Args:
            now: The time.
            cost: Units of the call.
            ahead: Units of a call that waits for longer.
        """
        wait = max(self.opens_at - now, self.discovered.wait(now), 0.0)
        if self.discovered.is_closed and self.traffic.in_flight and wait <= 0:
            wait = POLL  # one call finds out whether the vendor has opened again
        for _, limit in self.limits:
            wait = max(wait, limit.wait(now, self.traffic, cost, ahead))
        return wait if now + wait > now else 0.0  # a clock that is asked after less than that has not moved

    def sent(self, now: float, cost: int = 1) -> Pace:
        """Return the pace with a call that leaves now."""
        discovered = self.discovered
        if self.counts_rate:
            discovered = discovered.record_send(now, cost, share=self.share)
        limits = tuple((name, limit.sent(now, self.traffic)) for name, limit in self.limits)
        return changed(self, traffic=self.traffic.sent(now, cost), limits=limits, discovered=discovered)

    def cancelled(self, cost: int = 1) -> Pace:
        """Return the pace without a call that was not sent."""
        return changed(self, traffic=self.traffic.without(cost))

    def answered(
        self,
        sent_at: float,
        received_at: float,
        cost: int,
        shown: Sequence[Limits] | None,
        *,
        refused: bool,
        now: float | None = None,
    ) -> tuple[Pace, float]:
        """Learn from the answer to a call, or from its absence.

        Args:
            sent_at: When it was sent.
            received_at: When it was answered.
            cost: Units of the call.
            shown: The limits that the answer shows; None if there was no answer.
            refused: Whether a limit was the reason of a refusal (429).
            now: When that is known here; by default when it was answered.

        Returns:
            The pace, and the seconds that only this call has to wait before it is tried again.
        """
        counted = 0 if refused else cost
        traffic = self.traffic.without(cost)
        limits = self._observed(sent_at, received_at, counted, traffic, shown)
        if limits:
            traffic = traffic.answered(sent_at, received_at, counted, received_at if now is None else now)
        after = changed(self, traffic=traffic, limits=limits)
        if refused:
            return after.after_refusal(sent_at, received_at, cost, shown or ())
        if shown is None:
            return after, 0.0
        return after.after_success(sent_at, cost), 0.0

    def day(self) -> Limit | None:
        """Return the limit of a day, if an answer has named one."""
        return next((limit for _, limit in self.limits if limit.is_daily), None)

    def burst(self) -> Limit | None:
        """Return the first limit that is not of a day, if there is one."""
        return next((limit for _, limit in self.limits if not limit.is_daily), None)

    def _observed(
        self, sent_at: float, now: float, counted: int, traffic: Traffic, shown: Sequence[Limits] | None
    ) -> tuple[tuple[str, Limit], ...]:
        limits = dict(self.limits)
        named = {
            one.name: one
            for one in reversed(shown or ())
            if one.is_sufficient or (one.names_units and one.name in limits)
        }
        for name, limit in self.limits:
            if name not in named:
                limits[name] = limit.unanswered(sent_at, now, counted)
        if named:
            limits.pop(_STATED, None)
        for name, one in reversed(named.items()):
            known = limits.get(name)
            if known is None:
                known = Limit.daily(self.daily_share, one) if one.is_daily else self._begun(sent_at, one)
            limits[name] = known.observe(sent_at, now, traffic, one, counted)
        return tuple(limits.items())

    def _begun(self, sent_at: float, shown: Limits) -> Limit:
        """Return the limit that an answer names first: the calls until then were ours, as far as we made some."""
        limit, used = Limit.unknown(self.share), (shown.limit or 0) - (shown.remaining or 0)
        own, begun = min(self.discovered.accepted, used), self.discovered.begun
        return limit if begun is None or own <= 0 else limit.unanswered(begun, sent_at, own)

    def after_success(self, sent_at: float, cost: int) -> Pace:
        """Return the pace after a call that was not refused."""
        doubt = self.doubt
        if doubt is not None and sent_at >= doubt.since:
            doubt = doubt._replace(accepted=doubt.accepted + 1)
            if doubt.accepted > _ACCEPTED * doubt.refused:
                doubt = None
        discovered = self.discovered
        if self.counts_rate:
            discovered = discovered.accept(sent_at, cost, learns=not self.limits or discovered.rate is not None)
        if doubt is self.doubt and discovered is self.discovered:
            return self
        return changed(self, doubt=doubt, discovered=discovered)

    def after_refusal(self, sent_at: float, now: float, cost: int, shown: Sequence[Limits]) -> tuple[Pace, float]:
        """Return the pace after a refusal, and the seconds that only its call waits.

        All calls wait where a known limit explains it. If none does, only its own call waits, as long as the vendor
        says, until enough others are refused as well: then there is a limit that no answer names.
        """
        named = max((one.wait for one in shown if one.wait), default=None)
        if any(limit.explains(cost) for _, limit in self.limits):
            until = self._until(now, cost) if named is None else named
            return changed(self, opens_at=max(self.opens_at, now + until)), 0.0
        is_certain = named is not None and self.discovered.rate is not None and not self.limits
        if self.discovered.is_closed or is_certain:
            return changed(self, discovered=self.discovered.record_refusal(sent_at, now, named)), 0.0
        doubt = (self.doubt or Doubt(sent_at)).with_refusal(sent_at, named)
        if doubt.refused >= _REFUSALS and doubt.accepted <= _ACCEPTED * doubt.refused:
            closed = self.discovered.record_refusal(doubt.since, now, doubt.wait)
            return changed(self, doubt=None, discovered=closed), 0.0
        own_wait = _OWN_WAIT if named is None else named
        return changed(self, doubt=doubt, discovered=self.discovered.record_doubt(now)), own_wait

    def _until(self, now: float, cost: int) -> float:
        """Return the seconds until the limit that explains a refusal allows the next call, as far as known."""
        waits = [limit.wait(now, self.traffic, cost, 0) for _, limit in self.limits if limit.explains(cost)]
        return max([wait for wait in waits if math.isfinite(wait)], default=0.0) or _PAUSE

    def to_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return self.__dict__ | {
            "traffic": self.traffic.__dict__,
            "limits": [[name, limit.to_dict()] for name, limit in self.limits],
            "discovered": self.discovered.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pace:
        """Return the pace that `to_dict` wrote."""
        traffic = values["traffic"]
        doubt = values["doubt"]
        return cls(
            **{
                **values,
                "traffic": Traffic(**traffic | {"answers": tuple((at, units) for at, units in traffic["answers"])}),
                "limits": tuple((name, Limit.from_dict(limit)) for name, limit in values["limits"]),
                "discovered": DiscoveredRate(**values["discovered"]),
                "doubt": None if doubt is None else Doubt(*doubt),
            }
        )
