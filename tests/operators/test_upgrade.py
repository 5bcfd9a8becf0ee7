"""What an older version of the package left behind is used as if this one had: in the ledger, and at Airflow."""

from __future__ import annotations

import datetime as dt
import importlib
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.database.schema import VERSION, plan_reads, plan_rows, plans, runs
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.notifications.failure_text import failure_text
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.plan.stored_plan import PlanDigest, plan_row_of
from airflow_provider_crm.report import SyncReport
from airflow_provider_crm.sync.deferral import DeferralState
from tests.database import version_1

from .conftest import Run

AS_OF = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
ROWS = [{"id": f"oppo_{number}", "arr": number + 1} for number in range(6)]
DATA = [*ROWS[:2], {"id": "oppo_unknown", "arr": 1}, {"id": "oppo_bad", "arr": "x"}, *ROWS[2:]]
ARGUMENTS = {
    "task_id": "task",
    "crm_conn_id": "close_default",
    "id_column": "id",
    "fields": {"arr": "deal_value"},
    "max_rejected": 2,
    "guardrails": Guardrails(max_rows=100, max_null_fraction=0.5),
}
"""Those of the tasks that version 1 deferred."""
UNITS = {"max_rows": "rows", "max_null_fraction": "of the values of 'deal_value' are missing (0 of 7)"}


@pytest.fixture
def ledger(ledger_conn_id, crm_sandbox):
    """The ledger of version 1, of an account in this test's sandbox; returns the digest of its open plan."""
    engine = ledger_database(ledger_conn_id).engine
    version_1.fill(engine)
    account = version_1.ACCOUNT.replace(version_1.HOST, urlsplit(crm_sandbox.url).netloc)
    digest = PlanDigest(account)
    with engine.begin() as connection:
        for table in ("crm_plans", "crm_field_states", "crm_runs", "crm_tries", "crm_changes"):
            update = sa.text(f"UPDATE {table} SET account = :new WHERE account = :old")
            connection.execute(update, {"new": account, "old": version_1.ACCOUNT})
        rows = connection.execute(sa.select(plan_rows).where(plan_rows.c.plan_id == version_1.PLAN))
        for row in sorted(map(plan_row_of, rows), key=lambda row: (row.row, row.field)):
            digest.add(row)
        connection.execute(sa.update(plans).where(plans.c.plan_id == version_1.PLAN).values(digest=digest.text()))
    engine.dispose()
    return digest.text()


def test_a_plan_that_version_1_stored_is_applied(task, ledger, crm_sandbox):
    """Its rows land as they were approved, but for the one that a newer run of version 1 has claimed."""
    close = crm_sandbox.close
    for number, (value, note) in enumerate([(500, "n"), (700, "seven"), (800, "n"), (100, "n")]):
        close.add_opportunity(f"oppo_{number}", value=value, note=note)
    run = task(UpdateOpportunityOperator, task_id="apply", plan=version_1.PLAN, digest=ledger, max_rejected=1)
    assert [close.opportunity(f"oppo_{number}")["value"] for number in range(4)] == [500, 7000, 8000, 100]
    assert (run.error, run.outcomes) == (None, {"updated": 2, "rejected": 1})
    assert run.rejects.keys() == {"oppo_3"}


def test_a_run_that_version_1_has_written_costs_no_call(task, ledger, crm_sandbox, monkeypatch):
    """Its values are known, so that the same rows are `unchanged`; it is the next try of the same run."""
    crm_sandbox.close.add_opportunity("oppo_0", value=500, note="n")
    rows = [{"id": "oppo_0", "arr": 5, "text": "n"}]
    fields = {"arr": "deal_value", "text": "notes"}
    as_of = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
    run = task(UpdateOpportunityOperator, data=rows, id_column="id", fields=fields, as_of=as_of)
    assert (run.error, run.outcomes) == (None, {"unchanged": 1})
    assert [call for call in crm_sandbox.audit.calls if call.method == "PUT"] == []


@pytest.fixture
def handed(crm_sandbox, ledger_conn_id):
    """Return what version 1 handed to Airflow in one case, after the ledger has the rows of that time."""

    def get(name):
        handed = version_1.handed_to_airflow(name, urlsplit(crm_sandbox.url).netloc)
        if "ledger" in handed:
            engine = ledger_database(ledger_conn_id).engine
            version_1.fill(engine, handed["ledger"])
            engine.dispose()
        return handed

    return get


def woken(handed, operator):
    """Wake a task that version 1 deferred, as Airflow does."""
    resume = getattr(operator, handed["method_name"])
    return Run(as_of=AS_OF).of(lambda context: resume(context, **handed["kwargs"], event=None))


def units(report):
    """The units of a report's guardrails by limit."""
    return {one["limit"]: one["unit"] for one in report["guardrails"]}


