"""A limit that is called now and then is not taken for one of another kind, however its calls come.

Most groups of endpoints are called like that: a few reads at the start of a run, one after another, and again a while
later. The vendor is a limiter of `limiters`, and the clock is virtual.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter

import pytest

from airflow_provider_crm.clock import Clock

from .limiters import KINDS, MILLISECONDS, WHOLE_SECONDS, LimitedVendor, LimiterRule
from .paced_client import PacedClient

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RUNS, VISITS = 20, 40
RIGHT = {
    "aligned": {"window", "aligned"},
    "first_call": {"window", "first_call"},
    "sliding": {"sliding"},
    "bucket": {"bucket"},
}
ANNOUNCED = {"s": WHOLE_SECONDS, "ms": MILLISECONDS}


class Visitor:
    """A worker that makes a few calls, does something else, and comes back."""

    def __init__(self, vendor, seed):
        self.now = 100.0
        self._vendor, self._random = vendor, random.Random(seed)
        clock = Clock(
            monotonic=lambda: self.now,
            now=lambda: START + dt.timedelta(seconds=self.now),
            jitter=self._random.random,
        )
        self.client = PacedClient(clock, share=1.0, daily_share=0.5, stated=None, store=None, name="budget")

    def pause(self):
        """Let up to half a minute pass, or hardly any time."""
        self.now += self._random.choice(
            [0.001, 0.003, 0.02, 0.3, 3 * self._random.random(), 30 * self._random.random()]
        )

    def visit(self, calls):
        """Make so many calls at nearly the same time, or fewer where no more may leave, and read the answers."""
        sent = []
        while len(sent) < calls:
            got = self.client.acquire(1)
            if not isinstance(got, (int, float)):
                sent.append((self.now + self._half(), got))
                self.now += 0.002
            elif sent:
                break
            else:
                self.now += max(got, 0.001)
        answers = [(at, self._vendor.answer(at), one) for at, one in sorted(sent, key=lambda call: call[0])]
        for at, answer, reservation in sorted(
            ((at + self._half(), *rest) for at, *rest in answers), key=lambda a: a[0]
        ):
            self.now = max(self.now, at)
            self.client.record_answer(reservation, answer)

    def _half(self):
        return 0.005 + 0.002 * self._random.random()


def kind_after_visits(kind, announced, calls, seed):
    """Return the kind that a limit of 100 per second is taken for in the end."""
    visitor = Visitor(LimitedVendor((LimiterRule(kind, 100, 1.0, 0.37), ANNOUNCED[announced])), seed)
    for number in range(VISITS):
        visitor.pause()
        visitor.visit(calls if number % 2 else 1)
    return visitor.client.kind


@pytest.mark.parametrize("calls", [1, 4])
@pytest.mark.parametrize("announced", ANNOUNCED)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_few_calls_are_no_evidence_of_a_wrong_kind(kind, announced, calls):
    """After visits of one call, or of up to four at once, the kind is right or not known yet, in each of many runs."""
    found = Counter(kind_after_visits(kind, announced, calls, seed) for seed in range(RUNS))
    assert found.keys() <= RIGHT[kind] | {"unknown"}, found
