"""Budget and guardrails on the pages."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import budgets
from airflow_provider_crm.queries.budgets import of_accounts, of_run, windows
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.ui.rendering import environment

from .conftest import CLOSE, NOW, RAZE

DIGEST = "3fa9c1d2e0b4" + "0" * 52
WEEK = dt.timedelta(days=7)


def used(*groups, key=DIGEST[:12], share=0.9):
    """The budget of a report: group, calls, limit, window and allowed calls of each endpoint group."""
    names = ("group", "calls", "limit", "window", "allowed")
    return {
        "key": key,
        "share": share,
        "waited": 3.2,
        "groups": [dict(zip(names, group, strict=True)) for group in groups],
    }


WRITES = ("opportunity write", 120, 40, 0.998, 400)
READS = ("opportunity read", 1, None, None, None)


@pytest.fixture
def window(database):
    """Add the present window of a shared budget."""

    def add(group="opportunity write", *, digest=DIGEST, ends_in=60.0, **known):
        row = {"call_limit": 40, "used": 10, "length": 60.0, "updated_at": NOW, "state": "{}", **known}
        ends_at = None if ends_in is None else NOW + dt.timedelta(seconds=ends_in)
        with database.begin() as connection:
            name = f"close:127.0.0.1:8000:{digest}:{group}"
            connection.execute(sa.insert(budgets).values(name=name, ends_at=ends_at, **row))

    return add


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ({}, (40, 10, NOW + dt.timedelta(seconds=60))),
        ({"used": 33}, (40, 33, NOW + dt.timedelta(seconds=60))),
        ({"ends_in": -1.0}, (40, 0, None)),
        ({"ends_in": None, "length": 0.0}, (40, 0, None)),
        ({"ends_in": None, "length": 60.0}, (40, 10, None)),
    ],
)
def test_the_present_window(window, reading, known, left):
    """Calls that the vendor has counted; none once the window may be over; its end where that is known."""
    window(**known)
    ((place, found),) = windows(reading, NOW).items()
    assert place == (DIGEST[:12], "opportunity write")
    assert (found.limit, found.used, found.ends_at) == left


def test_a_window_of_unknown_end_is_over_some_time(window, reading):
    """Workers that died leave a window without an end; it is not the present one for ever."""
    window(ends_in=None, length=60.0)
    (found,) = windows(reading, NOW + dt.timedelta(seconds=121)).values()
    assert (found.used, found.ends_at) == (0, None)


def test_the_last_run_of_each_key_speaks_for_it(log, reading):
    """Each key of an account is shown once, with its newest run; runs without a report, and old ones, do not count."""
    other = "b" * 12
    for key, ago, digest in (
        ("new", 1, DIGEST[:12]),
        ("old", 2, DIGEST[:12]),
        ("other", 3, other),
        ("gone", 200, "c" * 12),
    ):
        log.run(f"sales/t/{key}", ago=dt.timedelta(hours=ago), outcomes={"updated": 1}, budget=used(WRITES, key=digest))
    log.run("sales/t/open", finished=False, ago=dt.timedelta(minutes=1))
    log.run("sales/t/plain", ago=dt.timedelta(minutes=2), outcomes={"updated": 1})
    log.run("others/t/r", ago=dt.timedelta(minutes=3), outcomes={}, budget=used(WRITES, key="d" * 12))
    found = of_accounts(Runs(reading, {"sales"}).last_of_accounts(NOW - WEEK), {}, NOW)
    assert {(one.run.key.run_id, one.run.budget.key) for one in found} == {("new", DIGEST[:12]), ("other", other)}


def test_an_overview_is_no_list_of_everything(log, reading, window):
    """Of each key the shared budgets, each with the run that used it last; else the one with most calls."""
    window()
    window("opportunity read", call_limit=0, used=1)
    log.run("sales/t/wrote", ago=dt.timedelta(hours=2), outcomes={"updated": 1}, budget=used(WRITES, READS))
    planned = used(("opportunity read", 9, 40, 20.0, 40))
    log.run("sales/t/planned", ago=dt.timedelta(hours=1), outcomes={}, budget=planned)
    latest = Runs(reading, {"sales"}).last_of_accounts(NOW - WEEK)
    (shared,) = of_accounts(latest, windows(reading, NOW), NOW)
    assert (shared.run.key.run_id, shared.budget.use.group) == ("wrote", "opportunity write")
    (alone,) = of_accounts(latest, {}, NOW)
    assert alone.budget.use.calls == 120


def test_the_longest_window_that_was_seen_counts(log, reading):
    """A run that began in the middle of a window saw its rest only; another one saw more of it."""
    for number, (ago, seconds) in enumerate(((3, 12.5), (2, 58.9), (1, 40.0))):
        use = used(("opportunity write", 5, 40, seconds, 40))
        log.run(f"sales/t/{number}", ago=dt.timedelta(hours=ago), outcomes={"updated": 1}, budget=use)
    (one,) = of_accounts(Runs(reading, {"sales"}).last_of_accounts(NOW - WEEK), {}, NOW)
    assert (one.run.key.run_id, one.budget.seconds) == ("2", 58.9)


def test_a_shared_window_knows_more_than_one_run(log, reading, window):
    """The limit and the length are those of all workers; a group that is not shared has the run's own."""
    window(call_limit=50)
    log.run("sales/t/r", outcomes={"updated": 1}, budget=used(READS, WRITES))
    (run,) = Runs(reading, {"sales"}).named("sales/t/r")
    shared, own = of_run(run.budget, windows(reading, NOW), NOW)
    assert (shared.limit, shared.seconds, shared.window.used) == (50, 60.0, 10)
    assert (own.use.group, own.limit, own.window) == ("opportunity read", None, None)


