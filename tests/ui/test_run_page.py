"""The page of a run answers why rows did not land, and what to do about it."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pytest

from airflow_provider_crm.queries.database import LedgerReader, read_only

from .conftest import NOW, RAZE, Browser, mounted

KEY = "sales_sync/t/r"
NUMBER = "deal_value takes an amount of money, the row has {!r}."
FORM = "deal_value takes an amount of money, the row has …."


@pytest.fixture
def refused(log):
    """A run with seven refused rows of three causes, and a written one."""
    log.run(KEY, outcomes={"updated": 1, "invalid": 4, "rejected": 3})
    for number in range(4):
        reason = NUMBER.format(f"{number},5 €")
        source = json.dumps({"deal_value": f"{number},5 €", "notes": None, "phone": "(hidden)", "owner": "ann@x.test"})
        row = {"outcome": "invalid", "code": "NOT_A_NUMBER", "reason": reason, "source": source}
        log.change(KEY, f"oppo_{number}", "", **row)
    for number, reason in enumerate(
        ("It answered 400: too long.", "It answered 400: too long.", "It answered 400: 17.")
    ):
        row = {"outcome": "rejected", "code": "BAD_REQUEST", "reason": reason}
        log.change(KEY, f"oppo_1{number}", "value", after="1250050", **row)
        log.change(KEY, f"oppo_1{number}", "status_id", after='"stat_1"', **row)
    log.change(KEY, "oppo_99", "value", before="100", after="250000")


def rows_of(text, label):
    """The cells of each row of a table as plain text, by its label."""
    (table,) = re.findall(rf'aria-label="{label}".*?<tbody>(.*?)</tbody>', text, re.DOTALL)
    return [
        [
            " ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]


def links_of(text, label):
    """The addresses of the links in a table, by its label."""
    (table,) = re.findall(rf'aria-label="{label}".*?<tbody>(.*?)</tbody>', text, re.DOTALL)
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', table)]


def test_reasons_come_first_with_their_counts_and_cures(browser, refused):
    """Rows of one cause are one line, the commonest first, with what to do in one sentence."""
    found = rows_of(browser("anna").text("run", run_key=KEY), "Why rows did not land")
    assert [row[:3] for row in found] == [
        ["invalid NOT_A_NUMBER", "4", FORM],
        ["rejected BAD_REQUEST", "2", "It answered 400: too long."],
        ["rejected BAD_REQUEST", "1", "It answered 400: …."],
    ]
    assert found[0][3] == "Convert the value to a plain number in the query: digits and one decimal point."


def test_a_click_on_a_reason_filters_the_rows(browser, refused):
    """Each reason is a link to the rows that have it; the filter stays in heads, search and file, and can be left."""
    anna = browser("anna")
    for number, count in enumerate((4, 2, 1)):
        link = links_of(anna.text("run", run_key=KEY), "Why rows did not land")[number]
        shown = anna.text(link.partition("/crm/")[2].partition("#")[0])
        assert len(rows_of(shown, "Refused rows")) == count
        assert "Show all rows" in shown
        (file,) = re.findall(r'href="([^"]*run\.csv[^"]*)"', shown)
        lines = list(csv.DictReader(io.StringIO(anna.get(html.unescape(file).partition("/crm/")[2]).text)))
        assert len(lines) == count
        heads = re.findall(r'<th[^>]*><a href="([^"]+)"', shown)
        assert heads
        assert all("code=" in head and "why=" in head for head in heads)
    nothing = anna.text("run", run_key=KEY, outcome="rejected", code="OTHER")
    assert "No row matches the filter." in nothing


def test_the_values_of_a_row_stand_beside_the_reason(browser, refused):
    """They are those that were sent, with amounts in major units."""
    found = {row[0].split()[0]: row[4] for row in rows_of(browser("anna").text("run", run_key=KEY), "Refused rows")}
    assert found["oppo_10"] == "stage status_id stat_1 deal_value value 12,500.50"


def test_the_values_of_the_source_stand_beside_the_reason(browser, refused):
    """The one at fault is the first, as the source had it; hidden ones say so. The file has them in one cell."""
    anna = browser("anna")
    found = {row[0].split()[0]: row[4] for row in rows_of(anna.text("run", run_key=KEY), "Refused rows")}
    assert found["oppo_2"] == "deal_value value 2,5 € notes note empty phone hidden owner ann@x.test"
    lines = csv.DictReader(io.StringIO(anna.get("run.csv", run_key=KEY).text))
    assert {line["record_id"]: line["source_values"] for line in lines}["oppo_2"] == (
        "deal_value: 2,5 €; notes: empty; phone: hidden; owner: ann@x.test"
    )
    assert "2,5 €" in rows_of(anna.text("record", record_id="oppo_2"), "History in close:api.close.com:orga_1")[0][3]


def test_source_values_of_fields_that_are_hashed_are_hidden(database, airflow_with_teams, log, refused):
    """A field that `[crm] ledger_hash_fields` names now hides also what was kept before, under any of its names."""
    from airflow_provider_crm.ui.app import make_app

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "value")
        engine = read_only(database)
        with mounted(make_app(LedgerReader(lambda: engine))) as url:
            anna = Browser(url, "anna")
            found = {row[0].split()[0]: row[4] for row in rows_of(anna.text("run", run_key=KEY), "Refused rows")}
        engine.dispose()
    assert found["oppo_2"].startswith("deal_value value hidden notes")


def test_the_file_of_written_fields(browser, refused):
    """It has the names of each field, values in major units and their difference as numbers."""
    answer = browser("anna").get("run.csv", run_key=KEY, show="written")
    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert answer.headers["content-disposition"] == 'attachment; filename="written-sales-sync-t-r.csv"'
    expected = {"record_id": "oppo_99", "field": "deal_value", "vendor_field": "value", "before": "1.00"}
    expected |= {"after": "2500.00", "difference": "2499.00", "at": NOW.isoformat(timespec="seconds")}
    assert line == expected


def test_an_outage_names_the_rows_that_it_kept_from_the_crm(browser, log):
    """Rows that the run never began have no line; their number and cure stand among the reasons."""
    causes = [{"outcome": "not_sent", "code": "OUTAGE", "rows": 2593, "record_id": "x", "reason": "It is down."}]
    log.run(KEY, outcomes={"updated": 2, "failed": 1, "not_sent": 2593}, causes=causes)
    log.change(KEY, outcome="failed", code="HTTP_503", reason="It answered 503.")
    found = rows_of(browser("anna").text("run", run_key=KEY), "Why rows did not land")
    assert [row[:2] for row in found] == [["not sent OUTAGE", "2,593"], ["failed HTTP_503", "1"]]
    assert "retry" in found[0][3]


def test_amounts_have_a_currency(browser, log):
    """That of the record where the ledger knows it, else the one of the account."""
    log.run(KEY, outcomes={"updated": 1}, currency="USD")
    log.change(KEY, "oppo_1", before="100", after="200")
    log.run("sales_sync/t/raze", account=RAZE, outcomes={"updated": 2})
    for record_id in ("a", "b"):
        log.change("sales_sync/t/raze", record_id, "deal_value", account=RAZE, after="2")
    log.state("sales_sync/t/raze", "a", "deal_currency", '"EUR"', account=RAZE)
    anna = browser("anna")
    assert "2.00 USD" in rows_of(anna.text("run", run_key=KEY), "Written fields")[0][3]
    cells = [row[3] for row in rows_of(anna.text("run", run_key="sales_sync/t/raze"), "Written fields")]
    assert cells == ["2.00 EUR", "2.00"]


def test_every_cell_has_its_label_for_a_phone(browser, refused):
    """A table that becomes cards names each cell, as its heads are out of sight then."""
    for show in ("refused", "written"):
        shown = browser("anna").text("run", run_key=KEY, show=show)
        for table in re.findall(r'<table class="stack">.*?</table>', shown, re.DOTALL):
            assert re.findall(r"<td(?![^>]* data-label=)[^>]*>", table) == []


def test_the_record_is_one_link_and_the_crm_another(browser, refused):
    """The id leads to the history of the record; the way out names the CRM."""
    (link, outside) = links_of(browser("anna").text("run", run_key=KEY, show="written"), "Written fields")
    assert link.endswith("/crm/record?account=close%3Aapi.close.com%3Aorga_1&record_id=oppo_99")
    assert outside == "https://app.close.com/opportunity/oppo_99/"
    assert "open in Close" in browser("anna").text("run", run_key=KEY, show="written")


def test_a_deal_is_shown_by_its_name(browser, log):
    """Where the ledger keeps names: on the pages of a run, a plan and the record, and in the file of refused rows."""
    log.run(KEY, outcomes={"updated": 1, "rejected": 1}, plan_id="p")
    log.change(KEY, before="100", after="12345")
    log.change(KEY, record_id="oppo_2", outcome="rejected", code="NO", reason="no")
    log.plan("p", KEY, [("oppo_1", "value", "update", "100", "250000")])
    log.name("oppo_1", "Acme <Ltd>")
    anna = browser("anna")
    shown = anna.text("run", run_key=KEY, show="written")
    assert rows_of(shown, "Written fields")[0][0].startswith("Acme <Ltd> oppo_1 Copy")
    assert rows_of(anna.text("plan", plan_id="p"), "Planned fields")[0][0].startswith("Acme <Ltd> oppo_1 Copy")
    assert "<h2>Acme &lt;Ltd&gt; " in anna.text("record", record_id="oppo_1")
    assert rows_of(anna.text("run", run_key=KEY, show="refused"), "Refused rows")[0][0].startswith("oppo_2 Copy")
    log.name("oppo_2", "Umbrella")
    (refused,) = csv.DictReader(io.StringIO(anna.get("run.csv", run_key=KEY).text))
    assert (refused["record_id"], refused["name"]) == ("oppo_2", "Umbrella")
