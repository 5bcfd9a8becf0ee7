"""Kinds of limits are values: what happens to one makes the next, and leaves it as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_crm.budget.bucket import TokenBucket
from airflow_provider_crm.budget.kinds import Limit
from airflow_provider_crm.budget.limit_state import Seen, Traffic
from airflow_provider_crm.budget.pace import Pace
from airflow_provider_crm.budget.sliding import SlidingWindow
from airflow_provider_crm.budget.stated import StatedLimit
from airflow_provider_crm.budget.windows import AlignedWindow, FirstCallWindow
from airflow_provider_crm.vendors.limits import Limits

SEEN = Seen(sent_at=10.0, received_at=10.1, limit=20, remaining=5, reset=3.5, length=4.0)
KINDS = [SlidingWindow, FirstCallWindow, AlignedWindow, TokenBucket]


@pytest.mark.parametrize("kind", KINDS)
def test_a_transition_leaves_the_state_as_it_was(kind):
    """Each event returns a state; the one before is the same value afterwards, and cannot be changed."""
    traffic = Traffic().sent(10.0, 1)
    for known in (kind(0.5), kind(0.5).observe(SEEN, traffic)[0]):
        before = dict(vars(known))
        for later in (
            known.at(99.0),
            known.observe(SEEN._replace(remaining=4, received_at=10.4), traffic)[0],
            known.unanswered(10.5, 11.0, 1),
        ):
            assert type(later) is type(known)
        assert vars(known) == before
        with pytest.raises(AttributeError):
            known.limit = 1


def test_a_kind_that_the_answers_contradict_gives_way():
    """All kinds are possible at first; units that come back after seconds are not of windows that slide for ten."""
    limit, traffic = Limit.unknown(1.0), Traffic()
    assert (len(limit.states), limit.kind) == (len(KINDS), "")
    for number in range(8):
        now = 10.0 + number
        limit = limit.at(now).observe(now, now + 0.01, traffic, Limits(limit=20, remaining=15, length=10.0), 1)
        traffic = traffic.answered(now, now + 0.01, 1, now + 0.01)
    assert [state.kind for state in limit.states] == ["first_call", "aligned", "bucket"]


def test_all_that_is_known_can_be_stored():
    """A pace with limits of every kind, one of the day, and refusals, is the same after a database's JSON."""
    pace = Pace.begin(0.9, 0.4, StatedLimit(40, 1))
    day = Limits(limit=5000, remaining=4000, reset=900.0, is_daily=True, name="day")
    burst = Limits(limit=20, remaining=7, reset=3.5, name="burst")
    for number, (shown, refused) in enumerate([([], True), ([burst, day], False), ([], True), (None, False)]):
        now = 10.0 + number
        pace, _ = pace.sent(now).answered(now, now + 0.1, 1, shown, refused=refused)
        assert Pace.from_dict(json.loads(json.dumps(pace.to_dict()))) == pace
    assert [name for name, _ in pace.limits] == ["burst", "day"]


def test_a_day_is_not_forgotten_for_one_answer():
    """A late answer that contradicts the others counts as a call; many in a row show a new day."""
    shown = Limits(limit=100, remaining=99, reset=80_000.0, is_daily=True)
    limit, traffic, now = Limit.daily(0.5, shown), Traffic(), 10.0
    for left in range(99, 69, -1):
        limit = limit.observe(now, now + 0.01, traffic, replace(shown, remaining=left), 1)
        traffic, now = traffic.answered(now, now + 0.01, 1, now + 0.01), now + 1.0
    assert limit.free(now, traffic) == 50 - 30
    late = limit.observe(now, now + 0.01, traffic, shown, 1)
    assert (late.is_daily, late.free(now, traffic)) == (True, 50 - 31)
    for _ in range(20):
        now += 1.0
        late = late.observe(now, now + 0.01, traffic, shown, 1)
    assert late.is_daily
    assert late.free(now, traffic) > 50 - 31
