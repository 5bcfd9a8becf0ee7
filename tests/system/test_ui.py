"""The pages in a real Airflow, through a real browser, by a user who has logged in with a password."""

from __future__ import annotations

import csv
import os
from urllib.parse import quote

import pytest

from .chromium import PHONE, SIZE, chromium
from .crm_pages import DAILY, DIRTY, PASSWORD, PLANNED, SHARDED, USER, crm_airflow

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def place(tmp_path_factory, metadata):
    """A running Airflow whose ledger has something to show."""
    with crm_airflow(tmp_path_factory.mktemp("home"), metadata) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def screen(place, tmp_path_factory):
    """A browser in which the user has logged in; pictures go into the folder that CRM_PICTURES names, if it does."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder, os.environ.get("CRM_PICTURES", folder / "pictures")) as found:
        found.open(place.url)
        found.type("input[name=username]", USER)
        found.type("input[name=password]", PASSWORD)
        found.one("button[type=submit]").click()
        found.wait(lambda: "/auth/login" not in found.driver.current_url)
        found.errors()
        yield found


@pytest.fixture(autouse=True)
def _no_errors(screen):
    """Nothing that a test does leaves an error in the browser's console."""
    yield
    assert screen.errors() == []


def page(place, name=""):
    """The address of a page inside Airflow."""
    return f"{place.url}/plugin/crm/crm/{name}"


def run_page(place, dag_id=DAILY, task_id="deal_values", run_id=DIRTY):
    """The address of a run's page inside Airflow."""
    return page(place, f"run?run_key={quote(f'{dag_id}/{task_id}/{run_id}', safe='')}")


def test_the_navigation_leads_to_the_overview(screen, place):
    """The page is one click from Airflow's start, in its frame, and shows accounts, sums and runs."""
    screen.open(place.url)
    screen.one('a[href$="/plugin/crm"]').click()
    screen.enter()
    shown = screen.text()
    assert "Last 24 hours" in shown
    assert "close:127.0.0.1" in shown
    assert DAILY in shown
    assert len(screen.all("svg.chart a")) >= 6
    screen.picture("overview")
    assert screen.barriers() == []


def test_a_run_is_searched_sorted_and_downloaded(screen, place):
    """From the overview to the run with refused rows: a search narrows, heads sort, the file has all."""
    screen.open(page(place))
    screen.enter()
    screen.one("tr:has(.badge.bad) td a").click()
    screen.says("Refused rows")
    screen.picture("run")
    assert screen.barriers() == []
    rows = screen.all("tbody tr")
    assert len(rows) > 3
    screen.type("#q", "currency").submit()
    screen.says("of 1")
    assert "EUR" in screen.all("tbody tr")[0].text
    screen.type("#q", "").submit()
    screen.wait(lambda: len(screen.all("tbody tr")) == len(rows))
    screen.one("thead a[href*='sort=code']").click()
    screen.wait(lambda: screen.all("th[aria-sort=ascending] a[href*='sort=code']"))
    codes = [cell.text for cell in screen.all("tbody td:nth-child(3)")]
    assert codes == sorted(codes)
    screen.click("Download CSV", "a")
    (file,) = screen.wait(lambda: list(screen.downloads.glob("*.csv")))
    with file.open(encoding="utf-8", newline="") as text:
        assert len(list(csv.DictReader(text))) == len(rows)


def test_a_run_leads_to_its_record_and_its_task(screen, place):
    """A written field leads to the record's history, and the run to Airflow's page of the task with its log."""
    screen.open(run_page(place) + "&show=written")
    screen.enter()
    screen.one("tbody td a").click()
    screen.says("What happened to it")
    assert "updated" in screen.text()
    screen.picture("record")
    assert screen.barriers() == []
    screen.open(run_page(place))
    screen.enter()
    screen.click("Task and log", "a")
    screen.wait(lambda: f"/dags/{DAILY}/runs/{DIRTY}/tasks/deal_values" in screen.driver.current_url)
    assert "/plugin/" not in screen.driver.current_url


def test_a_record_is_found_by_its_id(screen, place):
    """The field at the top finds a record by its id."""
    screen.open(page(place))
    screen.enter()
    screen.type("#find", "oppo_1029_001").submit()
    screen.says("What it holds")
    assert f"{DAILY}/deal_values/2026-10-29" in screen.text()


def test_a_plan_shows_the_largest_change_first_and_what_became_of_it(screen, place):
    """An applied plan tells who approved it and which run applied it; one that waits says so."""
    screen.open(page(place, f"plan?plan_id={place.api.plan_id('approved')}"))
    screen.enter()
    shown = screen.text()
    assert "Approve" in shown
    assert f"by {USER}" in shown
    assert f"{PLANNED}/apply/approved" in shown
    changes = [abs(number(cell.text)) for cell in screen.all("tbody td:nth-child(5)") if cell.text]
    assert changes == sorted(changes, reverse=True)
    screen.picture("plan")
    assert screen.barriers() == []
    screen.open(page(place, f"plan?plan_id={place.api.plan_id('waiting')}"))
    screen.enter()
    assert "Waiting for an answer" in screen.text()
    assert "Not applied" in screen.text()


def number(text):
    """A number as the page writes it."""
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def test_the_link_of_a_task_leads_to_its_run(screen, place):
    """The operator's link stands on Airflow's page of the task, and opens the run; of a mapped task, its own."""
    for dag_id, run_id, task_id, tail, name in (
        (DAILY, DIRTY, "deal_values", "", "deal_values"),
        (SHARDED, "sharded", "deal_values", "/mapped/2", "deal_values [2]"),
    ):
        screen.open(f"{place.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}{tail}/details")
        link = screen.wait(lambda: screen.all('a[href*="/plugin/crm/crm/task"]'))[0]
        screen.open(link.get_attribute("href"))
        screen.enter()
        assert screen.one("h1").text == name
        assert run_id in screen.text()


def test_the_tabs_of_dag_run_and_task_show_the_page(screen, place):
    """The page is a tab of the Dag run, with all its tasks, and of the task instance, mapped or not."""
    screen.open(f"{place.url}/dags/{SHARDED}/runs/sharded/plugin/crm-dag-run")
    screen.enter()
    assert len(screen.all("tbody tr")) >= 2
    screen.open(f"{place.url}/dags/{SHARDED}/runs/sharded/tasks/deal_values/mapped/1/plugin/crm-task")
    screen.enter()
    assert screen.one("h1").text == "deal_values [1]"
    screen.open(f"{place.url}/dags/{DAILY}/runs/{DIRTY}/tasks/deal_values/plugin/crm-task")
    screen.enter()
    assert screen.one("h1").text == "deal_values"
    screen.picture("task-tab")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_follows_the_theme_and_fits_a_phone(screen, place, theme):
    """On a phone nothing but tables scrolls sideways, in light and dark, and the contrast suffices in both."""
    screen.theme(theme)
    screen.driver.set_window_size(*PHONE)
    try:
        for name, address in (("overview", ""), ("run", f"run?run_key={DAILY}/deal_values/{DIRTY}")):
            screen.open(f"{place.url}/crm/{address}")
            screen.one("main h1")
            widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            wide, seen = screen.driver.execute_script(widths)
            assert wide <= seen
            assert screen.barriers() == []
            screen.picture(f"phone-{name}-{theme}")
    finally:
        screen.driver.set_window_size(*SIZE)
        screen.theme("light")
