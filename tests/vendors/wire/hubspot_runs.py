"""Scenarios for HubSpot: each kind of field, reads, lists, lost answers, and runs whose rows share calls."""

from __future__ import annotations

import datetime as dt

from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from tests.vendors.wire.crm import DAY, NOW

_MIXED = (
    {"id": "171591000000", "deal_value": "10.50", "stage": "Contract Sent"},
    {"id": "171591000001", "deal_value": 20, "notes": "größer"},
    {"id": "171591000002", "stage": "Sales Pipeline/Closed Won", "date_won": "2024-06-14"},
    {"id": "171591000003", "notes": None, "deal_value": 30},
    {"id": "171591000004", "deal_value": 40, "stage": "closedlost", "notes": "all", "deal_currency": "EUR"},
    {"id": "171591000005", "deal_value": "x"},
    {"id": "999", "deal_value": 50},
)


def _deals(crm, count=6, **properties):
    for number in range(count):
        crm.account.add_opportunity(str(171591000000 + number), **{"amount": "1", "description": "n", **properties})


def hubspot_fields(crm):
    """Each kind of property is a text; a stage goes with its pipeline, and the date of a win is noon in the portal."""
    _deals(crm)
    crm.updates(
        {"deal_value": "1234.565"},
        {"amount": "77.50"},
        {"deal_currency": "EUR"},
        {"deal_currency": "JPY"},
        {"stage": "Renewals/Closed Lost"},
        {"dealstage": "contractsent", "pipeline": "default"},
        {"stage": "No such stage"},
        {"date_won": "2024-03-01"},
        {"date_won": dt.date(2024, 7, 1)},
        {"closedate": "2024-03-01T22:00:00.123456-05:00"},
        {"responsible_user_id": "Grace@sandbox.example"},
        {"hubspot_owner_id": 501},
        {"notes": 'Grüße, "quotes" \\ / <tags>\n🚀'},
        {"health_score": "7.50", "renewal_date": "2024-03-01", "last_seen_at": "2024-03-01T12:00:00Z"},
        {"is_active": "yes", "customer_tier": "Gold", "products": ["Core", "support"], "support_phone": " +1 212 "},
        {"health_score": None, "renewal_date": None, "is_active": None, "customer_tier": None, "products": []},
        {"hs_object_id": "1"},
    )


def hubspot_reads_and_probe(crm):
    """One record by any spelling of its id, the connection test, the catalogue of some fields, and lists."""
    _deals(crm, 130)
    hook = crm.hook()
    crm.step("test_connection", hook.test_connection)
    for record_id in ("171591000001", "0171591000001", "a/b", "999"):
        crm.step(f"read {record_id!r}", lambda record_id=record_id: hook.get_opportunity(record_id)["id"])
    crm.step("catalogue", lambda: len(hook.session.catalogue(("notes", "stage")).fields))
    crm.step("list", lambda: len(list(hook.list_opportunities())))
    crm.step("list with filters", lambda: len(list(hook.list_opportunities(properties=["amount", "dealstage"]))))


def hubspot_retries(crm):
    """Temporary errors: the same call again, as it may be sent twice."""
    _deals(crm, 2)
    hook = crm.hook()
    for fault in (
        "http_500",
        "http_423",
        "http_429",
        "html_502",
        "html_200",
        "reset_before",
        "reset_after",
        "truncated",
    ):
        crm.sandbox.script(faults=[fault], method="PATCH")
        crm.update(hook, {"notes": fault})
    crm.sandbox.script(faults=["http_401"], method="PATCH")
    crm.update(hook, {"notes": "refused"})


def hubspot_rows(crm):
    """Rows share a call with a trace each; what changed is sent, and the date of a win with its stage."""
    _deals(crm)
    crm.rows("first", _MIXED, nulls={"notes": "clear"})
    crm.rows("again", _MIXED, nulls={"notes": "clear"}, run_id="again")
    changed = [{**row, "deal_value": 77, "stage": "Renewals/Due"} for row in _MIXED]
    crm.rows("some values changed", changed, run_id="changed")
    crm.rows("older data", _MIXED, run_id="older", as_of=NOW - DAY, date_won_default="server")
    crm.rows("without a ledger", _MIXED, ledger_conn_id=None)


def hubspot_unnamed_rows(crm):
    """A batch that is refused as a whole is halved; a row that its answer leaves out is read, or sent alone."""
    _deals(crm)
    rows = [{"id": str(171591000000 + number), "notes": f"row {number}"} for number in range(6)]
    crm.sandbox.set(hubspot_poisoned_ids=["171591000003"], hubspot_left_out_ids=["171591000001"])
    crm.rows("refused", rows, ledger_conn_id=None)


def hubspot_plan_and_apply(crm):
    """A plan reads a hundred deals a call; applying it reads and writes batches; an undo as well."""
    _deals(crm, 3)
    rows = [
        {"id": "171591000000", "deal_value": 5, "stage": "Sales Pipeline/Closed Won", "date_won": "2024-06-14"},
        {"id": "171591000001", "deal_value": 1, "stage": "closedlost"},
        {"id": "171591000002", "deal_value": 7, "stage": "appointmentscheduled"},
        {"id": "999", "deal_value": 1, "stage": "contractsent"},
    ]
    planned = crm.rows("plan", rows, kind=PlanOpportunityUpdatesOperator, task_id="plan")
    crm.account.add_opportunity("171591000001", amount="42.00")
    crm.run("apply", plan=planned["plan_id"], digest=planned["digest"], task_id="apply", max_rejected=5)
    crm.run("undo", kind=RevertOpportunityUpdatesOperator, run_key="dag/apply/run", task_id="undo", max_rejected=5)
