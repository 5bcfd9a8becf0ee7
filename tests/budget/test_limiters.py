"""The limiters that the pacing is measured on count as their kinds say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .limiters import BARE, HUBSPOT, KINDS, MILLISECONDS, WAIT_ONLY, Announcement, LimitedVendor, LimiterRule


def accepted(rule, times, cost=1):
    """Return the times at which a limiter accepts a call."""
    limiter = KINDS[rule.kind](rule)
    return [at for at in times if limiter.take(at, cost).allowed]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("aligned", [0.5, 0.75, 1.0, 1.25, 2.0]),
        ("first_call", [0.5, 0.75, 1.5, 1.75]),
        ("sliding", [0.5, 0.75, 1.5, 1.75]),
        ("bucket", [0.5, 0.75, 1.0, 1.5, 2.0]),
    ],
)
def test_kinds_accept_different_calls(kind, expected):
    """Two units per second, asked four times a second from half a second on."""
    assert accepted(LimiterRule(kind, 2, 1.0), [number / 4 for number in range(2, 9)]) == expected


def test_a_phase_moves_aligned_windows():
    """Windows of a second that began a quarter before time 0."""
    assert accepted(LimiterRule("aligned", 1, 1.0, phase=0.25), [0.5, 0.74, 0.75, 1.5, 1.75]) == [0.5, 0.75, 1.75]


@settings(derandomize=True, max_examples=200)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    limit=st.integers(1, 30),
    seconds=st.sampled_from([1.0, 5.0, 60.0]),
    phase=st.floats(0, 60),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
    cost=st.integers(1, 3),
)
def test_a_wait_is_exact_and_the_most_is_never_exceeded(kind, limit, seconds, phase, gaps, cost):  # noqa: PLR0917 - hypothesis names them
    """A refused call is accepted after its wait and refused right before; no client gets more than `most` says."""
    rule = LimiterRule(kind, max(limit, cost), seconds, phase)
    limiter, now, units = KINDS[kind](rule), 0.0, 0
    for gap in gaps:
        now += gap
        reading = limiter.take(now, cost)
        units += cost * reading.allowed
        if not reading.allowed:
            assert not limiter.look(now + reading.wait - 1e-4, cost).allowed
            now += reading.wait + 1e-6
            assert limiter.take(now, cost).allowed
            units += cost
        assert units <= rule.most(now) + 1e-6


def test_a_client_without_latency_gets_the_most():
    """Whoever asks at each millisecond gets what `most` says, up to the parts of a last token."""
    for kind in KINDS:
        rule = LimiterRule(kind, 7, 1.0, phase=0.3)
        assert len(accepted(rule, [number / 1000 for number in range(9500)])) == int(rule.most(9.5))


def test_a_call_takes_units_of_each_limit_or_of_none():
    """A burst that refuses leaves the day as it was."""
    vendor = LimitedVendor((LimiterRule("aligned", 1, 1.0), MILLISECONDS), (LimiterRule.day(2), HUBSPOT))
    assert [vendor.answer(at).accepted for at in (0.0, 0.5, 1.0, 2.0)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("announcement", "reset", "wait"),
    [
        (Announcement(), 1.0, 1.0),
        (MILLISECONDS, 0.778, 0.778),
        (Announcement("epoch", "none"), 0.7777, 0.7777),
        (HUBSPOT, None, None),
        (WAIT_ONLY, None, 1.0),
        (BARE, None, None),
    ],
)
def test_what_is_announced_is_rounded_up(announcement, reset, wait):
    """The rest of a window, 0.7777 seconds, in each notation."""
    vendor = LimitedVendor((LimiterRule("aligned", 1, 1.0), announcement))
    first, refused = vendor.answer(0.2223), vendor.answer(0.2223)
    assert (first.accepted, refused.accepted) == (True, False)
    assert (first.limits[0].reset, refused.limits[0].wait) == (pytest.approx(reset), pytest.approx(wait))


def test_a_bucket_names_when_it_is_full_or_its_next_token():
    """After three of four calls of a bucket of 4/1 s."""
    full, token = (
        LimitedVendor((LimiterRule("bucket", 4, 1.0), Announcement("milliseconds", until=until)))
        for until in ("reset", "more")
    )
    assert [[one.answer(0.0).limits[0].reset for _ in range(3)][-1] for one in (full, token)] == [0.75, 0.25]


def test_random_refusals_say_nothing():
    """About one call in ten is refused, bare, and not counted."""
    vendor = LimitedVendor((LimiterRule("sliding", 10_000, 1.0), MILLISECONDS), bare_refusals=0.1, seed=1)
    answers = [vendor.answer(0.0) for _ in range(2000)]
    refused = [one for one in answers if not one.accepted]
    assert 150 < len(refused) < 250
    assert {one.limits[0].limit for one in refused} == {None}
    assert answers[-1].limits[0].remaining == 10_000 - 2000 + len(refused)
