"""A vendor of another distribution in all parts of the package: hook, operators, ledger, plan, undo, page, lineage."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.sdk import Asset, BaseHook

from airflow_provider_crm.assets import account_of, convert_asset_to_openlineage, create_asset
from airflow_provider_crm.database.schema import field_states, plan_rows
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from tests.operators.conftest import Run

FIELDS = {"arr": "deal_value", "stage": "stage", "won": "date_won"}
MAPPING = {"id_column": "id", "fields": FIELDS, "crm_conn_id": "acme_default"}
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ROWS = [
    {"id": "deal_1", "arr": "1234.56", "stage": "Won", "won": "2026-03-01"},
    {"id": "deal_2", "arr": 200, "stage": "new", "won": None},
    {"id": "deal_3", "arr": 300, "stage": "Signed", "won": None},
    {"id": "deal_4", "arr": 400, "stage": "offer", "won": None},
]


@pytest.fixture
def deal(sandbox):
    """Return amount, stage and date of a deal in the sandbox."""

    def read(record_id):
        found = sandbox.account("acme").opportunity(record_id)
        amount = found["amount"]
        return None if amount is None else float(amount), found["stage"], found["won_on"]

    return read


def test_the_hook_of_the_connections_type_is_the_distributions_own(sandbox):
    """Airflow finds it by the connection's type; it tests the connection, reads, writes and lists."""
    from acme_crm.hook import AcmeHook

    hook = CrmHook.for_connection("acme_default", ledger_conn_id=None)
    assert type(hook) is type(BaseHook.get_hook("acme_default")) is AcmeHook
    assert hook.test_connection() == (True, "Connected to Acme CRM, account acc_1.")
    assert hook.update_opportunity("deal_1", {"stage": "Offer made", "deal_value": 5})["stage"] == "offer"
    assert [record["amount"] for record in hook.list_opportunities()] == [5, 200, 300]
    assert AcmeHook().get_opportunity("deal_2")["amount"] == 200


def test_an_operator_writes_rows_and_tells_each_outcome(sandbox, task, deal, stored):
    """Rows land or are refused, here or by Acme; the ledger has what was acknowledged, so that a next run is silent."""
    run = task(UpdateOpportunityOperator, data=ROWS, as_of=DAY, **MAPPING)
    assert run.outcomes == {"updated": 2, "invalid": 1, "rejected": 1}
    assert run.rejects == {"deal_3": ("invalid", "STAGE"), "deal_4": ("rejected", "not_found")}
    assert "it has New (new), Offer made (offer), Won (won), Lost (lost)." in run.report["rejects"][0]["reason"]
    assert deal("deal_1") == (1234.56, "won", "2026-03-01")
    known = {(one["record_id"], one["field"]): one["value"] for one in stored(field_states) if one["acknowledged_at"]}
    assert known["deal_1", "amount"] == "1234.56"
    assert {one["account"] for one in stored(field_states)} == {run.report["account"]}
    assert run.report["account"] == f"acme:{sandbox.url.removeprefix('http://')}:acc_1"
    calls = sandbox.audit.count()
    again = task(UpdateOpportunityOperator, data=ROWS[:2], run_id="again", as_of=DAY + dt.timedelta(days=1), **MAPPING)
    assert again.outcomes == {"unchanged": 2}
    assert sandbox.audit.count() - calls == 1  # the catalogue: an unchanged row costs no call


def test_rows_share_calls(sandbox, task):
    """Rows of a vendor with a call for batches are sent and read together; each has an outcome of its own."""
    account = sandbox.account("acme")
    rows = [{"id": account.add_opportunity()["id"], "arr": number} for number in range(250)]
    rows[7]["id"], rows[9]["arr"] = "gone", -1
    run = task(UpdateOpportunityOperator, data=rows, **{**MAPPING, "fields": {"arr": "deal_value"}})
    assert run.outcomes == {"updated": 248, "rejected": 2}
    assert {code for _, code in run.rejects.values()} == {"not_found", "invalid"}
    writes = [call for call in sandbox.audit.calls if call.method in ("PATCH", "POST")]
    assert len(writes) <= 5


