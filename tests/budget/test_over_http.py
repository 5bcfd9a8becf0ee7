"""The measure of what is used over HTTP: its ideal is what the limiters allow, and its server is fast and honest."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import requests

from tests.budget.limit_use import KEY, OTHER_KEY, Cell, later_use, peak, use_of
from tests.budget.limited_server import ANNOUNCEMENTS, Call, Limited, VendorSetup, limited_server
from tests.budget.limiters import KINDS
from tests.budget.plain_clients import one_gate, threads_with_retry

URL = "/api/v1/opportunity/oppo_1/"
CELLS = [
    *(Cell(kind, limit, seconds, lasts=9) for kind in KINDS for limit, seconds in ((4, 1), (7, 3))),
    *(Cell(kind, 10, 2, share=0.5, lasts=8) for kind in KINDS),
]


def greedy(cell):
    """Return when a client without latency that knows the limiter sends each of a cell's calls."""
    rule = cell.setup.rules()[0]
    limiter = KINDS[cell.kind](type(rule)(rule.kind, round(cell.allowed), rule.seconds, rule.phase))
    now, times = 0.0, []
    for _ in range(cell.rows):
        now += limiter.look(now).wait
        now += 0.0 if limiter.look(now).allowed else 1e-6
        assert limiter.take(now).allowed
        times.append(now)
    return times


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_ideal_is_what_the_limiter_allows(cell):
    """Each call's time in the formula is that of a client that waits for nothing but the limiter."""
    assert [cell.ideal(number) for number in range(cell.rows)] == pytest.approx(greedy(cell), abs=1e-3)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_ideal_client_uses_all_and_never_more(cell):
    """What it uses is its share, and so is the most that it uses of a window, but for the parts of a call."""
    times = greedy(cell)
    use = use_of(cell, [Call(at, 200, KEY) for at in times])
    assert (use.used, use.later, use.refused) == (*[pytest.approx(cell.share, abs=1e-3)] * 2, 0)
    assert peak(cell, times) <= cell.share + 1e-3


def test_a_client_that_idles_uses_less():
    """Every second window is left out: half is used."""
    cell = Cell("first_call", 10, 1, lasts=8)
    use = use_of(cell, [Call(2.0 * (number // 10), 200, KEY) for number in range(cell.rows)])
    assert (use.used, use.later) == (pytest.approx(0.5), pytest.approx(0.5))


def test_windows_that_are_not_used_up_count_as_such():
    """Of aligned windows every second one is half used."""
    cell = Cell("aligned", 10, 1, lasts=8)
    filled = [window + 0.5 for window in range(9) for _ in range(10 if window % 2 else 5)]
    assert later_use(cell, filled) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_start_is_no_part_of_what_is_used_later(kind):
    """A second is lost before the second call, and nothing afterwards."""
    cell = Cell(kind, 10, 1, lasts=9)
    late = [at + (1.0 if number else 0.0) for number, at in enumerate(greedy(cell))]
    use = use_of(cell, [Call(at, 200, KEY) for at in late])
    assert use.used < 0.95
    assert use.later == pytest.approx(1.0, abs=1e-3)


def test_refusals_are_of_those_who_were_refused():
    """Refusals of another program are its own; its calls count from the runs' first one to their last one."""
    cell = Cell("first_call", 2, 1, other=0.3)
    mine, other = [(0.0, 200), (0.6, 429), (1.0, 200)], [(-9.0, 200), (0.5, 429), (0.5, 200)]
    calls = sorted([*(Call(*call, KEY) for call in mine), *(Call(*call, OTHER_KEY) for call in other)])
    use = use_of(cell, calls)
    assert (use.accepted, use.refused, use.other, use.used) == (2, 1, (3, 1), 1.0)


def put(url, session=requests):
    """Send one call."""
    return session.put(url + URL, json={"value": 5}, auth=(KEY, ""), timeout=5)


def answers(count, setup):
    """Return status and headers of so many calls, without a server around the limits."""
    limited, request = Limited(setup), b"PUT /api/v1/opportunity/oppo_1/ HTTP/1.1"
    heads = [limited.counted(request, b'{"value": 5}').split(b"\r\n\r\n")[0].decode() for _ in range(count)]
    return [
        {"status": lines[0].split()[1], **dict(line.split(": ", 1) for line in lines[1:])}
        for lines in (head.strip().split("\r\n") for head in heads)
    ]


@pytest.mark.parametrize(
    ("announces", "quota", "policy", "wait"),
    [
        ("seconds", "limit=2, remaining=0, reset=12", None, "12"),
        ("milliseconds", "limit=2, remaining=0, reset=11.", None, "11."),
        ("seconds and length", '"limit0";r=0;t=12', '"limit0";q=2;w=30', "12"),
        ("milliseconds and length", '"limit0";r=0;t=11.', '"limit0";q=2;w=30', "11."),
        ("length", '"limit0";r=0', '"limit0";q=2;w=30', None),
        ("wait", None, None, "12"),
        ("nothing", None, None, None),
    ],
)
def test_the_server_announces_what_it_should(announces, quota, policy, wait):
    """Some 11.1 seconds before the end of a window: limit, rest and wait are in the headers, or they are not."""
    assert announces in ANNOUNCEMENTS
    _, last, refused = answers(3, VendorSetup((("aligned", 2, 30.0, 0),), announces))
    shown = [last.get("RateLimit"), last.get("RateLimit-Policy"), refused.get("Retry-After")]
    for value, expected in zip(shown, (quota, policy, wait), strict=True):
        assert value == expected or value.startswith(expected)
    assert (last["status"], refused["status"]) == ("200", "429")


def test_a_server_with_a_day_announces_both():
    """A burst and a day are two policies, and a call counts for both."""
    limits = (("sliding", 3, 10.0, 0), ("aligned", 50, 86_400.0, 48))
    _, last, refused = answers(3, VendorSetup(limits, "length"))
    assert (last["status"], refused["status"]) == ("200", "429")
    assert last["RateLimit-Policy"].count("q=") == 2
    assert [one.split(";r=")[1] for one in last["RateLimit"].split(", ")] == ["1", "0"]


def test_calls_are_counted_over_http():
    """An answer is as long as Close's and has what was written; a refusal is on record, with its key."""
    with limited_server(VendorSetup((("first_call", 2, 30.0, 0),), latency=0.0)) as server:
        first, *others = (put(server.url) for _ in range(3))
        calls = server.calls()
    assert (first.json()["value"], 1_200 < len(first.content) < 1_400) == (5, True)
    assert [call.status for call in calls] == [one.status_code for one in (first, *others)] == [200, 200, 429]
    assert {call.key for call in calls} == {KEY}


@pytest.mark.parametrize("way", [threads_with_retry, one_gate])
def test_the_other_clients_write_all_rows(way):
    """What the operator is compared with repeats what was refused until all has landed."""
    with limited_server(VendorSetup((("bucket", 20, 0.2, 0),), "milliseconds", latency=0.0)) as server:
        assert way(server.url, KEY, range(60)) == 60
        calls = server.calls()
    assert sum(call.accepted for call in calls) == 60


def test_calls_take_as_long_as_they_should():
    """With a latency of 40 ms the answer comes after 40 ms, and the call is counted in between."""
    with limited_server(VendorSetup((("bucket", 10, 1.0, 0),), latency=0.04)) as server, requests.Session() as session:
        put(server.url, session)
        began = time.monotonic()
        put(server.url, session)
        took = time.monotonic() - began
        calls = server.calls()
    assert took >= 0.04
    assert [later.at > earlier.at for earlier, later in pairwise(calls)] == [True]
