"""Guardrails over HTTP, on both databases: a run that would go too far writes nothing at all."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal

import numpy as np
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CLOSE = {"id_column": "id", "fields": {"arr": "deal_value", "text": "notes"}}


@pytest.fixture
def deals(crm_sandbox):
    """Ten opportunities in Close, each of 1.00."""
    for number in range(10):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=100, note="n")
    return crm_sandbox


@pytest.fixture(params=[UpdateOpportunityOperator, PlanOpportunityUpdatesOperator], ids=["update", "plan"])
def guarded(request, task, deals):
    """Run rows under guardrails, written or planned, after a first run over all ten records."""
    first = [row(number, 1) for number in range(10)]
    assert task(UpdateOpportunityOperator, data=first, task_id="first", as_of=DAY, **CLOSE).error is None
    deals.audit.clear()

    def run(data, **limits):
        arguments = {"data": data, "guardrails": Guardrails(**limits), "task_id": "guarded", **CLOSE}
        return task(request.param, as_of=DAY + dt.timedelta(days=1), **arguments)

    return run


def row(number, arr, text="n"):
    """One row."""
    return {"id": f"oppo_{number}", "arr": arr, "text": text}


BREACHES = [
    ({"max_rows": 2}, [row(0, 1), row(1, 1), row(2, 1)], "max_rows: 3 rows, allowed are 2."),
    (
        {"max_changed_fraction": 0.25},
        [row(0, 2), row(1, 2), row(2, 1)],
        "max_changed_fraction: 0.6667 of the rows would be written (2 of 3), allowed are 0.25.",
    ),
    (
        {"max_total_delta": 1000},
        [row(0, 601), row(1, "-400.5")],
        "max_total_delta: 1,001.5 in changes of the deal values, allowed are 1,000.",
    ),
    (
        {"max_null_fraction": 0.5},
        [row(0, 1, None), row(1, 1, None), row(2, 1)],
        "max_null_fraction: 0.6667 of the values of 'notes' are missing (2 of 3), allowed are 0.5.",
    ),
    (
        {"max_invalid_fraction": 0.3},
        [row(0, 1), row(1, "x"), row(2, 1)],
        "max_invalid_fraction: 0.3333 of the rows are invalid (1 of 3), allowed are 0.3.",
    ),
]


@pytest.mark.parametrize(("limits", "data", "message"), BREACHES, ids=[next(iter(one[0])) for one in BREACHES])
def test_a_breach_writes_nothing(deals, guarded, limits, data, message):
    """The task fails without a retry and prints measured against allowed; no row was sent."""
    run = guarded(data, **limits)
    assert isinstance(run.error, AirflowFailException)
    assert str(run.error) == f"Nothing was written: the run would break its guardrails. {message}"
    assert deals.audit.writes == []


def test_all_breaches_are_named_at_once(guarded):
    """One message names every limit that would be broken and can be measured together."""
    run = guarded([row(0, 9), row(1, "x")], max_rows=1, max_invalid_fraction=0)
    assert "max_rows" in str(run.error)
    assert "max_invalid_fraction" in str(run.error)


def test_at_the_limit_is_within_it(deals, guarded):
    """A run that is exactly at its limits goes on."""
    run = guarded(
        [row(0, 2), row(1, "-1", None)],
        max_rows=2,
        max_changed_fraction=1.0,
        max_total_delta=3,
        max_null_fraction=0.5,
        max_invalid_fraction=0.0,
    )
    assert run.error is None


def test_rows_pass_the_guardrails_unchanged(deals, task):
    """Rows that went through the temporary file are written as they came, with one outcome each."""
    data = [row(number, f"{number}.25") for number in range(10)] + [{"id": "oppo_x", "arr": "?", "text": "n"}]
    limits = Guardrails(max_rows=11)
    run = task(UpdateOpportunityOperator, data=data, guardrails=limits, **CLOSE)
    assert run.outcomes == {"updated": 10, "invalid": 1}
    assert [deals.close.opportunity(f"oppo_{number}")["value"] for number in range(10)] == [
        number * 100 + 25 for number in range(10)
    ]


def test_a_dry_run_has_guardrails_too(deals, task):
    """A dry run is measured against the ledger as well."""
    limits = Guardrails(max_total_delta=1)
    run = task(UpdateOpportunityOperator, data=[row(0, 50)], guardrails=limits, dry_run=True, **CLOSE)
    assert "max_total_delta: 50 in changes" in str(run.error)


def test_comparing_needs_a_ledger(deals, task):
    """Without a ledger there are no values to compare with; limits that do not compare are still enforced."""
    without = {**CLOSE, "ledger_conn_id": None}
    run = task(UpdateOpportunityOperator, data=[row(0, 5)], guardrails=Guardrails(max_total_delta=1), **without)
    assert "guardrails" in str(run.error)
    assert "ledger_conn_id is None" in str(run.error)
    run = task(UpdateOpportunityOperator, data=[row(0, 5)], guardrails=Guardrails(max_rows=1), **without)
    assert run.outcomes == {"updated": 1}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_rows": -1}, "max_rows is -1; write a number from 0 on"),
        ({"max_rows": 1.5}, "max_rows is 1.5; write a whole number"),
        ({"max_null_fraction": 5}, "max_null_fraction is 5; write a fraction from 0 to 1, such as 0.05"),
        ({"max_total_delta": "1"}, "max_total_delta is '1'; write a number from 0 on"),
        ({"max_total_delta": float("nan")}, "max_total_delta is nan; write a number from 0 on"),
        ({"max_changed_fraction": True}, "max_changed_fraction is True; write a number from 0 on"),
    ],
)
def test_wrong_limits_are_named(deals, guarded, limits, message):
    """A wrong limit is reported before any call that writes."""
    run = guarded([row(0, 5)], **limits)
    assert isinstance(run.error, AirflowFailException)
    assert message in str(run.error)
    assert deals.audit.writes == []


def test_a_dag_file_pays_nothing_for_guardrails():
    """Importing them imports neither requests nor SQLAlchemy nor pandas."""
    import subprocess

    code = (
        "import sys, airflow_provider_crm.guardrails.limits\n"
        "print([name for name in ('requests', 'sqlalchemy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("operator", [UpdateOpportunityOperator, PlanOpportunityUpdatesOperator])
def test_rows_that_the_vendor_would_not_take_are_invalid_too(task, deals, operator):
    """A row that is refused only once the account is known, such as for its currency, counts as invalid."""
    data = [{"id": f"oppo_{number}", "arr": 1, "cur": "EUR" if number else "USD"} for number in range(3)]
    fields = {"arr": "deal_value", "cur": "deal_currency"}
    run = task(operator, data=data, id_column="id", fields=fields, guardrails=Guardrails(max_invalid_fraction=0.5))
    assert isinstance(run.error, AirflowFailException)
    assert "max_invalid_fraction: 0.6667 of the rows are invalid (2 of 3), allowed are 0.5" in str(run.error)
    assert deals.audit.writes == []


def test_a_date_that_the_rules_add_is_a_change(task, deals):
    """With `date_won_default="as_of"` a win gets the date of its data: another date is another value to write."""
    data = [{"id": "oppo_0", "stage": "Sales/Won"}]
    arguments = {"id_column": "id", "fields": {"stage": "stage"}, "timezone": "UTC", "date_won_default": "as_of"}
    task(UpdateOpportunityOperator, data=data, as_of=DAY, **arguments)
    assert deals.close.opportunity("oppo_0")["date_won"] == "2026-02-28"
    deals.audit.clear()
    later, limits = DAY + dt.timedelta(days=2), Guardrails(max_changed_fraction=0.5)
    run = task(UpdateOpportunityOperator, data=data, run_id="later", as_of=later, guardrails=limits, **arguments)
    assert "max_changed_fraction: 1 of the rows would be written (1 of 1)" in str(run.error)
    assert deals.audit.writes == []


@pytest.mark.parametrize("limit", [Decimal("NaN"), Decimal("sNaN"), float("nan"), Decimal(-1)])
def test_a_limit_that_is_no_number_is_refused(task, deals, limit):
    """A limit of any wrong type is named in the error, and limits nothing by accident."""
    run = task(UpdateOpportunityOperator, data=[row(0, 5)], guardrails=Guardrails(max_total_delta=limit), **CLOSE)
    assert isinstance(run.error, AirflowFailException)
    assert f"max_total_delta is {limit!r}; write a number from 0 on" in str(run.error)
    assert deals.audit.writes == []


def test_a_limit_may_be_a_number_of_numpy(task, deals):
    """A limit that was computed from a frame is as good as one that was written down."""
    limits = Guardrails(max_total_delta=np.float64(0.5))
    run = task(UpdateOpportunityOperator, data=[row(0, 5)], guardrails=limits, **CLOSE)
    assert "max_total_delta: 5 in changes of the deal values, allowed are 0.5" in str(run.error)
    assert deals.audit.writes == []