def test_a_silent_drop_is_no_success(sandbox, task):
    """What Acme accepts and does not write is told as `ignored`, by the vendor's own comparison."""
    sandbox.set(ignored_fields={"amount"})
    run = task(UpdateOpportunityOperator, data=ROWS[:1], **MAPPING)
    assert run.rejects == {"deal_1": ("ignored", "NOT_WRITTEN")}


def test_a_late_win_without_a_date_is_refused(sandbox, task, deal):
    """The core applies the vendor's rule about wins: old data does not win deals today, unless that is wanted."""
    rows = [{"id": "deal_1", "stage": "won"}]
    mapping = {**MAPPING, "fields": {"stage": "stage"}}
    run = task(UpdateOpportunityOperator, data=rows, as_of=DAY, **mapping)
    assert (run.outcomes, deal("deal_1")[1]) == ({"invalid": 1}, "new")
    dated = task(UpdateOpportunityOperator, data=rows, as_of=DAY, date_won_default="as_of", **mapping)
    assert (dated.outcomes, deal("deal_1")[2]) == ({"updated": 1}, "2026-02-28")  # the day that ends then


def test_plan_apply_undo(sandbox, task, deal, stored):
    """The difference is seen before it is written, exactly it is written, and the values from before come back."""
    before = [deal(f"deal_{number}") for number in (1, 2)]
    plan = task(PlanOpportunityUpdatesOperator, data=ROWS[:2], task_id="plan", as_of=DAY, **MAPPING)
    verdicts = {(one["record_id"], one["field"]): one["verdict"] for one in stored(plan_rows)}
    assert verdicts["deal_1", "amount"] == "update"
    assert {verdict for (record_id, _), verdict in verdicts.items() if record_id == "deal_2"} == {"unchanged"}
    assert "+1,134.56" in plan.report["summary"]
    assert [deal(f"deal_{number}") for number in (1, 2)] == before
    approved = {"plan": plan.report["plan_id"], "digest": plan.report["digest"], "capture_before": True}
    applied = task(UpdateOpportunityOperator, task_id="apply", crm_conn_id="acme_default", **approved)
    assert (applied.outcomes["updated"], deal("deal_1")) == (1, (1234.56, "won", "2026-03-01"))
    key = applied.report["run_key"]
    undone = task(RevertOpportunityUpdatesOperator, task_id="undo", run_key=key, crm_conn_id="acme_default")
    assert undone.error is None
    assert deal("deal_1") == before[0]


def test_lineage_and_assets_name_the_account(sandbox, task):
    """The output of a task is the dataset of the account's asset, whose URI Airflow takes as it takes any account's."""
    operator = UpdateOpportunityOperator(task_id="task", data=ROWS[:1], ledger_conn_id=None, **MAPPING)
    account = Run().of(operator.execute).report["account"]
    asset = create_asset(account=account)
    assert (account_of(asset.uri), Asset(asset.uri).uri) == (account, asset.uri)
    (output,) = DefaultExtractor(operator).extract_on_failure(None).outputs
    dataset = convert_asset_to_openlineage(asset, None)
    assert (output.namespace, output.name) == (dataset.namespace, dataset.name)
    assert [one.name for one in output.facets["schema"].fields] == list(FIELDS.values())


def test_the_page_shows_amounts_and_links(acme_installed, browser, log):
    """Money is shown as money, and a deal has a link to its page at Acme; one of a sandbox has none."""
    account = "acme:api.acme.example:acc_1"
    for key, its_account in (("sales_sync/t/r", account), ("sales_sync/t/s", "acme:127.0.0.1:8123:acc_1")):
        log.run(key, account=its_account, outcomes={"updated": 1})
        log.change(key, "deal 1", field="amount", account=its_account, before="100", after="1234.5")
    shown = browser("anna").text("run", run_key="sales_sync/t/r", show="written")
    assert "1,234.50" in shown
    assert 'href="https://app.acme.example/deals/deal%201"' in shown
    of_a_sandbox = browser("anna").text("run", run_key="sales_sync/t/s", show="written")
    assert ("1,234.50" in of_a_sandbox, "app.acme.example" in of_a_sandbox) == (True, False)
