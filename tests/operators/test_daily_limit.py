"""A day that is used up, over real HTTP: a task waits for the next one without a worker slot, and goes on by itself.

Time passes only by waiting: a deferral lets as much of it pass as its trigger would.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import Counter

import pytest
import requests
from airflow.sdk.exceptions import AirflowException

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import RateLimitedError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

from .conftest import NOW, POSTGRESQL_WITH_LONG_PROOFS, Run

pytestmark = POSTGRESQL_WITH_LONG_PROOFS

LIMIT, HALF, ROWS = 20, 10, 25
MIDNIGHT = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


@pytest.fixture
def account(crm_sandbox):
    """Both CRMs at noon with some records and twenty calls a day, of which a call a second would leave plenty."""
    for number in range(ROWS):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=100)
        crm_sandbox.raze.add_opportunity(f"opp_{number}", deal_value="1.00")
    crm_sandbox.clock.set(NOW)
    crm_sandbox.set(close_day_limit=LIMIT, raze_day_limit=LIMIT)
    return crm_sandbox


@pytest.fixture
def clock(crm_sandbox):
    """The sandbox's clock, which a wait moves on; each look at it takes ten microseconds, so that calls take some."""
    time, looks = crm_sandbox.clock, itertools.count()

    def now():
        return time.now() + dt.timedelta(microseconds=10 * next(looks))

    def sleep(seconds):
        time.advance(math.ceil(seconds * 1e6) / 1e6)

    return Clock(monotonic=lambda: now().timestamp(), now=now, sleep=sleep, jitter=lambda: 0.0)


class DatabaseOnClock(Database):
    """A database whose own time is the test's, whatever kind it is of."""

    def now(self, connection):
        """Return the time of the test's clock."""
        return self.clock.now()


class Days:
    """A task from its start over its deferrals to its end, on the sandbox's clock, which is also that of the store."""

    def __init__(self, sandbox, clock, kind=UpdateOpportunityOperator, *, vendor="raze", **arguments):
        prefix = {"close": "oppo", "raze": "opp"}.get(vendor)

        class OnItsClock(kind):
            def session_for(self, account):
                """Use the clock of the test."""
                budget = self._budget()
                if budget.store is not None:
                    database = DatabaseOnClock(self._segment.ledger.database.engine, clock=clock)
                    budget = Budget(budget.share, BudgetStore(database), budget.daily_share)
                return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock, budget=budget)

        self.sandbox, self.kind = sandbox, OnItsClock
        self.arguments = {
            "task_id": "task",
            "crm_conn_id": f"{vendor}_default",
            "data": [{"id": f"{prefix}_{number}", "arr": number + 5} for number in range(ROWS)],
            "id_column": "id",
            "fields": {"arr": "deal_value"},
            "concurrency": 1,
            **arguments,
        }
        self.run, self.waits, self.reports, self.calls = Run(as_of=NOW), [], [], []

    def segment(self, state=None):
        """Run until the end or the next deferral, and let the time of the deferral pass."""
        operator, before, calls = self.kind(**self.arguments), dt.datetime.now(dt.UTC), len(self.sandbox.audit.calls)
        self.run.deferred = None
        if state is None:
            self.run.of(operator.execute)
        else:
            self.run.of(lambda context: operator.resume(context, event=None, **state))
        self.calls.append(len(self.sandbox.audit.calls) - calls)
        if self.run.deferred is not None:
            self.waits.append((self.run.deferred.trigger.moment - before).total_seconds())
            self.reports.append(self.run.deferred.kwargs["report"])
            self.sandbox.clock.advance(math.ceil(self.waits[-1]))

    def until_done(self, most=ROWS):
        """Run all segments, but not more than so many; return the last one's result."""
        self.segment()
        while self.run.deferred is not None and len(self.waits) < most:
            self.segment(self.run.deferred.kwargs)
        return self.run


def days(sandbox):
    """Return the calls of each day."""
    return list(Counter(call.at.date() for call in sandbox.audit.calls).values())


def statuses(sandbox):
    """Return how the calls were answered."""
    return {call.status for call in sandbox.audit.calls}


@pytest.mark.parametrize("ledger", [True, False], ids=["ledger", "no ledger"])
def test_a_task_waits_for_the_next_day(account, clock, ledger_conn_id, capsys, ledger):
    """It uses its share of each day to the call, is deferred once to each midnight, and writes every row once."""
    task = Days(account, clock, ledger_conn_id=ledger_conn_id if ledger else None)
    run = task.until_done()
    assert run.error is None
    assert run.outcomes == {"updated": ROWS}
    assert days(account) == task.calls == [HALF, HALF, ROWS - 2 * HALF]
    assert statuses(account) == {200}
    assert [round(wait / 3600) for wait in task.waits] == [12, 24]
    day = task.reports[0]["budget"]["groups"][0]["day"]
    end = f"{dt.datetime.fromisoformat(day['ends_at']).astimezone(dt.UTC):%Y-%m-%dT%H:%M}"
    assert end == "2026-11-21T00:00"
    why = "the runs of this Airflow have used their share (10 of 20 calls)"
    assert f"Raze's daily limit: {why}; the next call is allowed at {end}:" in capsys.readouterr().out


