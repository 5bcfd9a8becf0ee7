"""Another program that takes 30 % of a limit, at random times, keeps finding room beside a worker.

Until a worker has seen it, and while the worker's calls use all of a window, the vendor has to refuse it: no answer
shows a program whose calls are refused. So the first part of each run counts for nothing.
"""

from __future__ import annotations

import pytest

from .limiters import MILLISECONDS, WHOLE_SECONDS, LimitedVendor, LimiterRule
from .proving_ground import OTHER_PROGRAM, ProvingGround

pytestmark = pytest.mark.long

ITS_PART = 0.3
LIMITS = [
    ("aligned", 100, 1),
    ("aligned", 100, 5),
    ("first_call", 100, 1),
    ("first_call", 100, 5),
    ("sliding", 100, 10),
    ("bucket", 100, 1),
]
ANNOUNCED = {"s": WHOLE_SECONDS, "ms": MILLISECONDS}


def refused_beside_a_worker(kind, limit, seconds, announced, seed=1):
    """Return the part of its calls, and of ours, that are refused after minutes, and the part of the limit used."""
    vendor = LimitedVendor((LimiterRule(kind, limit, float(seconds), 0.37 * seconds), ANNOUNCED[announced]))
    ground = ProvingGround(vendor, seed=seed, latency=(0.002, 0.006))
    ground.worker(threads=16)
    ground.other_program(ITS_PART * limit / seconds)
    windows = 60 if seconds > 1 else 100
    ground.run(windows * seconds)
    learned = len(ground.arrivals)
    arrivals = ground.run(2 * windows * seconds)[learned:]
    theirs = [one.accepted for one in arrivals if one.worker == OTHER_PROGRAM]
    ours = [one.accepted for one in arrivals if one.worker != OTHER_PROGRAM]
    used = sum(one.accepted for one in arrivals) / (windows * limit)
    return theirs.count(False) / len(theirs), ours.count(False) / len(ours), used


@pytest.mark.parametrize("announced", ANNOUNCED)
@pytest.mark.parametrize(("kind", "limit", "seconds"), LIMITS)
def test_another_program_finds_room(kind, limit, seconds, announced):
    """Of its calls and of ours 0.5 % are refused at most, and nearly all of a limit is used together.

    A sliding window is used less, as calls come back one by one, and room for all of the others' is left all the time.
    """
    theirs, ours, used = refused_beside_a_worker(kind, limit, seconds, announced)
    assert (theirs <= 0.005, ours <= 0.005) == (True, True), (theirs, ours)
    assert used >= (0.7 if kind == "sliding" else 0.93)


@pytest.mark.parametrize("seed", [1, 8, 9])
def test_what_is_known_of_it_outlives_the_kind(seed):
    """Beside calls at any time windows look as if a call opened them: when that is contradicted, room is left still."""
    theirs, ours, _ = refused_beside_a_worker("aligned", 100, 5, "ms", seed=seed)
    assert (theirs <= 0.005, ours <= 0.005) == (True, True), (theirs, ours)
