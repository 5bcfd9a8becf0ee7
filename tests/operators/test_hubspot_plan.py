"""A plan of ten thousand HubSpot deals: what it reads is counted where it arrives."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

ROWS, OTHERS, A_CALL = 10_000, 5_000, 100
DEALS = "/crm/objects/"


@pytest.mark.long
@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_a_plan_reads_a_hundred_deals_a_call(crm_sandbox, task):
    """Ten thousand rows cost at most 101 reads of deals, of a portal with half as many more, and no write."""
    crm_sandbox.set(hubspot_limit=None)
    account = crm_sandbox.hubspot
    for number in range(ROWS + OTHERS):
        account.add_opportunity(str(600_000 + number), amount="5")
    rows = [{"id": str(600_000 + number), "arr": str(number), "risk": "high"} for number in range(ROWS)]
    planned = task(
        PlanOpportunityUpdatesOperator,
        data=rows,
        crm_conn_id="hubspot_default",
        id_column="id",
        fields={"arr": "deal_value", "risk": "segment"},
    )
    assert planned.error is None
    assert planned.report["counts"]["update"] == 2 * ROWS - 1  # one amount was right
    calls = Counter(call.path.startswith(DEALS) for call in crm_sandbox.audit.calls)
    assert calls[True] <= ROWS // A_CALL + 1
    assert calls[False] <= 4  # the account, its properties, pipelines and owners
    assert crm_sandbox.audit.writes == []
