"""Plans of Salesforce opportunities through the operators: what they read, say beforehand, apply and take back."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.vendors.salesforce import paths

SALESFORCE = {
    "crm_conn_id": "crm_salesforce_default",
    "id_column": "id",
    "fields": {"arr": "deal_value", "next": "NextStep"},
}
ROWS = 10_000


def by_verdict(planned):
    """The fields of a plan by verdict, as far as there are some."""
    return {verdict: number for verdict, number in planned.report["counts"].items() if number}


@pytest.fixture
def org(crm_sandbox):
    """The local org."""
    return crm_sandbox.salesforce


def test_a_plan_is_made_applied_and_taken_back(org, task):
    """An amount that products hold is said beforehand, and its row left alone; the others are written and restored."""
    ids = [
        org.add_opportunity(Amount=number, NextStep="Call", HasOpportunityLineItem=number == 2)["Id"]
        for number in range(3)
    ]
    rows = [{"id": one[:15], "arr": str(100 + number), "next": "Meet"} for number, one in enumerate(ids)]
    planned = task(PlanOpportunityUpdatesOperator, task_id="plan", run_id="day", data=rows, **SALESFORCE)
    assert by_verdict(planned) == {"update": 5, "invalid": 1}
    assert "has products" in planned.report["summary"]
    plan = {"plan": planned.report["plan_id"], "digest": planned.report["digest"]}
    applied = task(
        UpdateOpportunityOperator,
        task_id="apply",
        run_id="day",
        crm_conn_id="crm_salesforce_default",
        data=None,
        id_column="",
        fields=None,
        max_rejected=1,
        **plan,
    )
    assert applied.error is None
    assert [org.opportunity(one)["Amount"] for one in ids] == [100, 101, 2]
    assert [org.opportunity(one)["NextStep"] for one in ids] == ["Meet", "Meet", "Call"]
    undone = task(
        RevertOpportunityUpdatesOperator,
        task_id="undo",
        run_id="undo",
        crm_conn_id="crm_salesforce_default",
        run_key=applied.report["run_key"],
    )
    assert undone.outcomes == {"updated": 2}
    assert [org.opportunity(one)["Amount"] for one in ids] == [0, 1, 2]
    assert {org.opportunity(one)["NextStep"] for one in ids} == {"Call"}


@pytest.mark.long
@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_a_plan_reads_two_thousand_opportunities_a_call(crm_sandbox, org, task):
    """Ten thousand rows cost at most ten reads of opportunities, of an org with half as many more, and no write."""
    crm_sandbox.set(salesforce_daily_limit=None)
    ids = [org.add_opportunity(Amount=5)["Id"] for _ in range(ROWS + ROWS // 2)]
    rows = [{"id": one, "arr": str(number), "next": "Call"} for number, one in enumerate(ids[:ROWS])]
    planned = task(PlanOpportunityUpdatesOperator, data=rows, **SALESFORCE)
    assert planned.error is None
    assert by_verdict(planned) == {"update": 2 * ROWS - 1, "unchanged": 1}
    calls = Counter(call.path == paths.COLLECTION_READ for call in crm_sandbox.audit.calls)
    assert calls[True] <= 10
    assert crm_sandbox.audit.writes == []
