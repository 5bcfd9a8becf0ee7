"""The page of a plan shows what it would change, and where it is answered."""

from __future__ import annotations

import csv
import html
import io
import re

from .test_run_page import rows_of

KEY = "sales_sync/plan/r"


def test_a_waiting_plan_leads_to_its_answer(month_browser, month):
    """The first link of the page's content is Airflow's form of the question."""
    shown = month_browser("anna").text("plan", plan_id=month.waiting)
    content = shown.partition("<main")[2]
    first = re.findall(r'<a[^>]*href="([^"]+)"', content)[0]
    _, _, run_id = month.plan_key("approve").split("/", 2)
    path = html.unescape(first)
    assert path.startswith("/dags/deal_plans/runs/")
    assert path.endswith("/tasks/approve/required_actions")
    assert run_id.split("T", maxsplit=1)[0] in path
    assert "This plan waits for an answer." in content


def test_an_answered_plan_asks_nothing(month_browser, month):
    """A plan that was applied has no link to a question."""
    assert "waits for an answer" not in month_browser("anna").text("plan", plan_id="plan-7")


def test_a_planned_field_has_both_names_and_its_currency(browser, log):
    """As on the page of a run; the sums at the top have the currency of the account."""
    log.run(KEY, outcomes={}, plan_id="p", currency="USD")
    log.plan("p", KEY, [("oppo_1", "value", "update", "100", "250000")])
    shown = browser("anna").text("plan", plan_id="p")
    (row,) = rows_of(shown, "Planned fields")
    assert row[1:5] == ["deal_value value", "1.00 USD", "2,500.00 USD", "+2,499.00"]
    assert "before, USD" in shown


def test_the_file_of_a_plan_has_every_field(browser, log):
    """Every verdict is in it, amounts as plain numbers, and no cell is a formula; others may not read it."""
    log.run(KEY, outcomes={}, plan_id="p")
    fields = [("oppo_1", "value", "update", "250000", "100"), ("oppo_2", "note", "unchanged", '"=1"', '"=1"')]
    log.plan("p", KEY, fields)
    answer = browser("anna").get("plan.csv", plan_id="p")
    assert answer.headers["content-disposition"] == 'attachment; filename="plan-p.csv"'
    first, second = csv.DictReader(io.StringIO(answer.text))
    assert (first["field"], first["vendor_field"], first["before"], first["after"]) == (
        "deal_value",
        "value",
        "2500.00",
        "1.00",
    )
    assert (first["difference"], first["verdict"]) == ("-2499.00", "update")
    assert (second["after"], second["verdict"]) == ("'=1", "unchanged")
    assert browser("ben").get("plan.csv", plan_id="p").status_code == 404


def test_every_cell_has_its_label_for_a_phone(browser, log):
    """A table that becomes cards names each cell, as its heads are out of sight then."""
    log.run(KEY, outcomes={}, plan_id="p")
    log.plan("p", KEY, [("oppo_1", "value", "update", "100", "250000")])
    shown = browser("anna").text("plan", plan_id="p")
    assert shown.count('<table class="stack">') == 1
    assert re.findall(r"<td(?![^>]* data-label=)[^>]*>", shown) == []
