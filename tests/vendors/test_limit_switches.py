"""The vendors read what the sandbox's switches for limits can write, and no call is lost."""

from __future__ import annotations

import pytest

from airflow_provider_crm.vendors import VENDORS

from .conftest import NOW

KINDS = ("window", "first_call", "sliding", "bucket")
RESETS = ("decimal", "whole", "epoch", "epoch_milliseconds", "absent")
RECORDS = {"close": "oppo_1", "raze": "opp_1"}
FIELDS = {"close": "note", "raze": "notes"}
PATHS = {"close": "/api/v1/opportunity/oppo_1/", "raze": "/external/v1/opportunities/opp_1"}
SILENT = {
    "close": {"close_rate_limit_header": "absent", "close_retry_after": "absent"},
    "raze": {"raze_limit_headers": False, "raze_body_wait": False},
}


def shown_by(hook, vendor, sandbox):
    """Return the limits in the answer to one more call."""
    response = hook.get_conn().get(sandbox.url + PATHS[vendor])
    return VENDORS[vendor].limits(response, sandbox.clock.now(), None)


def writes(hook, vendor, number):
    """Write one record so many times."""
    for value in range(number):
        hook.update_opportunity(RECORDS[vendor], {FIELDS[vendor]: str(value)})


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("vendor", list(RECORDS))
def test_every_form_of_a_reset_is_read(connect, sandbox, vendor, reset):
    """A reset of six seconds is read as such, in each form; one that is not named is unknown."""
    hook = connect(vendor)
    sandbox.clock.advance(4)
    sandbox.set(**{f"{vendor}_limit": 5, f"{vendor}_window": 10.0, f"{vendor}_reset": reset})
    (limits,) = shown_by(hook, vendor, sandbox)
    expected = None if reset == "absent" else 6.0
    assert (limits.limit, limits.remaining, limits.reset) == (5, 4, pytest.approx(expected))


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vendor", list(RECORDS))
def test_every_kind_of_limit_is_survived(connect, sandbox, vendor, kind, reset):
    """Twelve writes against five in ten seconds land once each, in less than a minute."""
    hook = connect(vendor)
    names = {"limit": 5, "window": 10.0, "limit_kind": kind, "reset": reset}
    sandbox.set(**{f"{vendor}_{name}": value for name, value in names.items()})
    writes(hook, vendor, 12)
    written = [write.fields[FIELDS[vendor]] for write in sandbox.audit.writes]
    assert written == [str(value) for value in range(12)]
    assert (sandbox.clock.now() - NOW).total_seconds() < 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vendor", list(RECORDS))
def test_a_limit_of_which_no_answer_speaks_is_survived(connect, sandbox, vendor, kind):
    """Bare 429s are waited for, too."""
    hook = connect(vendor)
    sandbox.set(**{f"{vendor}_limit": 5, f"{vendor}_window": 10.0, f"{vendor}_limit_kind": kind}, **SILENT[vendor])
    writes(hook, vendor, 8)
    assert len(sandbox.audit.writes) == 8


@pytest.mark.parametrize("spelling", ["comma", "ratelimit-reset", "named"])
def test_the_length_of_a_window_is_read(connect, sandbox, spelling):
    """Where `RateLimit-Policy` names the window, its length is known."""
    hook = connect("close")
    sandbox.set(
        close_limit=5,
        close_window=10.0,
        close_reset="absent",
        close_names_window=True,
        close_rate_limit_header=spelling,
    )
    (limits,) = shown_by(hook, "close", sandbox)
    assert (limits.limit, limits.remaining, limits.reset, limits.length) == (5, 4, None, 10.0)


@pytest.mark.parametrize("vendor", list(RECORDS))
def test_a_day_is_read_beside_the_burst(connect, sandbox, vendor):
    """Both limits are shown by each answer, in the same order, and the day is one."""
    hook = connect(vendor)
    sandbox.set(**{f"{vendor}_limit": 5, f"{vendor}_window": 10.0, f"{vendor}_day_limit": 100})
    for used in (1, 2):
        burst, day = shown_by(hook, vendor, sandbox)
        assert (burst.limit, burst.remaining, burst.reset, burst.is_daily) == (5, 5 - used, 10.0, False)
        assert (day.limit, day.remaining, day.reset, day.is_daily) == (100, 100 - used, 43_200.0, True)
        assert (day.name, day.length) == ("day", 86_400.0)


@pytest.mark.parametrize("vendor", list(RECORDS))
def test_a_day_that_is_used_up_names_its_end(connect, sandbox, vendor):
    """The wait of such a refusal is that of the day, and not of the burst."""
    hook = connect(vendor)
    sandbox.set(**{f"{vendor}_limit": 5, f"{vendor}_window": 10.0, f"{vendor}_day_limit": 1})
    shown_by(hook, vendor, sandbox)
    burst, day = shown_by(hook, vendor, sandbox)
    assert (burst.wait, day.wait, day.remaining) == (None, 43_200.0, 0)


@pytest.mark.parametrize("vendor", list(RECORDS))
def test_random_429s_repeat_with_their_seed(connect, sandbox, vendor):
    """With one seed the same calls are refused, without a word about a limit; all writes land."""
    hook, refused = connect(vendor), []
    for _ in range(2):
        sandbox.set(fault_rates={"http_429_bare": 0.2}, seed=7)
        before = len(sandbox.audit.calls)
        writes(hook, vendor, 20)
        refused.append([number for number, call in enumerate(sandbox.audit.calls[before:]) if call.status == 429])
    assert refused[0] == refused[1]
    assert 0 < len(refused[0]) < 12
    assert len(sandbox.audit.writes) == 40
