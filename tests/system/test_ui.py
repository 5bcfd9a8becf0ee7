"""The pages in a real Airflow, through a real browser, by a user who has logged in with a password."""

from __future__ import annotations

import csv
import json
import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .chromium import PHONE, SIZE
from .connection_form import result_of_test, row_of
from .crm_pages import CLEAN, DAILY, DIRTY, PLANNED, SHARDED, USER, every_page

pytestmark = pytest.mark.long

LIMIT = r"100 per (1 s|window)(\s+(sliding )?windows( \w+)*)?"
"""A limit, whose kind the few calls of a run may have shown."""


@pytest.fixture(autouse=True)
def _no_errors(screen):
    """Nothing that a test does leaves an error in the browser's console."""
    yield
    assert screen.errors() == []


def test_the_navigation_leads_to_the_overview(screen, place):
    """The page is one click from Airflow's start, in its frame, and shows accounts, sums and runs."""
    screen.open(place.url)
    screen.one('a[href$="/plugin/crm"]').click()
    screen.enter()
    shown = screen.text()
    assert "Needs attention" in shown
    assert "24 hours" in shown
    assert "close:127.0.0.1" in shown
    assert DAILY in shown
    assert len(screen.all("svg.chart a")) >= 6
    budget = screen.one("[role=region][aria-label='Budget used']").text
    for group in ("read", "write"):
        assert re.search(rf"orga_sandbox opportunity {group} {LIMIT}\s+\d+ of 100[^\n]* \d+%", budget), budget
    screen.picture("overview")
    assert screen.barriers() == []


def test_a_run_is_searched_sorted_and_downloaded(screen, place):
    """From the overview to the run with refused rows: a search narrows, heads sort, the file has all."""
    screen.open(place.page())
    screen.enter()
    screen.one("tr:has(.badge.bad) td a").click()
    screen.says("Why rows did not land")
    assert re.search(rf"opportunity write {LIMIT}\s+4\d\s+\d+% of", screen.one("[aria-label=Budget]").text)
    screen.picture("run")
    assert screen.barriers() == []
    refused = "[aria-label='Refused rows'] tbody"
    rows = screen.all(f"{refused} tr")
    assert len(rows) == 5
    screen.type("#q", "currency").submit()
    screen.says("of 1")
    assert "EUR" in screen.one(refused).text
    screen.type("#q", "").submit()
    screen.wait(lambda: len(screen.all(f"{refused} tr")) == len(rows))
    screen.one("thead a[href*='sort=code']").click()
    screen.wait(lambda: screen.all("th[aria-sort=ascending] a[href*='sort=code']"))
    codes = [cell.text for cell in screen.all(f"{refused} td:nth-child(3)")]
    assert codes == sorted(codes)
    screen.click("Download CSV", "a")
    (file,) = screen.wait(lambda: list(screen.downloads.glob("*.csv")))
    with file.open(encoding="utf-8", newline="") as text:
        assert len(list(csv.DictReader(text))) == len(rows)


def test_a_run_leads_to_its_record_and_its_task(screen, place):
    """A written field leads to the record's history, and the run to Airflow's page of the task with its log."""
    screen.open(place.run_page() + "&show=written")
    screen.enter()
    screen.one("[aria-label='Written fields'] tbody td a").click()
    screen.says("History")
    assert "updated" in screen.text()
    screen.picture("record")
    assert screen.barriers() == []
    screen.open(place.run_page())
    screen.enter()
    screen.click("Task and log", "a")
    screen.wait(lambda: f"/dags/{DAILY}/runs/{DIRTY}/tasks/deal_values" in screen.driver.current_url)
    assert "/plugin/" not in screen.driver.current_url


def test_a_record_is_found_by_its_id(screen, place):
    """The field at the top finds a record by its id."""
    screen.open(place.page())
    screen.enter()
    screen.type("#find", "oppo_1029_001").submit()
    screen.says("Values that the ledger knows")
    assert f"{DAILY} / deal_values 2026-10-29" in screen.text()


def test_a_plan_shows_the_largest_change_first_and_what_became_of_it(screen, place):
    """An applied plan tells who approved it and which run applied it; one that waits says so."""
    screen.open(place.page(f"plan?plan_id={place.api.plan_id('approved')}"))
    screen.enter()
    shown = screen.text()
    assert "Approve" in shown
    assert f"by {USER}" in shown
    assert f"{PLANNED} / apply approved" in shown
    changes = [abs(number(cell.text)) for cell in screen.all("tbody td:nth-child(5)") if cell.text]
    assert changes == sorted(changes, reverse=True)
    screen.picture("plan")
    assert screen.barriers() == []
    screen.open(place.page(f"plan?plan_id={place.api.plan_id('waiting')}"))
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
        (PLANNED, "approved", "plan", "", "plan"),
        (PLANNED, "approved", "apply", "", "apply"),
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
    screen.driver.switch_to.default_content()
    screen.wait(lambda: "CRM" in [tab.text for tab in screen.all("a[href$='/plugin/crm-task']")])


