"""The ledger keeps the names of deals where it may: each is read at most once, if no answer shows it anyway."""

from __future__ import annotations

import pytest

from airflow_provider_crm.database.schema import record_names
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

RECORDS = {
    "close": ("oppo_{}", "", "note"),
    "raze": ("opp_{}", "name", "notes"),
    "hubspot": ("90{}", "dealname", "segment"),
    "crm_salesforce": ("006B0000003x00{}", "Name", "NextStep"),
}


@pytest.fixture(autouse=True)
def keep_names(monkeypatch):
    """Switch `[crm] keep_deal_names`, which is on."""

    def switch(*, setting):
        monkeypatch.setenv("AIRFLOW__CRM__KEEP_DEAL_NAMES", str(setting))

    switch(setting=True)
    return switch


@pytest.fixture(params=list(RECORDS))
def vendor(request, crm_sandbox):
    """Three named deals of each vendor."""
    record_id, key, _ = RECORDS[request.param]
    account = crm_sandbox.account("salesforce" if request.param == "crm_salesforce" else request.param)
    for number in range(3):
        name = f"Deal {number}"
        named = {key: name} if key else {"lead_id": account.new_lead(name)}
        account.add_opportunity(record_id.format(number), **named)
    return request.param


@pytest.fixture
def named(stored):
    """Names by record id."""
    return lambda: {row["record_id"]: row["name"] for row in stored(record_names)}


@pytest.fixture
def write(task, vendor):
    """Write a text of some deals of a vendor."""
    record_id, _, field = RECORDS[vendor]

    def run(text, *numbers, kind=UpdateOpportunityOperator, **arguments):
        rows = [{"id": record_id.format(number), "text": text} for number in numbers]
        names = {"crm_conn_id": f"{vendor}_default", "id_column": "id", "fields": {"text": field}}
        return task(kind, data=rows, **{**names, **arguments})

    return run


def test_names_are_read_once(crm_sandbox, write, named, vendor, keep_names):
    """One call more gets what no answer shows, that of a deal that does not exist included; later runs ask for none."""
    record_id, _, _ = RECORDS[vendor]
    write("low", 0, 1, 7, run_id="first")
    known = named()
    assert {known.pop(one) for one in list(known) if one.startswith(record_id.format(7))} == {None}
    assert sorted(known.values()) == ["Deal 0", "Deal 1"]
    with_names = len(crm_sandbox.audit.calls)
    crm_sandbox.audit.clear()
    write("high", 0, 1, run_id="second")
    later = len(crm_sandbox.audit.calls)
    keep_names(setting=False)
    crm_sandbox.audit.clear()
    write("low", 0, 1, run_id="third")
    assert len(crm_sandbox.audit.calls) == later
    crm_sandbox.audit.clear()
    write("high", 0, 1, 8, run_id="fourth")
    assert with_names == len(crm_sandbox.audit.calls) + 1


def test_no_name_is_kept_unless_it_is_allowed(write, named, keep_names):
    """When the option is off again, the next run of the account deletes its names."""
    write("low", 0, 1, run_id="first")
    assert len(named()) == 2
    keep_names(setting=False)
    write("high", 0, 1, run_id="second")
    assert named() == {}


def test_a_plan_keeps_the_names_that_it_reads(crm_sandbox, write, named):
    """Its reads show them: it takes no call more, and the run that applies it asks for none."""
    write("low", 0, 1, kind=PlanOpportunityUpdatesOperator, run_id="plan", task_id="plan")
    assert sorted(named().values()) == ["Deal 0", "Deal 1"]


@pytest.mark.parametrize("vendor", ["close", "raze"], indirect=True)
def test_a_deal_that_is_renamed_has_its_new_name(crm_sandbox, write, named, vendor):
    """Where the answer to a write shows the name, it is the present one."""
    write("low", 0, run_id="first")
    if vendor == "close":
        stored = crm_sandbox.close.records.get("oppo_0")
        crm_sandbox.close.leads[stored["lead_id"]] = "Renamed"
    else:
        crm_sandbox.raze.records.get("opp_0")["name"] = "Renamed"
    write("high", 0, run_id="second")
    assert list(named().values()) == ["Renamed"]


@pytest.mark.parametrize("vendor", ["raze"], indirect=True)
def test_a_hidden_name_is_not_kept(write, named, monkeypatch):
    """A field that is stored as a hash has no name to show."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "name")
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_KEY", "a long random text of tests")
    write("low", 0)
    assert named() == {}


@pytest.mark.parametrize("vendor", ["close"], indirect=True)
def test_a_name_that_cannot_be_read_ends_no_run(crm_sandbox, write, named, capsys):
    """The run is green, and says that ids stand in place of names."""
    crm_sandbox.script(vendor="close", method="GET", path="/api/v1/opportunity/oppo_7/", faults=["http_500"] * 20)
    run = write("low", 0, 7, max_rejected=1)
    assert run.error is None
    assert named() == {"oppo_0": "Deal 0"}
    assert "Some names of deals could not be read" in capsys.readouterr().out


@pytest.mark.parametrize("vendor", ["hubspot"], indirect=True)
def test_an_answer_without_a_name_takes_none_away(crm_sandbox, write, named):
    """A deal whose name was emptied keeps the last one; so does one that a plan reads without it."""
    write("low", 0, run_id="first")
    crm_sandbox.hubspot.records.get("900")["properties"]["dealname"] = None
    write("high", 0, kind=PlanOpportunityUpdatesOperator, run_id="plan", task_id="plan")
    assert named() == {"900": "Deal 0"}
