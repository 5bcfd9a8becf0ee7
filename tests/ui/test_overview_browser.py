"""The overview of a month in a real browser: at a desk and on a phone, light and dark, by mouse and by keyboard."""

from __future__ import annotations

import csv
import json
import os
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from selenium.webdriver.common.keys import Keys

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.queries.database import LedgerReader, read_only
from tests.system.chromium import PHONE, SIZE, chromium

from .conftest import mounted, token
from .month import Month, add_to_airflow

pytestmark = pytest.mark.long

FOCUSED = "return [document.activeElement.tagName, document.activeElement.getAttribute('href')]"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """The engine of a ledger in a file."""
    made = sa.create_engine(f"sqlite:///{tmp_path_factory.mktemp('month') / 'crm_ledger.db'}")
    Database(made).open()
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def month(engine, airflow_with_teams):
    """The month, in the ledger and in Airflow."""
    made = Month()
    made.write(engine)
    add_to_airflow(made, "bundle_sales")
    return made


@pytest.fixture(scope="module")
def url(engine, month):
    """The address of the overview."""
    from airflow_provider_crm.ui.app import make_app

    reading = read_only(engine)
    with mounted(make_app(LedgerReader(lambda: reading), clock=Clock(now=lambda: month.now))) as address:
        yield f"{address}/crm/"
    reading.dispose()


@pytest.fixture(scope="module")
def screen(url, tmp_path_factory):
    """A browser in which `anna` has logged in."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder, os.environ.get("CRM_PICTURES", folder / "pictures")) as found:
        found.open(url)
        found.driver.add_cookie({"name": "_token", "value": token("anna"), "path": "/"})
        found.errors()
        yield found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("device", "size"), [("desk", SIZE), ("phone", PHONE)])
@pytest.mark.parametrize(
    ("name", "query"), [("week", ""), ("outage", "?range=30d&verdict=outage"), ("none", "?verdict=stale&range=24h")]
)
def test_the_month_is_read_by_everybody(screen, url, *, name, query, device, size, theme):
    """No serious barrier, and no page that scrolls sideways; on a phone each verdict is within the window."""
    screen.theme(theme)
    screen.driver.set_window_size(*size)
    try:
        screen.open(url + query)
        screen.says("Needs attention")
        widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        wide, seen = screen.driver.execute_script(widths)
        assert wide <= seen
        assert screen.barriers() == []
        for badge in screen.all("[aria-labelledby=runs] .badge"):
            assert badge.location["x"] + badge.size["width"] <= seen
        screen.picture(f"month-{name}-{device}-{theme}", whole=True)
        assert screen.errors() == []
    finally:
        screen.driver.set_window_size(*SIZE)
        screen.theme("light")


def test_the_answer_of_the_waiting_plan_is_one_click_away(screen, url, month):
    """The first item of the overview leads to Airflow's form for the answer."""
    screen.open(url)
    link = screen.one(".attention li a")
    assert link.text == "Answer it in Airflow"
    assert link.get_attribute("href").endswith("/tasks/approve/required_actions")


def test_all_refusals_of_last_week_are_one_click_away(screen, url):
    """One click on the overview downloads the file of the last seven days."""
    screen.open(url)
    screen.click("Download all refusals (CSV)", "a")
    (file,) = screen.wait(lambda: list(screen.downloads.glob("refused*.csv")))
    with file.open(encoding="utf-8", newline="") as text:
        assert {row["outcome"] for row in csv.DictReader(text)} == {"invalid", "rejected", "ignored"}


def test_the_overview_is_used_by_keyboard(screen, url):
    """Tab reaches the answer first, then filters and bars with labels; Enter follows a bar to its run."""
    screen.open(url)
    screen.says("Needs attention")

    def press(key):
        screen.driver.switch_to.active_element.send_keys(key)
        return screen.driver.execute_script(FOCUSED)

    press(Keys.TAB)
    press(Keys.ENTER)
    assert press(Keys.TAB)[1].endswith("/required_actions")
    reached = []
    while not (reached and screen.driver.execute_script("return document.activeElement.closest('svg') !== null")):
        reached.append(press(Keys.TAB))
        assert len(reached) < 80
    assert {"SELECT", "INPUT", "BUTTON"} <= {tag for tag, _ in reached}
    label = screen.driver.execute_script("return document.activeElement.getAttribute('aria-label')")
    assert "updated" in label
    press(Keys.ENTER)
    screen.says("Task and log")


def test_times_are_in_the_zone_that_airflow_has(screen, url, month):
    """The zone chosen in Airflow decides, then the browser's; the UTC time is in the title."""
    screen.open(url)
    screen.driver.execute_script("localStorage.setItem('timezone', JSON.stringify('America/New_York'))")
    try:
        screen.open(url)
        time = screen.wait(lambda: screen.all("[aria-labelledby=runs] time"))[0]
        screen.wait(lambda: screen.all("[data-zone]")[0].text == "America/New_York")
        assert time.text == "2026-11-30 03:20:00"
        assert time.get_attribute("title") == "2026-11-30 08:20:00 UTC"
        bar = screen.all("svg.chart a")[-1].get_attribute("aria-label")
        assert "America/New_York" in bar
        screen.open(f"{url}run?run_key={quote(month.deals(0), safe='')}&show=written")
        screen.says("(America/New_York)")
        assert "UTC" not in screen.one("main").text
        screen.driver.execute_script("localStorage.setItem('timezone', 'no zone')")
        screen.open(url)
        screen.wait(lambda: screen.all("[data-zone]")[0].text != "")
        assert screen.errors() == []
    finally:
        screen.driver.execute_script("localStorage.removeItem('timezone')")


def test_the_progress_of_a_run_is_followed(screen, url, engine, month):
    """The page shows the new progress by itself, and loads itself again when the run has ended."""
    screen.open(url)
    screen.says("1,300 of 3,000 rows")
    progress = {"rows": 2_000, "total": 3_000, "failed": 0, "rate": 2.0, "at": month.now.isoformat()}
    row = (runs.c.run_key == month.running,)
    with engine.begin() as connection:
        connection.execute(sa.update(runs).where(*row).values(progress=json.dumps(progress)))
    screen.says("2,000 of 3,000 rows")
    assert "about 8 min 20 s left" in screen.text()
    with engine.begin() as connection:
        connection.execute(sa.update(runs).where(*row).values(finished_at=month.now, progress=None, verdict="nothing"))
    try:
        screen.wait(lambda: not screen.all("[data-refresh]"))
        assert "Running now" not in screen.text()
    finally:
        with engine.begin() as connection:
            connection.execute(sa.update(runs).where(*row).values(finished_at=None, verdict=None))
