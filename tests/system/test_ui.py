"""The pages in a real Airflow, through a real browser, by a user who has logged in with a password."""

from __future__ import annotations

import csv
import os
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

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


def test_the_frame_has_the_theme_of_airflow(screen, place):
    """The page in Airflow's frame is dark when the user has chosen dark in Airflow, and changes with it."""
    shown = "return [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
    screen.open(page(place))
    screen.driver.execute_script("localStorage.setItem('theme', 'dark')")
    try:
        screen.open(page(place))
        screen.enter()
        assert screen.driver.execute_script(shown) == ["dark", "rgb(22, 29, 45)"]
        screen.picture("overview-dark")
        assert screen.barriers() == []
        screen.driver.execute_script("window.parent.document.documentElement.classList.replace('dark', 'light')")
        screen.wait(lambda: screen.driver.execute_script(shown) == ["light", "rgb(255, 255, 255)"])
    finally:
        screen.driver.switch_to.default_content()
        screen.driver.execute_script("localStorage.removeItem('theme')")


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


def test_the_approver_sees_the_plan_where_airflow_asks(screen, place):
    """Airflow's own page of the question shows the plan as a table, the largest change first."""
    screen.open(f"{place.url}/dags/{PLANNED}/runs/waiting/tasks/approve/required_actions")
    screen.says("Change of all amounts")
    changes = [number(cell.text) for cell in screen.all("td:nth-child(5)") if cell.text]
    assert len(changes) == 20
    assert changes == sorted(changes, reverse=True)
    screen.picture("approval")


@pytest.mark.parametrize(
    ("vendor", "title", "said"), [("close", "Close", "Connected to Close"), ("raze", "Raze", "Connected to Raze")]
)
def test_a_connection_is_made_tested_and_broken_in_the_form(screen, place, vendor, title, said):
    """The form of a vendor takes host and key, the test of the connection says that it works, and what is wrong."""
    account = getattr(place.sandbox, vendor)
    name = f"{vendor}_by_hand"
    screen.open(f"{place.url}/connections")
    screen.click("Add Connection", "button")
    kind = screen.one("[role=dialog] input[role=combobox]")
    kind.send_keys(title)
    screen.wait(lambda: screen.driver.find_elements(By.XPATH, f"//*[@role='option'][normalize-space()='{title}']"))
    kind.send_keys(Keys.ENTER)
    screen.one("[role=dialog] input[name=host]").send_keys(place.sandbox.url)
    screen.one("[role=dialog] input[name=password]").send_keys(account.api_key)
    screen.one("[role=dialog] input[name=connection_id]").send_keys(name)
    screen.picture(f"form-{vendor}")
    screen.click("Save", "button")
    screen.wait(lambda: row_of(screen, name))
    # Airflow 3.3.2 sends port 0 from its list where none is stored, and takes that for another connection.
    place.api.call("PATCH", f"/connections/{name}?update_mask=port", connection_id=name, conn_type=vendor, port=0)
    assert said in result_of_test(screen, place, name)
    screen.open(f"{place.url}/connections")
    screen.wait(lambda: row_of(screen, name)).find_element(
        By.CSS_SELECTOR, "button[aria-label='Edit Connection']"
    ).click()
    key = screen.one("[role=dialog] input[name=password]")
    key.send_keys(Keys.CONTROL, "a")
    key.send_keys("a_wrong_key")
    screen.click("Save", "button")
    screen.wait(lambda: not screen.all("[role=dialog][data-state=open]"))
    told = result_of_test(screen, place, name)
    assert "401" in told
    assert "a_wrong_key" not in told


def row_of(screen, name):
    """The row of a connection in Airflow's list, or None."""
    found = screen.driver.find_elements(By.XPATH, f"//tr[.//*[normalize-space()='{name}']]")
    return found[0] if found else None


def result_of_test(screen, place, name):
    """What Airflow says after a click on the test of a connection."""
    screen.open(f"{place.url}/connections")
    row = screen.wait(lambda: row_of(screen, name))
    row.find_element(By.CSS_SELECTOR, "button[aria-label='Test Connection']").click()
    toasts = "[data-part=root][data-scope=toast]"
    return screen.wait(lambda: [toast.text for toast in screen.all(toasts) if "\n" in toast.text])[0]