def test_the_frame_has_the_theme_of_airflow(screen, place):
    """The page in Airflow's frame is dark when the user has chosen dark in Airflow, and changes with it."""
    shown = "return [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
    screen.open(place.page())
    screen.driver.execute_script("localStorage.setItem('theme', 'dark')")
    try:
        screen.open(place.page())
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
@pytest.mark.parametrize(("device", "size"), [("desk", SIZE), ("phone", PHONE)])
def test_every_page_can_be_used_by_everybody(screen, place, device, size, theme):
    """No serious barrier on any page, at a desk or on a phone, in light or dark, and only tables scroll sideways."""
    screen.theme(theme)
    screen.driver.set_window_size(*size)
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    try:
        for name, address in every_page(place).items():
            screen.open(f"{place.url}/crm/{address}")
            screen.one("main h1")
            wide, seen = screen.driver.execute_script(widths)
            assert (name, wide) <= (name, seen)
            loaded = "return performance.getEntriesByType('resource').map(one => new URL(one.name).origin)"
            assert set(screen.driver.execute_script(loaded)) == {place.url}
            assert (name, screen.barriers()) == (name, [])
            screen.picture(f"{device}-{theme}-{name}", whole=True)
            if name in ("not-found", "bad-address"):  # the browser calls every such answer an error
                assert all("status of 40" in message for message in screen.errors())
    finally:
        screen.driver.set_window_size(*SIZE)
        screen.theme("light")


def test_the_page_is_used_by_keyboard(screen, place):
    """Two links lead past the head: into the content, and past all that needs a person to the runs, two stops away."""
    screen.open(f"{place.url}/crm/")
    screen.one("main h1")
    focused = "return [document.activeElement.className, document.activeElement.textContent.trim()]"

    def press(key):
        screen.driver.switch_to.active_element.send_keys(key)
        return screen.driver.execute_script(focused)

    assert press(Keys.TAB) == ["skip", "Skip to content"]
    assert screen.one(".skip").size["height"] > 10
    press(Keys.ENTER)
    assert screen.driver.current_url.endswith("#content")
    assert screen.driver.execute_script("return document.activeElement.id") == "content"
    screen.open(f"{place.url}/crm/")
    screen.one("main h1")
    press(Keys.TAB)
    assert press(Keys.TAB) == ["skip", "Skip to the runs"]
    press(Keys.ENTER)
    press(Keys.TAB)  # the table, which arrow keys scroll
    press(Keys.TAB)
    link = screen.driver.switch_to.active_element
    assert "run?run_key=" in link.get_attribute("href")
    assert link.value_of_css_property("outline-style") == "solid"
    press(Keys.ENTER)
    screen.says("Task and log")


def test_a_plan_tells_its_guardrails(screen, place):
    """What was measured before the plan was stored stands beside what is allowed."""
    screen.open(place.run_page(PLANNED, "plan", "approved"))
    screen.enter()
    assert re.search(r"max_rows within the limit\s[\d,]+ [\d,]+ rows", screen.one("[aria-label=Guardrails]").text)


def test_a_real_worker_tells_openlineage_what_it_wrote(place):
    """A green day is one START and one COMPLETE, the end with the dataset of the account and the counts of the run."""
    events = [json.loads(line) for line in place.lineage.read_text().splitlines()]
    wanted = {DIRTY, *CLEAN, f"{CLEAN[0]}-again"}
    mine = [
        event
        for event in events
        if event["job"]["name"] == f"{DAILY}.deal_values"
        and event["run"]["facets"]["airflow"]["dagRun"]["run_id"] in wanted
    ]
    ends = [event for event in mine if event["eventType"] == "COMPLETE"]
    assert len(ends) == len(CLEAN) + 1
    for end in ends:
        (output,) = end["outputs"]
        assert (output["namespace"], output["name"]) == (f"crm://{place.account}", "opportunity")
        counts = output["outputFacets"]["crm_outcomes"]["outcomes"]
        assert output["outputFacets"]["outputStatistics"]["rowCount"] == counts.get("updated", 0)
    started = {event["run"]["runId"] for event in mine if event["eventType"] == "START"}
    assert {event["run"]["runId"] for event in ends} < started
    failed = [event["outputs"][0]["name"] for event in mine if event["eventType"] == "FAIL"]
    assert failed == ["opportunity"]


def test_spans_are_below_those_of_a_real_task(place):
    """A collector gets them from the worker, as children of the span that Airflow's task runner makes."""
    below = place.collector.below("worker.deal_values", **{"airflow.dag_run.run_id": DIRTY})
    assert [name for name in below if "crm" in name] == ["crm.run", "crm.run/crm.catalogue", "crm.run/crm.write"]
    plan = place.collector.below("worker.plan", **{"airflow.dag_run.run_id": "approved"})
    assert "crm.run/crm.plan" in plan


def test_the_approver_sees_the_plan_where_airflow_asks(screen, place):
    """Airflow's own page of the question shows the plan as a table, the largest change first."""
    screen.open(f"{place.url}/dags/{PLANNED}/runs/waiting/tasks/approve/required_actions")
    screen.says("Change of all amounts")
    changes = [number(cell.text) for cell in screen.all("td:nth-child(5)") if cell.text]
    assert len(changes) == 20
    assert changes == sorted(changes, reverse=True)
    screen.picture("approval")


@pytest.mark.parametrize(("vendor", "title"), [("close", "Close"), ("raze", "Raze")])
def test_a_connection_is_made_tested_and_broken_in_the_form(screen, place, vendor, title):
    """The form of a vendor takes host and key, the test of the connection says that it works, and what is wrong."""
    account, kind_name, said = getattr(place.sandbox, vendor), f"{title} opportunities", f"Connected to {title}"
    name = f"{vendor}_by_hand"
    screen.open(f"{place.url}/connections")
    screen.click("Add Connection", "button")
    kind = screen.one("[role=dialog] input[role=combobox]")
    kind.send_keys(kind_name)
    screen.wait(lambda: screen.driver.find_elements(By.XPATH, f"//*[@role='option'][normalize-space()='{kind_name}']"))
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
    screen.picture(f"form-{vendor}-broken")
    assert "401" in told
    assert "a_wrong_key" not in told
