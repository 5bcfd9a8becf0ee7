"""The parts of a report on the page beside the rows: rate limit and guardrails, as the ledger keeps them."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.report.report import SyncReport

CLOSE = {"id_column": "id", "fields": {"arr": "deal_value"}}


@pytest.fixture
def stored_report(ledger_conn_id):
    """The report of a run in the ledger."""

    def report(run_key):
        engine = ledger_database(ledger_conn_id).engine
        with engine.connect() as connection:
            text = connection.execute(sa.select(runs.c.report).where(runs.c.run_key == run_key)).scalar_one()
        engine.dispose()
        return json.loads(text)

    return report


@pytest.mark.parametrize("operator", [UpdateOpportunityOperator, PlanOpportunityUpdatesOperator])
def test_the_report_has_budget_and_guardrails(deals, task, stored_report, operator):
    """Calls by endpoint group beside the vendor's limit, the share, and each limit beside what was measured."""
    deals.set(close_limit=50, close_window=3600.0)
    data = [{"id": "oppo_0", "arr": 7}, {"id": "oppo_1", "arr": "x"}]
    limits = Guardrails(max_rows=10, max_invalid_fraction=0.5)
    run = task(operator, data=data, guardrails=limits, max_rejected=1, budget_share=0.8, **CLOSE)
    assert run.error is None, run.error
    calls = {group["group"]: (group["calls"], group["limit"]) for group in run.report["budget"]["groups"]}
    assert sum(number for number, _ in calls.values()) == run.report["calls"] == len(deals.audit.calls)
    written = "opportunity write" if operator is UpdateOpportunityOperator else "opportunity read"
    assert calls[written] == (1, 50)
    assert run.report["budget"]["share"] == 0.8
    assert run.report["guardrails"] == [
        {"limit": "max_rows", "measured": "2", "allowed": "10", "unit": "rows"},
        {
            "limit": "max_invalid_fraction",
            "measured": "0.5",
            "allowed": "0.5",
            "unit": "of the rows are invalid (1 of 2)",
        },
    ]
    stored = stored_report("dag/task/run")
    assert (stored["budget"], stored["guardrails"]) == (run.report["budget"], run.report["guardrails"])


@pytest.mark.parametrize("operator", [UpdateOpportunityOperator, PlanOpportunityUpdatesOperator])
def test_a_broken_guardrail_is_stored_for_the_page(deals, task, stored_report, operator):
    """A run that a guardrail stopped has a report of no row, which says what was measured against what is allowed."""
    data = [{"id": f"oppo_{number}", "arr": 7} for number in range(3)]
    run = task(operator, data=data, guardrails=Guardrails(max_rows=2, max_null_fraction=0.5), **CLOSE)
    assert "max_rows: 3 rows, allowed are 2." in str(run.error)
    assert deals.audit.writes == []
    report = SyncReport.from_dict(stored_report("dag/task/run"))
    assert (report.rows, report.outcomes) == (0, {})
    assert [(one.limit, one.broken) for one in report.guardrails] == [("max_rows", True), ("max_null_fraction", False)]


def test_a_report_without_guardrails_has_none(deals, task):
    """Nothing is measured without a request."""
    assert task(UpdateOpportunityOperator, data=[{"id": "oppo_0", "arr": 7}], **CLOSE).report["guardrails"] == []


def test_what_was_used_before_a_deferral_counts(deals, task):
    """The report of a resumed run has the calls of all segments, and the guardrails of the first."""
    deals.set(close_limit=2, close_window=3600.0)
    deals.clock.set(dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC))
    data = [{"id": f"oppo_{number}", "arr": 7} for number in range(3)]
    arguments = {"data": data, "budget_share": 1.0, "guardrails": Guardrails(max_rows=5), "ledger_conn_id": None}
    run = task(UpdateOpportunityOperator, **arguments, **CLOSE)
    state = run.deferred.kwargs
    assert [
        group["calls"] for group in state["report"]["budget"]["groups"] if group["group"] == "opportunity write"
    ] == [2]
    deals.clock.advance(3600)
    operator = UpdateOpportunityOperator(task_id="task", crm_conn_id="close_default", **arguments, **CLOSE)
    report = operator.resume(run.context, **state)
    (group,) = [group for group in report["budget"]["groups"] if group["group"] == "opportunity write"]
    assert (group["calls"], group["limit"], group["allowed"]) == (3, 2, 4)
    assert [one["limit"] for one in report["guardrails"]] == ["max_rows"]
