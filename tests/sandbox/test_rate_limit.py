"""Claims about the counters with which an API of the sandbox enforces its limits."""

from __future__ import annotations

import pytest

from airflow_provider_crm.sandbox.rate_limit import UNLIMITED, Counter, Limiter, Rule

KINDS = ["window", "first_call", "sliding", "bucket"]


def rule(kind, limit=3, window=10.0):
    """Return a rule of three calls in ten seconds."""
    return Rule(limit=limit, window=window, kind=kind)


def allowed(counter, *times, cost=1):
    """Return for each time whether a call is allowed."""
    return [counter.take(now, cost).allowed for now in times]


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_is_reached_and_lifted(kind):
    """Of four calls at once the last is refused, and a whole window later three are allowed again."""
    counter = Counter(rule(kind))
    assert allowed(counter, 104, 104, 104, 104) == [True, True, True, False]
    assert allowed(counter, 114, 114, 114, 114) == [True, True, True, False]


def test_windows_differ_in_when_a_call_is_forgotten():
    """After calls at 104, 108 and 109 a fourth is allowed at different times."""
    first_free = {}
    for kind in KINDS:
        counter = Counter(rule(kind))
        allowed(counter, 104, 108, 109)
        first_free[kind] = next(now for now in range(109, 130) if counter.look(now).allowed)
    # The bucket is never empty: a call every 3.3 seconds refills it.
    assert first_free == {"window": 110, "first_call": 114, "sliding": 114, "bucket": 109}


def test_a_sliding_window_frees_calls_one_by_one():
    """Each call leaves by itself, ten seconds after it came; a fresh window of the first call frees all at once."""
    sliding, first_call = Counter(rule("sliding")), Counter(rule("first_call"))
    for counter in (sliding, first_call):
        allowed(counter, 100, 104, 108)
    assert [sliding.look(now).remaining for now in (109.9, 110, 114, 118)] == [0, 1, 2, 3]
    assert [first_call.look(now).remaining for now in (109.9, 110, 114, 118)] == [0, 3, 3, 3]


def test_a_window_from_the_first_call_opens_with_the_next_call():
    """After an idle time the window starts at the next call, not where the last one ended; looking opens none."""
    counter = Counter(rule("first_call"))
    counter.take(100)
    assert counter.look(117).reset == 10
    assert (counter.take(118).reset, counter.look(125).reset, counter.look(127.5).remaining) == (10, 3, 2)


@pytest.mark.parametrize(
    ("kind", "reset"), [("window", 6), ("first_call", 10), ("sliding", 10), ("bucket", pytest.approx(10 / 3))]
)
def test_a_refusal_says_when_a_call_is_allowed(kind, reset):
    """A refused call is allowed after the `reset` of its refusal, and not before."""
    counter = Counter(rule(kind))
    allowed(counter, 104, 104, 104)
    refused = counter.take(104)
    assert (refused.allowed, refused.remaining, refused.reset) == (False, 0, reset)
    assert not counter.look(104 + refused.reset - 0.001).allowed
    assert counter.look(104 + refused.reset).allowed


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_uses_its_cost_or_nothing(kind):
    """A call of cost 2 leaves one of three; another is refused, uses nothing, and lets a call of cost 1 pass."""
    counter = Counter(rule(kind))
    left = [counter.take(104, cost) for cost in (2, 2, 1)]
    assert [(one.remaining, one.allowed) for one in left] == [(1, True), (1, False), (0, True)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_reset_of_a_costly_call_is_when_enough_is_left(kind):
    """A refused call of cost 3 is allowed after its `reset`, and not before."""
    counter = Counter(rule(kind))
    allowed(counter, 101, 103)
    reset = counter.take(104, 3).reset
    assert not counter.look(104 + reset - 0.001, 3).allowed
    assert counter.look(104 + reset, 3).allowed


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_costs_more_than_the_limit_is_never_allowed(kind):
    """It is refused also when nothing is used, with a wait that is a number."""
    counter = Counter(rule(kind))
    refused = counter.take(104, 4)
    assert (refused.allowed, refused.remaining, 0 <= refused.reset <= 10) == (False, 3, True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_of_nothing_refuses_all(kind):
    """With the limit 0 every call is refused, within a window's wait."""
    refused = Counter(rule(kind, limit=0)).take(104)
    assert (refused.allowed, refused.limit, 0 < refused.reset <= 10) == (False, 0, True)


@pytest.mark.parametrize("kind", KINDS)
def test_no_limit_counts_but_never_refuses(kind):
    """Without a limit a large one is announced."""
    counter = Counter(rule(kind, limit=None))
    assert (allowed(counter, *[104] * 50), counter.look(104).remaining) == ([True] * 50, UNLIMITED - 50)


def test_a_refused_call_is_counted_nowhere():
    """If one of several limits refuses, none of them counts the call; the answer is of the one that refused."""
    burst, day = rule("sliding"), Rule(limit=4, window=86_400.0, kind="first_call")
    rules, limiter = [(burst, "key"), (day, "account")], Limiter()
    first, second = limiter.take(rules, 100, 2), limiter.take(rules, 100, 2)
    assert (first.allowed, first.limit, second.allowed, second.limit) == (True, 3, False, 3)
    assert [left.remaining for left in limiter.look(rules, 100)] == [1, 2]
    assert [left.remaining for left in limiter.look(rules, 110)] == [3, 2]
    third = limiter.take(rules, 110, 3)
    assert (third.allowed, third.limit) == (False, 4)