def plain(page):
    """The text of a page."""
    return re.sub(r" (?=[;,.)])", "", re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_the_overview_shows_the_budget_of_own_accounts(browser, log, window):
    """Limit, present window and last run by account and endpoint group; of another team's key nothing."""
    window(ends_in=3600.0)
    window("secret", digest="e" * 64, ends_in=3600.0, call_limit=77, used=55)
    log.run("sales_sync/t/r", outcomes={"updated": 1}, budget=used(WRITES, READS))
    log.run("sales_sync/raze/r", account=RAZE, outcomes={}, budget=used(("", 620, 1000, 2463.0, 1000), key="f" * 12))
    theirs = used(("secret", 44, 77, 60.0, 77), key="e" * 12)
    log.run("finance_sync/t/r", account="close:theirs:orga", outcomes={"updated": 1}, budget=theirs)
    anna = plain(browser("anna").text(""))
    assert "opportunity write 40 per 1 min 10 of 40, until" in anna
    assert f"{RAZE} all endpoints 1,000 per at least 41 min 3 s not shared through the ledger 62%" in anna
    assert ("secret" in anna, "theirs" in anna) == (False, False)
    assert "55 of 77" in plain(browser("ben").text(""))
    assert RAZE not in plain(browser("anna").text("", account=CLOSE)).split("Budget used")[1].split("Runs")[0]
    assert DIGEST[:12] not in browser("anna").text("")


def test_the_run_shows_its_budget(browser, log):
    """The page shows the use of each limit, the share, and how long the run waited."""
    log.run("sales_sync/t/r", outcomes={"updated": 1}, budget=used(WRITES, READS))
    shown = plain(browser("anna").text("run", run_key="sales_sync/t/r"))
    assert "opportunity write 40 per 1 s 120 30% of 400 calls allowed during the run" in shown
    assert "opportunity read not known 1 not known" in shown
    assert "may use 90% of the limit together. The run waited 3.2 s" in shown


@pytest.fixture
def daily(log):
    """Add a run under a limit of ten seconds and one of a day."""

    def add(run_key="sales_sync/t/r", *, kind="sliding", left=2500, ends_in=dt.timedelta(hours=9), **run):
        ends_at = None if ends_in is None else (NOW + ends_in).isoformat().replace("+00:00", "Z")
        use = used(("", 812, 100, 10.0, 900))
        use["groups"][0]["kind"] = kind
        use["groups"][0]["day"] = {"limit": 5000, "used": 812, "left": left, "ends_at": ends_at, "share": 0.5}
        log.run(run_key, outcomes={"updated": 1}, budget=use, **run)
        return "" if ends_in is None else f"{NOW + ends_in:%Y-%m-%d %H:%M:%S}"

    return add


@pytest.mark.parametrize(("page", "asked"), [("", {}), ("run", {"run_key": "sales_sync/t/r"})])
def test_the_pages_show_kind_and_day(browser, daily, page, asked):
    """The kind stands beside the limit; of the day there are what is left, its end and the share."""
    end = daily()
    shown = plain(browser("anna").text(page, **asked))
    assert "100 per 10 s sliding windows" in shown
    assert f"2,500 of 5,000 left until {end} UTC; runs may use 50%" in shown


def test_the_run_shows_its_calls_of_the_day(browser, daily):
    """Beside those of the whole run, which may have taken several days."""
    daily()
    shown = plain(browser("anna").text("run", run_key="sales_sync/t/r"))
    assert "Limit of the day Calls of that day" in shown
    assert "runs may use 50% 812" in shown


@pytest.mark.parametrize("page", ["", "run"])
def test_a_day_that_has_ended_shows_nothing_left_of_it(browser, daily, page):
    """What was left yesterday is not left today."""
    end = daily(ends_in=-dt.timedelta(hours=1))
    shown = plain(browser("anna").text(page, **({"run_key": "sales_sync/t/r"} if page else {})))
    assert f"5,000 a day the day of the run ended at {end} UTC" in shown
    assert "2,500" not in shown


def test_a_day_of_the_last_24_hours(browser, daily):
    """It has no end; where no answer says what is left, nothing is made up."""
    daily(ends_in=None)
    assert "2,500 of 5,000 left in 24 hours; runs may use 50%" in plain(browser("anna").text(""))
    daily("sales_sync/t/later", ends_in=None, left=None, ago=dt.timedelta())
    assert "5,000 a day in 24 hours; runs may use 50%" in plain(browser("anna").text(""))


def test_without_a_daily_limit_the_pages_have_no_column_for_it(browser, log):
    """The vendors that have no such limit show none; nor is a kind shown that is not known."""
    log.run("sales_sync/t/r", outcomes={"updated": 1}, budget=used(WRITES, READS))
    for text in (browser("anna").text(""), browser("anna").text("run", run_key="sales_sync/t/r")):
        assert "of the day" not in text
        assert "windows" not in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [("aligned", "windows by the clock"), ("bucket", "token bucket"), ("refusals", "known from refusals only")],
)
def test_a_kind_is_written_in_words(kind, words):
    """How the vendor counts; a word of a later version stays."""
    assert environment().filters["kind"](kind) == words
    assert environment().filters["kind"]("quantum") == "quantum"


