"""For any limit, latency, clock and other program, pacing neither overdraws a limit nor forgets to use it.

The vendor is a limiter of `limiters`, and the clock is virtual. The bounds are the following.

**Overdrawn.** A refusal is known when its answer is back. From the first refused arrival until then, no longer than the
longest latency, other calls may leave and arrive, each thread's as often as the shortest latency allows. So within the
length of one window, no more calls are refused than `threads * (1 + longest / shortest)`.

**Idle.** While the share and the limit allow a call, the time without one is less than a window, apart from what an
answer cannot say: the part of a second by which a reset is rounded up, and the ways of an answer and of the next call.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.database.database import Database

from .limiters import HUBSPOT, KINDS, MILLISECONDS, WHOLE_SECONDS, Announcement, LimitedVendor, LimiterRule
from .measures import measure
from .proving_ground import OTHER_PROGRAM, ProvingGround

ANNOUNCEMENTS = {
    "s": WHOLE_SECONDS,
    "ms": MILLISECONDS,
    "s+length": Announcement(length=True),
    "hubspot": HUBSPOT,
}
WINDOWS = 12


@dataclass(frozen=True)
class Scene:
    """One vendor with one limit, and a worker of some threads."""

    rule: LimiterRule
    announced: str
    share: float
    threads: int
    shortest: float
    longest: float
    slow: float
    seed: int

    @property
    def most_refused(self):
        """The calls that latency hides within one window."""
        slowest = self.longest * (10 if self.slow else 1)
        return int(self.threads * (1 + slowest / self.shortest))

    @property
    def longest_idle(self):
        """Seconds of a window, of the rounding and of the way."""
        grain = 0.001 if self.announced in {"ms", "hubspot"} else 1.0
        return self.rule.seconds + grain + 2 * self.longest * (10 if self.slow else 1)

    def ground(self):
        """The proving ground, without workers."""
        vendor = LimitedVendor((self.rule, ANNOUNCEMENTS[self.announced]))
        return ProvingGround(vendor, seed=self.seed, latency=(self.shortest, self.longest), slow=self.slow)


@st.composite
def scenes(draw):
    """Any limit that eight threads can use up within a window."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    seconds = float(draw(st.sampled_from([1, 2, 5, 10, 60])))
    limit = draw(st.integers(5, 200))
    told = [name for name in ANNOUNCEMENTS if name != "hubspot" or kind == "sliding"]
    shortest = draw(st.floats(0.001, 0.03))
    return Scene(
        LimiterRule(kind, limit, seconds, draw(st.floats(0, 1)) * seconds),
        draw(st.sampled_from(told)),
        draw(st.sampled_from([1.0, 1.0, 0.9, 0.5])),
        draw(st.integers(8, 16)),
        shortest,
        shortest * draw(st.floats(1, 4)),
        0.0,
        draw(st.integers(0, 1000)),
    )


def most_refused(arrivals, seconds):
    """Return the most of our calls that were refused within so many seconds."""
    refused, most = deque(), 0
    for one in arrivals:
        if not one.accepted and one.worker != OTHER_PROGRAM:
            refused.append(one.at)
            while refused[0] <= one.at - seconds:
                refused.popleft()
            most = max(most, len(refused))
    return most


def judge(scene, arrivals, seconds):
    """Return what a run makes of both bounds, as differences that must not be above 0."""
    measured = measure(arrivals, [scene.rule], [scene.share], seconds)
    return (
        max(most_refused(arrivals, scene.rule.seconds) - scene.most_refused, 0),
        max(measured.idle * scene.rule.seconds - scene.longest_idle, 0.0),
    )


@pytest.mark.long
@settings(derandomize=True, max_examples=12)
@given(scene=scenes())
def test_one_worker_keeps_both_bounds(scene):
    """One worker alone, on any limit that answers tell; in all it is refused no more often than in one window."""
    ground, seconds = scene.ground(), WINDOWS * scene.rule.seconds
    ground.worker(threads=scene.threads, share=scene.share)
    arrivals = ground.run(seconds)
    assert judge(scene, arrivals, seconds) == (0, 0.0)
    assert most_refused(arrivals, seconds) <= scene.most_refused


@pytest.mark.long
@settings(derandomize=True, max_examples=12)
@given(scene=scenes(), part=st.floats(0.05, 0.4), begins=st.floats(0, 4), lasts=st.floats(1, 8))
def test_other_programs_do_not_stop_a_worker(scene, part, begins, lasts):
    """Another program comes and goes, at random times within."""
    ground, seconds = scene.ground(), WINDOWS * scene.rule.seconds
    length = scene.rule.seconds
    ground.other_program(part * scene.rule.limit / length, begins=begins * length, ends=(begins + lasts) * length)
    ground.worker(threads=scene.threads, share=scene.share)
    assert judge(scene, ground.run(seconds), seconds) == (0, 0.0)


@pytest.mark.long
@settings(derandomize=True, max_examples=4)
@given(scene=scenes(), wall=st.floats(0, 7200), at=st.floats(0, 10), workers=st.integers(1, 3))
def test_a_machine_whose_clock_is_set_forward_stops_for_no_window(tmp_path_factory, scene, wall, at, workers):
    """On a store in a file, whose time is that of the machine: its clock is set forward."""
    engine = sa.create_engine(f"sqlite:///{tmp_path_factory.mktemp('budget') / 'ledger.db'}")
    ground, length = scene.ground(), scene.rule.seconds
    store = BudgetStore(Database(engine, clock=ground.clock()))
    ground.step_clock(at * length, wall)
    for number in range(workers):
        ground.worker(threads=scene.threads, share=scene.share, store=store, begins=0.2 * number)
    arrivals = ground.run(WINDOWS * length)
    engine.dispose()
    assert most_refused(arrivals, length) <= workers * scene.most_refused
    assert measure(arrivals, [scene.rule], [scene.share], WINDOWS * length).idle * length <= scene.longest_idle


@pytest.mark.long
@settings(derandomize=True, max_examples=10)
@given(scene=scenes(), step=st.floats(0, 100), at=st.floats(0, 10))
def test_a_vendor_whose_clock_is_set_forward_is_still_used(scene, step, at):
    """Its windows end early by the step. Stretches on its clock may be longer by the step, too."""
    ground, length = scene.ground(), scene.rule.seconds
    ground.step_vendor(at * length, step)
    ground.worker(threads=scene.threads, share=scene.share)
    arrivals = ground.run(WINDOWS * length)
    assert most_refused(arrivals, length) <= scene.most_refused
    idle = measure(arrivals, [scene.rule], [scene.share], WINDOWS * length + step).idle * length
    assert idle <= scene.longest_idle + step
