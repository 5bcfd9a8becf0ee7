"""Every kind of limit, as far as its answers show it, is used up to the share and hardly ever exceeded.

The vendor is a limiter of `limiters`, the clock is virtual, and the goals are those of `cells.Cell.goal`. This is a
part of the cells; `python -m tests.budget.matrix` measures all of them.
"""

from __future__ import annotations

import pytest

from .cells import FAST, GROUPS, SLOW

ALONE, SHARED = "1", "4+store"


def chosen(group, *words, latency=FAST, long=False):
    """Return the cells of a group as parameters, of which each title has one word of each list."""
    marks = [pytest.mark.long] if long else []
    return [
        pytest.param(cell, id=" ".join(cell.title.split()), marks=marks)
        for cell in GROUPS[group]()
        if cell.latency == latency and all({*cell.title.split()} & {*alternatives} for alternatives in words)
    ]


def assert_goal(cell, engine):
    """Assert that a cell misses none of the figures of its goal."""
    measured, kind = cell.run(engine, "budget")
    assert cell.goal.missed(measured) == [], f"{measured}, taken for {kind}"


@pytest.mark.parametrize(
    "cell",
    [
        *chosen("told", ["20/1s", "20/10s"], ["s", "ms", "hubspot"], [ALONE]),
        *chosen("told", ["5/1s"], ["ms"], [ALONE]),
        *chosen("told", ["100/5s", "5/1s", "20/10s"], ["ms", "hubspot"], [SHARED]),
        *chosen("told", ["100/5s", "190/10s"], ["s", "ms", "hubspot"], [ALONE], latency=SLOW, long=True),
        *chosen("told", ["100/5s"], ["s"], [SHARED], latency=SLOW, long=True),
        *chosen("told", ["1000/60s"], ["s"], [ALONE], long=True),
    ],
)
def test_a_limit_that_answers_tell_is_used(engine, cell):
    """The whole limit is used, and next to none of the calls are refused: by one worker, and by four on a store."""
    assert_goal(cell, engine)


@pytest.mark.parametrize(
    "cell",
    [
        *chosen("shares", ["20/1s"], ["s", "ms"], [ALONE], ["share=0.5"]),
        *chosen("shares", ["5/1s"], ["ms"], [ALONE], ["share=0.5"]),
        *chosen("shares", ["20/10s"], ["s", "ms", "hubspot"], [ALONE]),
        *chosen("shares", ["100/5s"], ["ms"], [SHARED], ["share=0.9"]),
        *chosen("shares", ["100/5s"], ["s"], [SHARED], ["share=0.5"], long=True),
        *chosen("shares", ["100/10s"], ["s", "hubspot"], [ALONE, SHARED], ["share=0.9"], long=True),
        *chosen("shares", ["100/5s"], ["s", "ms"], [ALONE], ["share=0.9"], long=True),
    ],
)
def test_a_share_is_used_and_never_exceeded(engine, cell):
    """A share is used but for two points, nothing is refused, and never are more units out than the share."""
    assert_goal(cell, engine)


@pytest.mark.parametrize(
    "cell",
    [
        *chosen("untold", ["20/1s"], ["wait-only"], [ALONE]),
        *chosen("untold", ["100/1s"], ["bare"], [ALONE], long=True),
    ],
)
def test_a_limit_that_only_refusals_show_is_found(engine, cell):
    """Nothing but 429s shows the limit, with a wait or without: 92 % are used, and 1 % refused."""
    assert_goal(cell, engine)


@pytest.mark.parametrize("cell", chosen("epochs", ["100/5s"], ["epoch", "epoch+"], [ALONE]))
def test_a_reset_in_epoch_seconds_is_enough(engine, cell):
    """The end of a window is named as an epoch in whole seconds, by a clock that is not ours."""
    assert_goal(cell, engine)


@pytest.mark.parametrize(
    "cell",
    [
        *chosen("days", ["first_call+day"], ["hubspot"], [ALONE]),
        *chosen("days", ["aligned+day"], ["s"], [ALONE, SHARED], long=True),
        *chosen("days", ["bucket+24h"], ["s"], [ALONE], long=True),
    ],
)
def test_a_day_beside_a_burst_is_kept_to_the_call(engine, cell):
    """The day's share is used to the last unit and no further, and neither limit refuses a call."""
    assert_goal(cell, engine)


@pytest.mark.parametrize(
    "cell",
    [
        *chosen("others", ["bucket"], ["20/1s"], ["ms"], [ALONE], ["share=0.9"]),
    ],
)
def test_another_program_is_hardly_ever_refused(engine, cell):
    """A program that takes 30 % of the limit at random times is refused 0.5 % of its calls at most."""
    assert_goal(cell, engine)


@pytest.mark.parametrize(
    "cell",
    [
        *chosen("bare", ["20/1s", "20/10s"], ["2%429"], [ALONE]),
        *chosen("bare", ["100/1s"], ["0.25%429"], [ALONE], long=True),
    ],
)
def test_random_refusals_cost_next_to_nothing(engine, cell):
    """Refusals that no limit explains are waited out by the refused calls; the limit is used nevertheless."""
    assert_goal(cell, engine)