def test_the_run_shows_its_guardrails(browser, log):
    """ImpactEstimate beside allowed, and whether it is within the limit; text is escaped."""
    within = {"limit": "max_rows", "measured": "1200", "allowed": "5000", "unit": "rows"}
    null = {"limit": "max_null_fraction", "measured": "0.1234567", "allowed": "0.5", "unit": "of <b>'x'</b>"}
    log.run("sales_sync/t/r", outcomes={"updated": 1}, guardrails=[within, null])
    page = browser("anna").text("run", run_key="sales_sync/t/r")
    assert "max_rows within the limit 1,200 5,000 rows" in plain(page)
    assert "max_null_fraction within the limit 0.1235 0.5 of" in plain(page)
    assert "<b>" not in page
    assert "1 landed" in plain(page)


def test_a_run_that_a_guardrail_stopped_says_so(browser, log):
    """It is no green run of no row: the badge and the table name the limit that was broken."""
    broken = {"limit": "max_rows", "measured": "6000", "allowed": "5000", "unit": "rows"}
    log.run("sales_sync/t/r", outcomes={}, guardrails=[broken])
    shown = plain(browser("anna").text("run", run_key="sales_sync/t/r"))
    assert "stopped by a guardrail" in shown
    assert "nothing was written" in shown
    assert "max_rows broken 6,000 5,000 rows" in shown
    assert "stopped by a guardrail" in browser("anna").text("")
    assert " landed" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"), (0.0, "\N{EN DASH}"), (1.0, "1 s"), (0.985, "1 s"), (59.2, "1 min"), (3599.0, "1 h"),
        (26.73, "window"), (2463.0, "at least 41 min 3 s"), (86_400.0, "24 h"),
    ],
)  # fmt: skip
def test_a_window_is_written_as_people_say_it(seconds, text):
    """A usual length has its unit; a length from answers in the middle of a window is shown as a lower bound."""
    assert environment().filters["window"](seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("5000", "5,000"), ("0.50", "0.5"), ("0.33333333", "0.3333"), ("1001.5", "1,001.5"), ("0", "0"), ("100", "100")],
)
def test_a_measurement_has_the_decimals_it_needs(value, text):
    """Rows are whole, fractions short, amounts as they are."""
    assert environment().filters["measure"](Decimal(value)) == text
