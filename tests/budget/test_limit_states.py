"""Kinds of limits are values: what happens to one makes the next, and leaves it as it was."""

from __future__ import annotations

import pytest

from airflow_provider_crm.budget.bucket import TokenBucket
from airflow_provider_crm.budget.kinds import fitting
from airflow_provider_crm.budget.limit_state import Observation, OwnCalls
from airflow_provider_crm.budget.windows import FixedWindow

SEEN = Observation(sent_at=10.0, received_at=10.1, window=0, limit=20, remaining=5, reset=3.5)


@pytest.mark.parametrize("state", [FixedWindow.unknown(0.5, shared=False), TokenBucket(0.5)])
def test_a_transition_leaves_the_state_as_it_was(state):
    """Each event returns a state; the one before is the same value afterwards, and cannot be changed."""
    calls = OwnCalls(in_flight=1, sent=1, last_sent=10.0)
    for known in (state, state.observe(SEEN, calls)):
        before = dict(vars(known))
        for later in (
            known.at(99.0, calls),
            known.record_send(10.5),
            known.cancel_send(0),
            known.observe(SEEN._replace(remaining=4, received_at=10.4), calls),
            known.record_unanswered(11.0, 0),
            known.record_refusal(11.0, 2.0),
            known.join(11.0, calls, limit=30, is_new=True, ends_at=12.0),
        ):
            assert type(later) is type(known)
        assert vars(known) == before
        with pytest.raises(AttributeError):
            known.limit = 1


def test_a_kind_that_the_answers_contradict_gives_way():
    """Windows whose end moves with the calls are a bucket; a kind that fits is kept."""
    window, calls = fitting(None, 1.0, shared=False), OwnCalls()
    assert fitting(window, 1.0, shared=False) is window
    for moved in range(3):
        begin = 10.0 + moved
        window = window.observe(SEEN._replace(sent_at=begin, received_at=begin + 0.1, reset=9.25 + moved), calls)
    assert window.contradicted
    bucket = fitting(window, 1.0, shared=False)
    assert isinstance(bucket, TokenBucket)
    assert fitting(bucket, 1.0, shared=False) is bucket