@pytest.mark.parametrize("case", ["with_ledger", "without_ledger"])
def test_a_task_that_version_1_deferred_goes_on(handed, ledger_conn_id, stored, crm_sandbox, case):
    """Rows that landed before are not written again; all of them are counted, and guardrails have their new word."""
    for number in range(6):
        value = 100 * (number + 1) if number < 3 else 7
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=value, note="n")
    state = handed(case)
    ledger = ledger_conn_id if case == "with_ledger" else None
    run = woken(state, UpdateOpportunityOperator(data=DATA, ledger_conn_id=ledger, **ARGUMENTS))
    assert (run.error, run.outcomes) == (None, {"updated": 6, "invalid": 1, "rejected": 1})
    assert sorted(write.record_id for write in crm_sandbox.audit.writes) == ["oppo_3", "oppo_4", "oppo_5"]
    assert run.report["calls"] > state["kwargs"]["report"]["calls"]
    assert units(run.report) == UNITS
    if case == "with_ledger":
        (row,) = stored(runs)
        assert '"unit": "rows"' in row["report"]
        assert '"told"' not in row["report"]


def test_a_plan_that_version_1_was_reading_is_made(handed, ledger_conn_id, stored, crm_sandbox):
    """The records that were read before the deferral are in the ledger, and are not read again."""
    for number in range(0, 600, 150):
        crm_sandbox.close.add_opportunity(f"oppo_other{number}", value=7)
    rows = [{"id": f"oppo_other{number}", "arr": number} for number in range(0, 600, 150)]
    plan = PlanOpportunityUpdatesOperator(data=rows, ledger_conn_id=ledger_conn_id, **ARGUMENTS)
    run = woken(handed("plan"), plan)
    assert (run.error, run.report["counts"]["update"], run.report["calls"]) == (None, 4, 3 + 1 + 2)
    reads = [call.path for call in crm_sandbox.audit.calls if "opportunity" in call.path]
    assert reads == ["/api/v1/opportunity/oppo_other300/", "/api/v1/opportunity/oppo_other450/"]
    assert stored(plan_reads) == []


def test_airflow_finds_what_version_1_named():
    """The trigger in Airflow's database is not of this package, and the method is that of every operator."""
    for case in ("with_ledger", "without_ledger", "plan", "outage"):
        state = version_1.handed_to_airflow(case, "host")
        module, name = state["trigger"].rsplit(".", 1)
        assert not module.startswith("airflow_provider_crm")
        assert hasattr(importlib.import_module(module), name)
        assert state["method_name"] == UpdateOpportunityOperator.resume.__name__


def test_rows_that_may_have_landed_are_still_doubted():
    """An outage of which version 1 noted that rows failed, and how often it waited, goes on from there."""
    state = DeferralState.from_arguments(version_1.handed_to_airflow("outage", "host")["kwargs"])
    assert (state.resends_failed_rows, state.outages, state.finished_rows) == (True, 1, "")
    assert units(state.report) == UNITS


def test_a_report_that_version_1_left_in_xcom_is_read():
    """The report, and the text of a mail about it."""
    xcom = version_1.handed_to_airflow("report", "host")
    assert {one.limit: one.unit for one in SyncReport.from_dict(xcom).guardrails} == UNITS
    context = Run().context
    context["ti"].xcom_pull = lambda key: {"return_value": xcom}[key]
    assert "8 rows: 6 updated, 1 invalid, 1 rejected." in failure_text(context)


@pytest.mark.parametrize("state", [{"finished_rows": "", "report": {}, "later": 1}, {"report": {}}])
def test_a_state_of_another_version_ends_with_a_sentence(update, crm_sandbox, state):
    """The task says what to do, and may be tried again: its next try needs no state."""
    operator = UpdateOpportunityOperator(data=DATA, ledger_conn_id=None, **ARGUMENTS)
    run = Run().of(lambda context: operator.resume(context, event=None, **state))
    assert isinstance(run.error, AirflowException)
    assert not isinstance(run.error, AirflowFailException)
    assert "deferred by another version of airflow-provider-crm" in str(run.error)
    assert str(run.error).endswith("Its next try begins with the first row; if it has no more tries, clear the task.")
    assert crm_sandbox.audit.calls == []


def test_a_count_of_what_prune_deletes_migrates_the_ledger(ledger_conn_id, crm_command):
    """The moment of a migration is chosen as the manual says: the command migrates, and deletes nothing."""
    engine = ledger_database(ledger_conn_id).engine
    version_1.fill(engine)
    before = version_1.rows(engine)
    printed = crm_command("prune", "--dry-run", "--older-than-days", "36500")
    assert printed.startswith("Would delete 0 changes and 0 tries of 0 runs")
    after = version_1.rows(engine)
    assert after["crm_schema_version"] == [{"version": VERSION}]
    kept = ("crm_runs", "crm_tries", "crm_field_states", "crm_changes", "crm_plans", "crm_plan_rows", "crm_rejects")
    assert {table: len(after[table]) for table in kept} == {table: len(before[table]) for table in kept}
    engine.dispose()
