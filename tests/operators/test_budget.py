"""The budget arguments of the operators."""

from __future__ import annotations

import math

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.hooks.shares import DEFAULT_DAILY_SHARE
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.provider_info import get_provider_info

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


@pytest.mark.parametrize(
    ("arguments", "option", "share"),
    [
        ({}, None, 0.5),
        ({}, "", 0.5),
        ({}, " 0.8 ", 0.8),
        ({"daily_share": 0.2}, "0.8", 0.2),
        ({"daily_share": 1}, None, 1),
    ],
    ids=["neither", "an empty option", "the option", "both", "the argument"],
)
def test_a_day_has_a_share_of_its_own(budget_of, monkeypatch, arguments, option, share):
    """The argument, else the option of the configuration, else a half; whatever the type of the run."""
    if option is not None:
        monkeypatch.setenv("AIRFLOW__CRM__DAILY_SHARE", option)
    shares = [budget_of(run_type, **arguments).daily_share for run_type in ("scheduled", "backfill")]
    assert shares == [share, share]


@pytest.mark.parametrize("value", [0, 1.5, "half", math.nan, True])
def test_a_wrong_share_of_a_day_is_reported_before_the_first_call(deal, update, monkeypatch, value):
    """As an argument and as an option; the sentence says which of the two it is."""
    advice = "write the part of the vendor's limit that the run may use, such as 0.9 (at most 1)."
    assert str(update(ROWS, daily_share=value).error) == f"daily_share is {value!r}; {advice}"
    monkeypatch.setenv("AIRFLOW__CRM__DAILY_SHARE", str(value))
    failed = update(ROWS).error
    assert isinstance(failed, AirflowFailException)
    assert str(failed).startswith("[crm] daily_share is ")
    assert str(failed).endswith(advice)
    assert deal.audit.calls == []


def test_the_option_is_described_to_airflow():
    """Its default in the provider info is the one that runs use."""
    option = get_provider_info()["config"]["crm"]["options"]["daily_share"]
    assert float(option["default"]) == DEFAULT_DAILY_SHARE == Budget().daily_share


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
