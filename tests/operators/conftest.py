"""Runs one operator as a worker would: a context, a recorded XCom, and the exception that ends the task."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_crm.budget import Clock
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.session import RetryRules, Session

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


class Time:
    """Time that passes only by waiting, so that no test waits."""

    def __init__(self):
        self.seconds = 0.0
        self.slept = []

    def sleep(self, seconds):
        """Pass the time."""
        self.slept.append(seconds)
        self.seconds += seconds


class Impatient(UpdateOpportunityOperator):
    """The operator with a clock that does not wait."""

    def session_for(self, account):
        """Use a clock of the run's own."""
        time = Time()
        clock = Clock(monotonic=lambda: time.seconds, sleep=time.sleep)
        return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock)


class Run:
    """What one try of a task left behind."""

    def __init__(self, *, try_number=1, as_of=None):
        self.xcom = {}
        self.error = None
        self.deferred = None
        self.report = None
        task_instance = SimpleNamespace(
            dag_id="dag", task_id="task", run_id="run", map_index=-1, try_number=try_number, xcom_push=self._push
        )
        self.context = {
            "ti": task_instance,
            "data_interval_start": (as_of or dt.datetime.now(dt.UTC)) - dt.timedelta(days=1),
            "data_interval_end": as_of or dt.datetime.now(dt.UTC),
            "dag_run": SimpleNamespace(run_after=NOW),
        }

    def _push(self, key, value):
        self.xcom[key] = value

    def of(self, execute):
        """Execute, and keep what comes out."""
        try:
            self.report = execute(self.context)
        except TaskDeferred as deferred:
            self.deferred = deferred
        except Exception as error:  # noqa: BLE001 - the task's end, whatever it is
            self.error = error
            self.report = self.xcom.get("return_value")
        return self

    @property
    def outcomes(self):
        """Rows by outcome."""
        return self.report["outcomes"]

    @property
    def rejects(self):
        """Outcome, code and reason by record id."""
        return {reject["record_id"]: (reject["outcome"], reject["code"]) for reject in self.report["rejects"]}


@pytest.fixture
def update():
    """Run an `UpdateOpportunityOperator` on rows; arguments have the defaults of a deal value in Close."""

    def run(data, *, try_number=1, as_of=None, **arguments):
        defaults = {"crm_conn_id": "close_default", "id_column": "id", "fields": {"arr": "deal_value"}}
        operator = Impatient(task_id="task", data=data, **{**defaults, **arguments})
        return Run(try_number=try_number, as_of=as_of).of(operator.execute)

    return run
