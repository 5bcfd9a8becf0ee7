"""How values, addresses, bars and files are made, without a server."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.operators.links import CrmRunLink
from airflow_provider_crm.queries.changes import RefusedRow
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.queries.runs import Run
from airflow_provider_crm.queries.values import Values
from airflow_provider_crm.sync.run_identity import run_key
from airflow_provider_crm.ui import addresses
from airflow_provider_crm.ui.addresses import Addresses, crm_record_url
from airflow_provider_crm.ui.chart import HEIGHT, WIDTH, bars
from airflow_provider_crm.ui.refused_file import COLUMNS, refused_file

from .conftest import CLOSE, NOW, RAZE

VALUES = Values(frozenset({"phone"}))


@pytest.mark.parametrize("map_index", [-1, 0, 17])
def test_a_run_key_is_read_as_operators_write_it(map_index):
    """A run key that an operator wrote is split into its task instance, for any run id."""
    ti = SimpleNamespace(dag_id="a.b-c", task_id="group.task", run_id="manual__2026-11-01T00:00:00+00:00/x[3]/y")
    ti.map_index = map_index
    key = RunKey.parse(run_key({"ti": ti}))
    assert key == RunKey(ti.dag_id, ti.task_id, ti.run_id, map_index)
    assert str(key) == run_key({"ti": ti})


@pytest.mark.parametrize("text", ["", "dag", "dag/task", "/task/run", "dag//run", "dag/task/", "dag/task[x]/run"])
def test_what_is_no_run_key_is_of_no_dag(text):
    """A text of another form names no Dag, so no user may read it."""
    assert RunKey.parse(text) is None


@pytest.mark.parametrize(
    ("account", "field", "text", "shown", "kind"),
    [
        (CLOSE, "value", "1250050", "12,500.50", "money"),
        (RAZE, "deal_value", "12500.5", "12,500.50", "money"),
        (RAZE, "value", "12500", "12500", "value"),
        (CLOSE, "note", '"<b>"', "<b>", "value"),
        (CLOSE, "note", "null", "empty", "empty"),
        (CLOSE, "note", None, "unknown", "unknown"),
        (CLOSE, "custom.cf_x", '["a", "b"]', '["a", "b"]', "value"),
        (RAZE, "email", "sha256:00ff", "hidden", "hidden"),
        (RAZE, "phone", '"555"', "hidden", "hidden"),
        ("other:host:1", "value", "5", "5", "value"),
    ],
)
def test_a_value_is_shown_as_people_read_it(account, field, text, shown, kind):
    """Money in major units; hashes, and fields that are named for hashing, not at all; text without its quotes."""
    found = VALUES.shown(account, field, text)
    assert (found.text, found.kind) == (shown, kind)


def test_a_canonical_name_hides_what_each_vendor_calls_it():
    """Values that were stored in clear before are hidden, too, by any of the field's names in the setting."""
    values = Values(frozenset({"deal_value", "notes", "custom.cf_list"}))
    for account, field in ((CLOSE, "value"), (RAZE, "deal_value"), (CLOSE, "note"), (CLOSE, "custom.cf_list.add")):
        assert values.shown(account, field, "1").kind == "hidden"
        assert values.amount(account, field, "1") is None
    assert values.shown(CLOSE, "confidence", "1").kind == "value"


def test_a_change_is_exact():
    """Differences are decimal: no cent is lost to a float."""
    assert str(VALUES.change(RAZE, "deal_value", "0.1", "0.3")) == "0.2"
    assert str(VALUES.change(CLOSE, "value", "null", "1")) == "0.01"
    assert VALUES.change(CLOSE, "note", '"a"', '"b"') is None
    assert VALUES.change(RAZE, "phone", "1", "2") is None


def test_close_has_an_address_for_people_and_a_sandbox_has_none():
    """Only the vendor's own service is linked; an id cannot lead to another page of it."""
    assert crm_record_url(CLOSE, "oppo_1") == "https://app.close.com/opportunity/oppo_1/"
    assert crm_record_url(CLOSE, "../x") == "https://app.close.com/opportunity/..%2Fx/"
    assert crm_record_url("close:127.0.0.1:8000:orga_1", "oppo_1") is None
    assert crm_record_url(RAZE, "opp_1") is None
    assert [crm_record_url(CLOSE, no_id) for no_id in ("", "..", "\ud800", "x" * 256)] == [None] * 4
    assert crm_record_url("close", "oppo_1") is None


@pytest.mark.parametrize(
    ("account", "origin", "organization"),
    [
        ("other:crm.example:12345", "https://crm.example", "12345"),
        ("other:crm.example:8443:12345", "https://crm.example:8443", "12345"),
        ("other:crm.example:my:account", "https://crm.example", "my:account"),
        ("other:crm.example:my\naccount", "https://crm.example", "my\naccount"),
        ("other:[2001:db8::1]:org", "https://[2001:db8::1]", "org"),
        ("other:[2001:db8::1]:8443:org", "https://[2001:db8::1]:8443", "org"),
    ],
)
def test_a_vendor_is_asked_for_its_address_by_account(monkeypatch, account, origin, organization):
    """An account of the ledger names server and organization to its vendor, whatever the organization is called."""
    other = SimpleNamespace(record_url=lambda origin, organization, record_id: f"{origin}/{organization}/{record_id}")
    monkeypatch.setattr(addresses, "VENDORS", {"other": other})
    assert crm_record_url(account, "1") == f"{origin}/{organization}/1"


