"""Batchly under the operators, with a ledger: every kind of field is written, known, planned, applied and put back."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from tests.fake.api import APIS
from tests.operators.conftest import Impatient, Run

every_api = pytest.mark.parametrize("api", [api.name for api in APIS])
DAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
BEFORE = {
    "amount": "1.00", "currency": "USD", "description": "old", "owner_id": None, "contact_email": "a@example.com",
    "c_score": "1", "c_renewal": "2026-01-01", "c_seen_at": "2026-01-01T00:00:00Z", "c_active": None, "c_tier": "Gold",
    "c_products": "Core", "c_segment": None,
}  # fmt: skip
ROW = {
    "deal_value": "1234.56", "deal_currency": "EUR", "notes": None, "responsible_user_id": "ada",
    "contact_email": "b@example.com", "c_score": 7.5, "c_renewal": "2026-03-08",
    "c_seen_at": "2026-03-08T01:00:00-05:00",
    "c_active": False, "c_tier": "Bronze", "c_products": ["Training", "Core"], "c_segment": "smb",
}  # fmt: skip
AFTER = {
    "amount": "1234.56", "currency": "EUR", "description": None, "owner_id": "ada", "contact_email": "b@example.com",
    "c_score": "7.5", "c_renewal": "2026-03-08", "c_seen_at": "2026-03-08T06:00:00Z", "c_active": "false",
    "c_tier": "Bronze", "c_products": "Training;Core", "c_segment": "smb",
}  # fmt: skip
STAGE = {"stage": "Renewals/Won", "date_won": "2026-03-08"}
STAGE_BEFORE = {"deal_stage": "sales_offer", "pipeline_id": "sales", "close_date": None}
STAGE_AFTER = {"deal_stage": "renewals_won", "pipeline_id": "renewals", "close_date": "2026-03-08T16:00:00Z"}
IDS = [str(number) for number in range(1, 121)]


class Account:
    """The records of one API under test, and the tasks that write them."""

    def __init__(self, sandbox, api):
        self.sandbox, self.api = sandbox, api
        self.account = sandbox.account(api)
        has_stages = api != "batchly_flat"
        self.before = BEFORE | (STAGE_BEFORE if has_stages else {})
        self.row = ROW | (STAGE if has_stages else {})
        self.after = AFTER | (STAGE_AFTER if has_stages else {})
        for record_id in IDS:
            self.account.add_opportunity(record_id, **self.before)

    def task(self, operator_class, task_id, *, day=0, **arguments):
        """Run a task, and return its end; calls are counted from here."""
        self.sandbox.audit.clear()
        operator = operator_class(task_id=task_id, crm_conn_id=f"{self.api}_default", **arguments)
        run = Run(as_of=DAY + dt.timedelta(days=day))
        run.context["ti"].task_id = task_id
        run.context["ti"].run_id = f"run_{day}"
        return run.of(operator.execute)

    def write(self, operator_class=Impatient, task_id="write", ids=IDS, **arguments):
        """Run a task with a row for each record."""
        data = [{"id": f"00{record_id}", **self.row} for record_id in ids]
        fields = {name: name for name in self.row}
        return self.task(operator_class, task_id, data=data, id_column="id", fields=fields, nulls="clear", **arguments)

    def holds(self, properties, ids=IDS):
        """Return whether the records have these properties."""
        shown = [self.account.opportunity(one)["properties"] for one in ids]
        return [{name: one[name] for name in properties} for one in shown] == [properties] * len(ids)


@pytest.fixture
def crm(batchly_sandbox, tmp_path, monkeypatch, request):
    """Return the account of the API, with a ledger of its own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return Account(batchly_sandbox, request.getfixturevalue("api"))


@every_api
def test_every_kind_of_field(crm, api):
    """All kinds are written in batches and confirmed; the next day the ledger knows that nothing has changed."""
    run = crm.write()
    assert (run.error, run.outcomes) == (None, {"updated": 120})
    assert crm.holds(crm.after)
    assert crm.sandbox.audit.count() <= 10
    run = crm.write(day=1)
    assert (run.outcomes, crm.sandbox.audit.writes) == ({"unchanged": 120}, [])


@every_api
def test_undo(crm, api):
    """What stood there before is read in batches, and put back in batches, empty fields included."""
    assert crm.write(capture_before=True).outcomes == {"updated": 120}
    assert crm.sandbox.audit.count() <= 14
    run = crm.task(RevertOpportunityUpdatesOperator, "undo", run_key="dag/write/run_0")
    assert (run.error, run.outcomes) == (None, {"updated": 120})
    assert crm.holds(crm.before)


@every_api
def test_plan_and_apply(crm, api):
    """A plan reads in batches and names no change where there is none; what people change meanwhile is a conflict."""
    planned = crm.write(PlanOpportunityUpdatesOperator, "plan")
    assert crm.sandbox.audit.count(method="PATCH") == 0
    assert crm.sandbox.audit.count() <= 6
    assert _counts(planned) == {"update": 120 * len(crm.after)}
    crm.account.add_opportunity("7", **crm.before | {"c_tier": "Silver"})
    apply = {"plan": planned.report["plan_id"], "digest": planned.report["digest"]}
    run = crm.task(UpdateOpportunityOperator, "apply", **apply)
    assert isinstance(run.error, AirflowFailException)
    assert run.rejects == {"7": ("rejected", "CONFLICT")}
    assert crm.holds(crm.after, [one for one in IDS if one != "7"])
    again = crm.write(PlanOpportunityUpdatesOperator, "plan_again", ids=[one for one in IDS if one != "7"])
    assert _counts(again) == {"unchanged": 119 * len(crm.after)}


def _counts(planned):
    """Return how many fields have each verdict of a plan."""
    return {verdict: count for verdict, count in planned.report["counts"].items() if count}


@pytest.mark.parametrize("api", ["batchly", "batchly_mute"])
def test_late_win(crm, api):
    """A won stage without a date in an old run is refused, unless the row's own date is sent for it."""
    crm.row = {"stage": "Sales/Won"}
    assert set(crm.write().outcomes) == {"invalid"}
    assert crm.write(date_won_default="as_of", day=1).outcomes == {"updated": 120}
    assert crm.account.date_for_people("1", "close_date") == dt.date(2026, 3, 2)


@every_api
def test_personal_fields_are_in_no_message(crm, api, caplog):
    """The email is in no log of a dry run and in no reject, though the body has it deep inside."""
    crm.sandbox.set(**{f"{api}_rejected_ids": {"5"}})
    crm.write(dry_run=True, task_id="dry")
    run = crm.write()
    assert run.rejects == {"5": ("rejected", "RULE")}
    assert "b@example.com" not in caplog.text + str(run.report) + str(run.error)