def test_state_report_and_log_have_the_day(account, clock, ledger_conn_id, capsys):
    """Kind and day are in the state of a deferred task, in the report at its end, and in the log."""
    task = Days(account, clock, ledger_conn_id=ledger_conn_id)
    report = task.until_done().report
    (first,), (last,) = (one["budget"]["groups"] for one in (task.reports[0], report))
    end = dt.datetime.fromisoformat(first["day"].pop("ends_at"))
    assert abs(end - MIDNIGHT) <= dt.timedelta(seconds=2)
    assert first["day"] == {"limit": LIMIT, "used": HALF, "left": HALF, "share": 0.5}
    assert last["calls"] == ROWS
    assert (last["day"]["used"], last["day"]["left"]) == (ROWS - 2 * HALF, LIMIT - (ROWS - 2 * HALF))
    assert "Daily limit: 10 calls of 20 by this run, 10 left to all programs, until 2026-11-21T00:00" in (
        capsys.readouterr().out
    )


def test_a_plan_waits_for_the_next_day_as_well(account, clock, ledger_conn_id):
    """A plan keeps the records that it has read, and reads each once."""
    task = Days(account, clock, PlanOpportunityUpdatesOperator, ledger_conn_id=ledger_conn_id)
    account.set(raze_day_limit=2)
    run = task.until_done()
    assert run.error is None
    assert run.report["counts"]["update"] == ROWS
    assert max(days(account)) == 1
    assert statuses(account) == {200}


def test_a_day_is_one_for_all_endpoint_groups(account, clock, ledger_conn_id):
    """Close limits reading and writing apart, and the day as a whole: the share is of all calls together."""
    task = Days(account, clock, vendor="close", ledger_conn_id=ledger_conn_id, capture_before=True)
    run = task.until_done()
    assert run.outcomes == {"updated": ROWS}
    assert max(days(account)) == HALF
    assert statuses(account) == {200}


def test_a_day_that_another_program_has_used_up(account, clock, ledger_conn_id, capsys):
    """Nothing is left to any program: the sentence says so, and the task waits for midnight without a refusal."""
    key = {"Authorization": f"Bearer {account.raze.api_key}"}
    for _ in range(LIMIT - 1):
        requests.get(f"{account.url}/external/v1/opportunities/opp_1", headers=key, timeout=5).raise_for_status()
    task = Days(account, clock, ledger_conn_id=ledger_conn_id, daily_share=1.0)
    task.segment()
    assert "Raze's daily limit: none of its 20 calls are left, to any program; the next" in capsys.readouterr().out
    assert statuses(account) == {200}
    assert task.calls == [1]


def test_a_script_and_a_task_share_the_day(account, clock, ledger_conn_id):
    """The script stops at a quarter of the day, the task takes what is left of its half, and no more."""
    database = DatabaseOnClock(ledger_database(ledger_conn_id).engine, clock=clock)
    hook = CrmHook.for_connection("raze_default", ledger_conn_id=ledger_conn_id)
    with Session(hook.account(), clock=clock, budget=Budget(1.0, BudgetStore(database), 0.25)) as session:
        for _ in range(LIMIT // 4):
            session.read("opp_1")
        with pytest.raises(RateLimitedError, match=r"the runs of .* have used their share \(5 of 20 calls\)"):
            session.read("opp_1")
    database.close()
    task = Days(account, clock, ledger_conn_id=ledger_conn_id)
    task.segment()
    assert days(account) == [HALF]
    assert statuses(account) == {200}


def test_with_a_longer_defer_after_no_call_waits_for_hours_either(account, clock, ledger_conn_id):
    """A wait of more than ten minutes is never made in a worker slot: the task fails, and its retry goes on."""
    task = Days(account, clock, ledger_conn_id=ledger_conn_id, defer_after=1e6)
    task.segment()
    assert isinstance(task.run.error, AirflowException)
    assert len(account.audit.writes) == HALF
    assert clock.now() - NOW < dt.timedelta(hours=1)


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
def test_a_day_that_slides_is_waited_for(account, clock, ledger_conn_id, named):
    """Salesforce counts the last 24 hours: the share is kept to the call, and the task goes on when calls have ended.

    Without the header that names them only a refusal shows that they are used up; then it asks now and then.
    """
    account.set(salesforce_daily_limit=12 if named else 6, salesforce_limit_headers=named)
    ids = [account.salesforce.add_opportunity(Amount=1)["Id"] for _ in range(1 + 2 * 200)]
    rows = [{"id": one, "arr": number + 5} for number, one in enumerate(ids)]
    task = Days(account, clock, vendor="crm_salesforce", data=rows, ledger_conn_id=ledger_conn_id)
    run = task.until_done(most=100)
    assert run.error is None
    assert run.outcomes == {"updated": len(ids)}
    written = Counter(write.record_id for write in account.audit.writes)
    assert written == dict.fromkeys(ids, 1)
    assert 86_000 <= sum(task.waits) <= 90_000
    if named:
        assert len(task.waits) == 1
        assert statuses(account) == {200, 204}
