"""The operator on HubSpot over real HTTP: rows end alike, whatever the answer to a question that is open.

`FACTS.md` lists the questions. Each is a switch of the sandbox.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from airflow_provider_crm.hooks.hubspot import HubSpotHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from tests.operators.conftest import ledger_conn_id, task, update

__all__ = ["ledger_conn_id", "task", "update"]

GOOD, CLEARED, RULED, WON, LAST, UNKNOWN = "1001", "1002", "1003", "1004", "1005", "999"
WON_ON = dt.date(2026, 3, 1)
HUBSPOT = {
    "crm_conn_id": "hubspot_default",
    "fields": {"arr": "deal_value", "text": "notes", "stage": "stage", "won": "date_won"},
    "nulls": {"text": "clear"},
}
OPEN = (
    {},
    {"hubspot_names_rows": False},
    {"hubspot_names_rows": False, "hubspot_names_properties": False},
    {"hubspot_echoes_traces": True},
    {"hubspot_echoes_unchanged": False},
    {"hubspot_left_out_ids": {LAST}},
    {"hubspot_refuses_empty_inputs": True},
    {"hubspot_cleared_is_null": True},
    {"hubspot_null": "ignored"},
    {"hubspot_null": "refused"},
    {"hubspot_closedate": "never"},
    {"hubspot_not_found": "bare"},
    {"hubspot_not_found": "html"},
    {"hubspot_secondly_headers": True},
    {"hubspot_limit_headers": False},
)


@pytest.fixture
def portal(crm_sandbox):
    """A portal with five deals, one of which a rule protects."""
    for record_id in (GOOD, CLEARED, RULED, WON, LAST):
        crm_sandbox.hubspot.add_opportunity(record_id, amount="5", description="old")
    crm_sandbox.set(hubspot_rejected_ids={RULED})
    return crm_sandbox


def row(record_id, arr, text="new", stage=None, won=None):
    """One row of the warehouse."""
    return {"id": record_id, "arr": arr, "text": text, "stage": stage, "won": won}


ROWS = (
    row(GOOD, "12.50"),
    row(CLEARED, "13", None),
    row(RULED, "14"),
    row(UNKNOWN, "15"),
    row(WON, "16.00", stage="Sales Pipeline/Closed Won", won=WON_ON),
    row(LAST, "17"),
)


def shown(portal, record_id, *names):
    """Some properties of a deal, empty text for none."""
    properties = portal.hubspot.opportunity(record_id)["properties"]
    return [properties[name] or "" for name in names]


@pytest.mark.parametrize("switches", OPEN, ids=str)
def test_open_questions_change_no_outcome(portal, update, switches):
    """Good rows land, a cleared property is empty, a won deal has its date, and only the bad rows are refused."""
    portal.set(**switches)
    run = update(list(ROWS), **HUBSPOT)
    assert run.outcomes == {"updated": 4, "rejected": 2}
    assert {one: outcome for one, (outcome, _) in run.rejects.items()} == dict.fromkeys((RULED, UNKNOWN), "rejected")
    amounts = [Decimal(shown(portal, one, "amount")[0]) for one in (GOOD, CLEARED, RULED, WON, LAST)]
    assert amounts == [Decimal("12.50"), 13, 5, 16, 17]
    assert [shown(portal, one, "description") for one in (GOOD, CLEARED, RULED)] == [["new"], [""], ["old"]]
    assert portal.hubspot.date_for_people(WON, "closedate") == WON_ON


def test_a_date_that_hubspot_replaces_is_never_a_success(portal, update):
    """If a won stage sets `closedate` to now in spite of the row's date, the row is not reported as landed."""
    portal.set(hubspot_closedate="always")
    run = update([ROWS[0], ROWS[4]], **HUBSPOT)
    landed = portal.hubspot.date_for_people(WON, "closedate") == WON_ON
    assert run.outcomes == ({"updated": 2} if landed else {"updated": 1, "ignored": 1})


@pytest.mark.parametrize("answers", [True, False])
def test_a_deal_that_was_merged_away_is_never_a_success(portal, update, answers):
    """Whether its id still answers or not, its row fails, and the others land."""
    portal.set(hubspot_merged_answers=answers)
    with HubSpotHook("hubspot_default") as hook:
        merged = {"primaryObjectId": WON, "objectIdToMerge": LAST}
        url = f"{portal.url}/crm/objects/2026-03/deals/merge"
        assert hook.get_conn().post(url, json=merged, timeout=10).ok
    run = update([ROWS[0], ROWS[1], ROWS[5]], **HUBSPOT)
    assert run.outcomes["updated"] == 2
    assert list(run.rejects) == [LAST]


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_a_workflow_that_changes_a_value_is_a_conflict_of_the_next_plan(portal, task):
    """A workflow runs after the answer: the row has landed, and the plan tells the workflow's value from the run's."""
    portal.hubspot.workflows["description"] = {"description": "by a workflow"}
    columns = {"id_column": "id", **HUBSPOT, "fields": {"text": "notes"}}
    written = task(UpdateOpportunityOperator, data=[{"id": GOOD, "text": "new"}], **columns)
    assert written.outcomes == {"updated": 1}
    later = {"as_of": dt.datetime.now(dt.UTC), "run_id": "later"}
    planned = task(PlanOpportunityUpdatesOperator, data=[{"id": GOOD, "text": "newer"}], **columns, **later)
    assert planned.report["counts"]["conflict"] == 1


@pytest.fixture
def fernet_key(monkeypatch):
    """Give Airflow a Fernet key, with which the ledger stores tokens."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    yield
    get_fernet.cache_clear()


@pytest.mark.parametrize("rotates", [True, False])
def test_an_oauth_app_goes_on_when_its_token_ends(portal, monkeypatch, tmp_path, fernet_key, rotates):
    """Its next token comes from the refresh token of the last answer, whether HubSpot replaces that or not."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    tokens = portal.hubspot.tokens
    extra = {name: getattr(tokens, name) for name in ("client_id", "client_secret", "refresh_token")}
    connection = {"conn_type": "hubspot", "host": portal.url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OAUTH", json.dumps(connection))
    portal.set(hubspot_rotates_refresh_token=rotates)
    for _ in range(3):
        with HubSpotHook("oauth") as hook:
            assert hook.get_opportunity(GOOD)["id"] == GOOD
        tokens.expire()
    assert portal.audit.count("hubspot", "POST", "/oauth/v1/token") == 3


def test_the_last_write_wins(portal):
    """A deal has no tag, and HubSpot reads no condition: the adapter cannot ask for one."""
    with HubSpotHook("hubspot_default") as hook:
        http, url = hook.get_conn(), f"{portal.url}/crm/objects/2026-03/deals/{GOOD}"
        assert "ETag" not in http.get(url, timeout=10).headers
        body = {"properties": {"amount": "6"}}
        assert http.patch(url, json=body, headers={"If-Match": '"0"'}, timeout=10).ok
    assert shown(portal, GOOD, "amount") == ["6"]
