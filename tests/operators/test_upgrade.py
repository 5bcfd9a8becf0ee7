"""A ledger that an older version of the package has written is used as if this one had."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import plan_rows, plans
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.plan.stored_plan import PlanDigest, plan_row_of
from tests.database import version_1


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
