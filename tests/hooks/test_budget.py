"""Scripts that share the limit of the DAGs: the hook's session and an operator on one ledger, over real HTTP."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.exceptions import ConfigurationError, RateLimitedError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.raze import RazeHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

NOON = dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC)
LIMIT = 20


@pytest.fixture
def ledger_conn_id(any_connection, monkeypatch):
    """The connection to an empty ledger, of each kind of database."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_LEDGER", json.dumps(any_connection))
    return "crm_ledger"


@pytest.fixture
def hook(crm_sandbox, ledger_conn_id):
    """A hook for Raze with such shares, on the ledger; it is closed after the test."""
    with ExitStack() as hooks:
        yield lambda **shares: hooks.enter_context(RazeHook(**{"ledger_conn_id": ledger_conn_id, **shares}))


@pytest.fixture
def account(crm_sandbox):
    """Raze with some opportunities and twenty calls an hour, of which all are left."""
    for number in range(2 * LIMIT):
        crm_sandbox.raze.add_opportunity(f"opp_{number}")
    crm_sandbox.clock.set(NOON)
    crm_sandbox.set(raze_limit=LIMIT)
    return crm_sandbox


def read_until_used_up(hook):
    """Read until the session may not any more; return the number of reads, and what is raised then."""
    for reads in range(2 * LIMIT):
        try:
            hook.get_opportunity("opp_0")
        except RateLimitedError as err:
            return reads, err
    pytest.fail("nothing was used up")


def run(ledger_conn_id, **arguments):
    """Run an operator on forty rows as a worker would; return the report at which it is deferred."""
    operator = UpdateOpportunityOperator(
        task_id="task",
        crm_conn_id="raze_default",
        ledger_conn_id=ledger_conn_id,
        data=[{"id": f"opp_{number}", "arr": number + 1} for number in range(2 * LIMIT)],
        id_column="id",
        fields={"arr": "deal_value"},
        **arguments,
    )
    context = {
        "ti": SimpleNamespace(
            dag_id="dag", task_id="task", run_id="run", map_index=-1, try_number=1, xcom_push=lambda **_: None
        ),
        "data_interval_start": NOON,
        "data_interval_end": NOON,
        "dag_run": SimpleNamespace(run_after=NOON, run_type="scheduled"),
    }
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    return deferred.value.kwargs["report"]


def statuses(sandbox):
    """The statuses of all answers."""
    return [call.status for call in sandbox.audit.calls]


def test_by_itself_a_session_uses_the_whole_limit(hook):
    """Without a share nothing is shared, and nothing left to others."""
    assert hook().session.budget == Budget(1.0, None, 1.0)


@pytest.mark.parametrize(
    ("shares", "share", "daily_share"),
    [
        ({"budget_share": 0.3}, 0.3, 0.8),
        ({"daily_share": 0.1}, 0.9, 0.1),
        ({"budget_share": 0.3, "daily_share": 0.1}, 0.3, 0.1),
    ],
)
def test_a_named_share_makes_the_session_share_the_ledger(hook, monkeypatch, shares, share, daily_share):
    """One of the two is enough; the other is what operators have."""
    monkeypatch.setenv("AIRFLOW__CRM__DAILY_SHARE", "0.8")
    budget = hook(**shares).session.budget
    assert (budget.share, budget.daily_share, budget.store is not None) == (share, daily_share, True)


def test_shares_without_a_ledger(hook):
    """The shares are kept by the answers alone."""
    assert hook(budget_share=0.3, ledger_conn_id=None).session.budget == Budget(0.3, None, 0.5)


def test_the_hook_of_a_connection_takes_the_same_arguments(crm_sandbox, ledger_conn_id):
    """The vendor is chosen by the connection, the shares by the caller."""
    with CrmHook.for_connection(
        "close_default", ledger_conn_id=ledger_conn_id, budget_share=0.3, daily_share=0.1
    ) as made:
        budget = made.session.budget
    assert (budget.share, budget.daily_share, budget.store is not None) == (0.3, 0.1, True)


@pytest.mark.parametrize("name", ["budget_share", "daily_share"])
def test_a_wrong_share_is_reported(crm_sandbox, ledger_conn_id, name):
    """By the test of the connection, too, and before any call."""
    made = RazeHook(ledger_conn_id=ledger_conn_id, **{name: 90})
    with pytest.raises(ConfigurationError, match=f"^{name} is 90; write the part of the vendor's limit"):
        made.get_opportunity("opp_0")
    assert made.test_connection()[0] is False
    assert crm_sandbox.audit.calls == []


def test_a_script_leaves_calls_to_the_dags(account, hook, ledger_conn_id):
    """The script stops at its share, the operator takes the rest, and together they make as many calls as allowed."""
    script = hook(budget_share=0.5)
    reads, err = read_until_used_up(script)
    assert (reads, err.code) == (LIMIT // 2, "BUDGET_USED_UP")
    report = run(ledger_conn_id, budget_share=1.0)
    assert report["outcomes"] == {"updated": LIMIT // 2}
    assert statuses(account) == [200] * LIMIT


def test_a_script_after_the_dags_finds_its_share_used(account, hook, ledger_conn_id):
    """What the operator used counts for the script: it may make no call, and is not refused by the CRM for that."""
    assert run(ledger_conn_id, budget_share=0.9)["outcomes"] == {"updated": 18}
    assert read_until_used_up(hook(budget_share=0.5))[0] == 0
    assert statuses(account) == [200] * 18


def test_a_closed_hook_gives_back_what_it_did_not_use(account, hook, ledger_conn_id):
    """The operator gets every call that the script leased and left; the hook can be used again after that."""
    with hook(budget_share=1.0) as script:
        for _ in range(3):
            script.get_opportunity("opp_0")
    assert run(ledger_conn_id, budget_share=1.0)["outcomes"] == {"updated": LIMIT - 3}
    assert read_until_used_up(script)[0] == 0
    assert statuses(account) == [200] * LIMIT


def test_calls_by_get_conn_are_seen_as_those_of_another_program(account, hook, ledger_conn_id):
    """A plain request is not paced; the operator sees from the CRM's answers that it was made, and is not refused."""
    script = hook(budget_share=0.5)
    for _ in range(LIMIT - 4):
        script.get_conn().get(f"{script.base_url}/external/v1/opportunities/opp_0").raise_for_status()
    assert run(ledger_conn_id, budget_share=1.0)["outcomes"] == {"updated": 4}
    assert statuses(account) == [200] * LIMIT
