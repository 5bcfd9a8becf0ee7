"""Plans and undo in a CRM that replaces the date of a deal when its stage changes: the date goes with the stage."""

from __future__ import annotations

import pytest

from airflow_provider_crm.database.schema import plan_rows
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator

DEAL, NOON = "600001", "2026-03-01T17:00:00Z"
MAPPING = {"crm_conn_id": "hubspot_default", "id_column": "id", "fields": {"stage": "stage", "won": "date_won"}}
WON = [{"id": DEAL, "stage": "Sales Pipeline/Closed Won", "won": "2026-03-01"}]


@pytest.fixture
def deal(crm_sandbox):
    """Return the properties of a deal that has the date of its win before it is won."""
    crm_sandbox.hubspot.add_opportunity(DEAL, closedate=NOON, dealstage="contractsent", pipeline="default")
    return lambda: crm_sandbox.hubspot.opportunity(DEAL)["properties"]


def test_a_plan_names_the_date_that_goes_along(deal, crm_sandbox, task, stored):
    """The plan has the date beside the stage, and its application writes both, so that the win keeps the date."""
    planned = task(PlanOpportunityUpdatesOperator, data=WON, **MAPPING)
    verdicts = {row["field"]: (row["verdict"], row["before"] == row["after"]) for row in stored(plan_rows)}
    assert verdicts == {"dealstage": ("update", False), "closedate": ("update", True), "pipeline": ("unchanged", True)}
    approved = {"plan": planned.report["plan_id"], "digest": planned.report["digest"]}
    applied = task(UpdateOpportunityOperator, crm_conn_id="hubspot_default", **approved)
    assert (applied.error, applied.outcomes) == (None, {"updated": 1})
    assert (deal()["dealstage"], deal()["closedate"]) == ("closedwon", NOON)
    (call,) = [call for call in crm_sandbox.audit.calls if call.method == "PATCH"]
    assert sorted(call.body["properties"]) == ["closedate", "dealstage"]


def test_an_undo_of_a_win(deal, task):
    """The stage from before is put back, and the date that stood there stands there still."""
    written = task(UpdateOpportunityOperator, data=WON, capture_before=True, task_id="write", **MAPPING)
    assert (written.error, deal()["dealstage"], deal()["closedate"]) == (None, "closedwon", NOON)
    undone = task(
        RevertOpportunityUpdatesOperator, run_key="dag/write/run", task_id="undo", crm_conn_id="hubspot_default"
    )
    assert undone.error is None
    assert (deal()["dealstage"], deal()["closedate"]) == ("contractsent", NOON)
