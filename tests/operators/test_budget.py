"""The two budget arguments of the operators."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import NOW

ROWS = [{"id": "oppo_0", "arr": 1}]


@pytest.fixture
def deal(crm_sandbox):
    """A sandbox with one opportunity."""
    crm_sandbox.close.add_opportunity("oppo_0", value=100)
    return crm_sandbox


@pytest.fixture
def budget_of(deal, task):
    """Run the operator as a run of some type, and return the budget that its session had."""
    budgets = []

    class BudgetNotingOperator(UpdateOpportunityOperator):
        def session_for(self, account):
            """Show it to the test."""
            session = super().session_for(account)
            budgets.append(session.budget)
            return session

        def execute(self, context):
            """Run as a run of that type."""
            context["dag_run"].run_type = self.run_type
            return super().execute(context)

    def run(run_type="scheduled", **arguments):
        BudgetNotingOperator.run_type = run_type
        end = task(BudgetNotingOperator, data=ROWS, id_column="id", fields={"arr": "deal_value"}, **arguments)
        assert end.error is None, end.error
        return budgets[-1]

    return run


def test_defaults(budget_of):
    """A run may use nine tenths of the vendor's limit, shared through the ledger's database."""
    budget = budget_of()
    assert (budget.share, budget.store is not None) == (0.9, True)


def test_without_a_ledger_nothing_is_shared(budget_of):
    """Without a ledger a run paces itself by the vendor's answers alone."""
    assert budget_of(ledger_conn_id=None).store is None


def test_a_dry_run_makes_no_tables(budget_of):
    """A dry run writes nothing anywhere, so that its few calls are paced by the vendor's answers alone."""
    assert budget_of(dry_run=True).store is None


def test_a_share(budget_of):
    """The argument is the session's share."""
    assert budget_of(budget_share=0.25).share == 0.25


@pytest.mark.parametrize(("arguments", "share"), [({}, 0.5), ({"backfill_budget_share": 0.1, "budget_share": 1}, 0.1)])
def test_a_backfill_has_a_share_of_its_own(budget_of, arguments, share):
    """A Dag run of type `backfill` uses the other argument."""
    assert budget_of("backfill", **arguments).share == share


@pytest.mark.parametrize("name", ["budget_share", "backfill_budget_share"])
@pytest.mark.parametrize("value", [0, 1.5, "half", None, True])
def test_a_wrong_share_is_reported_before_the_first_call(deal, update, name, value):
    """Both are checked when the task runs, whatever the type of its run, before anything is sent."""
    failed = update(ROWS, **{name: value}).error
    assert isinstance(failed, AirflowFailException)
    assert str(failed) == (
        f"{name} is {value!r}; write the part of the vendor's limit that the run may use, such as 0.9 (at most 1)."
    )
    assert deal.audit.calls == []


def test_a_used_up_budget_defers_the_task(deal, task):
    """A wait for the budget that is longer than `defer_after` frees the worker slot; no call was refused."""
    for number in range(1, 8):
        deal.close.add_opportunity(f"oppo_{number}", value=100)
    deal.set(close_limit=5, close_window=3600.0)
    deal.clock.set(NOW)  # the window has the whole hour left, whatever hour it is here
    rows = [{"id": f"oppo_{number}", "arr": 9} for number in range(8)]
    end = task(UpdateOpportunityOperator, data=rows, id_column="id", fields={"arr": "deal_value"}, budget_share=1.0)
    assert end.deferred.trigger is not None
    assert end.deferred.kwargs["report"]["outcomes"] == {"updated": 5}
    assert {call.status for call in deal.audit.calls} == {200}