@pytest.mark.parametrize("account", ["gone:crm.example:1", "crm.example", "", ":", "a:b"])
def test_an_account_of_no_vendor_has_no_address(account):
    """The pages show the records of a vendor whose distribution was removed, without a link to the CRM."""
    assert crm_record_url(account, "1") is None
    assert VALUES.shown(account, "value", "5").text == "5"
    assert VALUES.change(account, "value", "5", "6") is None


def test_addresses_stay_under_their_prefix():
    """Pages and Airflow's own addresses keep the path prefix of a reverse proxy, and quote what needs it."""
    at = Addresses("/proxy/crm", "/proxy")
    assert at.of("run", run_key="a/b/c+d", page=None) == "/proxy/crm/run?run_key=a%2Fb%2Fc%2Bd"
    assert at.task(RunKey("d", "t", "r/+", 3)) == "/proxy/dags/d/runs/r%2F%2B/tasks/t/mapped/3"
    assert at.task(RunKey("d", "t", "r")) == "/proxy/dags/d/runs/r/tasks/t"


@pytest.mark.parametrize(("map_index", "written"), [(-1, "-1"), (None, "-1"), (4, "4")])
@pytest.mark.parametrize(
    ("base", "before"),
    [("https://host", "https://host/plugin/crm/crm/"), ("https://host/air/", "https://host/air/plugin/crm/air/crm/")],
)
def test_the_link_names_the_task_instance(monkeypatch, base, before, map_index, written):
    """The operator's link leads into Airflow's frame, under any prefix, to the run of its own map index."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    key = SimpleNamespace(dag_id="d", task_id="t", run_id="m+1", map_index=map_index)
    link = CrmRunLink().get_link(None, ti_key=key)
    assert link == f"{before}task?dag_id=d&run_id=m%2B1&task_id=t&map_index={written}"


def test_every_operator_has_the_link():
    """All operators that reach the ledger link to their run, and provider info names the link's class."""
    from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
    from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
    from airflow_provider_crm.provider_info import get_provider_info
    from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

    classes = (
        UpdateOpportunityOperator,
        PlanOpportunityUpdatesOperator,
        RevertOpportunityUpdatesOperator,
        SqlToOpportunityOperator,
    )
    assert {type(link) for one in classes for link in one.operator_extra_links} == {CrmRunLink}
    assert get_provider_info()["extra-links"] == [f"{CrmRunLink.__module__}.{CrmRunLink.__qualname__}"]


def test_no_cell_of_the_file_is_a_formula():
    """A cell that a spreadsheet would run begins with an apostrophe; quotes and line ends survive."""
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", 'a "b"\nc']
    rows = [RefusedRow(CLOSE, text, "rejected", text, text, ("value",)) for text in evil]
    read = list(csv.reader(io.StringIO("".join(refused_file(rows, VALUES)), newline="")))
    assert read[0] == list(COLUMNS)
    assert [line[0] for line in read[1:]] == [f"'{text}" for text in evil[:-1]] + evil[-1:]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in read for cell in line)


def test_no_cell_of_the_file_begins_inside_another():
    """A spreadsheet that takes semicolons or tabs for separators finds the same cells: each is in quotes."""
    rows = [RefusedRow(CLOSE, "a;=1", "rejected", "b\t=1", "c,=1", ("value",))]
    line = "".join(refused_file(rows, VALUES)).splitlines()[1]
    assert line == '"a;=1","","rejected","b\t=1","c,=1","value",""'


def run_of(outcomes):
    """A run with these outcomes."""
    return Run(
        run_key="d/t/r",
        key=RunKey("d", "t", "r"),
        account=CLOSE,
        as_of=NOW,
        tries=1,
        started_at=NOW,
        finished_at=NOW,
        outcomes=outcomes,
        rows=30,
        calls=30,
        seconds=2.0,
        plan_id=None,
        rejects_path=None,
    )


@given(st.lists(st.dictionaries(st.sampled_from(["updated", "stale", "rejected"]), st.integers(1, 10**9)), max_size=60))
def test_bars_fit_the_chart_and_no_outcome_vanishes(counts):
    """For any numbers, bars stay side by side inside the chart, and each outcome can be seen."""
    found = bars([run_of(outcomes) for outcomes in counts])
    assert len(found) == sum(1 for outcomes in counts if outcomes)
    right = 0.0
    for bar in found:
        assert right - 0.02 <= bar.x
        right = bar.x + bar.width
        assert all(part.height > 1 and part.y >= -0.02 for part in bar.segments)
        assert sum(part.height for part in bar.segments) <= HEIGHT + 0.05
    assert right <= WIDTH + 0.02


def test_a_run_shows_its_figures():
    """Rate, refused rows and saved calls follow from the report."""
    run = run_of({"updated": 3, "unchanged": 5, "rejected": 1, "not_sent": 1})
    assert (run.landed, run.saved, run.refused, run.unanswered) == (3, 5, 1, 1)
    assert run.rate == 15
