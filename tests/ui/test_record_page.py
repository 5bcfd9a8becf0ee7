"""The page of a record says who wrote each value, and what was refused."""

from __future__ import annotations

import html
import re

from .test_run_page import links_of, rows_of

KEY = "sales_sync/t/r"
CLOSE_NAME = "close:api.close.com:orga_1"


def test_who_wrote_a_value_stands_beside_it(browser, log):
    """Dag, task and run are a link to the run's page; the field has both of its names, the amount its currency."""
    log.run(KEY, outcomes={"updated": 1}, currency="USD")
    log.change(KEY, before="100", after="12345")
    log.state(KEY, value="12345")
    shown = browser("anna").text("record", record_id="oppo_1")
    (row,) = rows_of(shown, f"Fields in {CLOSE_NAME}")
    assert row[:3] == ["deal_value value", "123.45 USD", "sales_sync / t r"]
    (link,) = links_of(shown, f"Fields in {CLOSE_NAME}")
    assert link.endswith(f"/crm/run?run_key={KEY.replace('/', '%2F')}")


def test_a_refusal_in_the_history_says_what_to_do(browser, log):
    """Code, reason and cure stand in the line of the run that met it."""
    log.run(KEY, outcomes={"rejected": 1})
    log.change(KEY, field="", outcome="rejected", code="NOT_FOUND", reason="It answered 404: no such record.")
    (row,) = rows_of(browser("anna").text("record", record_id="oppo_1"), f"History in {CLOSE_NAME}")
    assert row[2] == "the whole row"
    assert row[3].startswith("NOT_FOUND It answered 404: no such record. Correct the id or key in the source")


def test_the_record_opens_in_its_crm_by_one_link(browser, log):
    """The link is named after the CRM."""
    log.run(KEY, outcomes={"updated": 1})
    log.change(KEY, before="1", after="2")
    shown = browser("anna").text("record", record_id="oppo_1")
    outside = re.findall(r'<a[^>]*href="(https://app[^"]+)"[^>]*>([^<]+)</a>', shown)
    assert outside == [("https://app.close.com/opportunity/oppo_1/", "open in Close")]


def test_an_id_is_copied_by_a_button_that_needs_the_script(browser, log):
    """Without the script, which shows it, the button is not there; its name says what it copies."""
    log.run(KEY, outcomes={"updated": 1})
    log.change(KEY, before="1", after="2")
    shown = browser("anna").text("record", record_id="oppo_1")
    (button,) = re.findall(r"<button[^>]*data-copy[^>]*>", shown)
    assert " hidden" in button
    assert html.unescape(re.findall(r'aria-label="([^"]+)"', button)[0]) == "Copy oppo_1"


def test_every_cell_has_its_label_for_a_phone(browser, log):
    """A table that becomes cards names each cell, as its heads are out of sight then."""
    log.run(KEY, outcomes={"updated": 1, "rejected": 1})
    log.change(KEY, before="100", after="12345")
    log.change(KEY, field="", outcome="rejected", code="NO", reason="no")
    log.state(KEY)
    shown = browser("anna").text("record", record_id="oppo_1")
    assert shown.count('<table class="stack">') == 2
    assert re.findall(r"<td(?![^>]* data-label=)[^>]*>", shown) == []
