"""Runs one operator as a worker would: a context, a recorded XCom, and the exception that ends the task."""

from __future__ import annotations

import datetime as dt
import json
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_crm.budget.limit_state import POLL
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.ledger.uploads import HELD
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from tests.commands.command_line import run_command

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


class Time:
    """Time that passes only by waiting, so that no test waits.

    Some milliseconds are what a thread waits for an answer that is on its way to another one: those pass in truth, as
    no clock of a test can hurry the answer.
    """

    def __init__(self):
        self.seconds = 0.0
        self.slept = []

    def read(self):
        """The time of the sandbox, which has its own, and all that was slept."""
        return time.monotonic() + self.seconds

    def sleep(self, seconds):
        """Pass the time."""
        self.slept.append(seconds)
        self.seconds += seconds
        if seconds <= POLL:
            time.sleep(seconds)


POSTGRESQL_WITH_LONG_PROOFS = pytest.mark.parametrize(
    "any_database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
"""For files with slow tests about waiting: one kind of database is enough for every run of the tests."""


class Impatient(UpdateOpportunityOperator):
    """The operator with a clock that does not wait."""

    def session_for(self, account):
        """Use a clock of the run's own."""
        time = Time()
        clock = Clock(monotonic=time.read, sleep=time.sleep)
        return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock)


class Run:
    """The result of one try of a task: report, error or deferral, and XCom."""

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
            "outlet_events": OutletEventAccessors(),
            "dag_run": SimpleNamespace(run_after=NOW, run_type="scheduled"),
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


def pass_the_lease(ledger_conn_id):
    """Let the claims of a dead worker run out, but for those of rows that are held for an upload."""
    engine = ledger_database(ledger_conn_id).engine
    claimed = field_states.c.claimed_until < dt.datetime.now(dt.UTC) + HELD
    with engine.begin() as connection:
        connection.execute(sa.update(field_states).where(claimed).values(claimed_until=NOW - dt.timedelta(days=365)))
    engine.dispose()


@pytest.fixture
def update(tmp_path, monkeypatch):
    """Run an `UpdateOpportunityOperator` on rows, with a ledger file of its own; defaults are a deal in Close."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))

    def run(data, *, try_number=1, as_of=None, kind=Impatient, **arguments):
        defaults = {"crm_conn_id": "close_default", "id_column": "id", "fields": {"arr": "deal_value"}}
        operator = kind(task_id="task", data=data, **{**defaults, **arguments})
        return Run(try_number=try_number, as_of=as_of).of(operator.execute)

    return run


@pytest.fixture
def ledger_conn_id(any_connection, monkeypatch):
    """The connection to an empty ledger, of each kind of database."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_LEDGER", json.dumps(any_connection))
    return "crm_ledger"


@pytest.fixture
def task(ledger_conn_id):
    """Run a task of any operator, with a ledger of its own; arguments have the defaults of a Close connection."""

    def run(operator_class, *, run_id="run", as_of=None, try_number=1, **arguments):
        defaults = {"task_id": "task", "crm_conn_id": "close_default", "ledger_conn_id": ledger_conn_id}
        operator = operator_class(**{**defaults, **arguments})
        end = Run(try_number=try_number, as_of=as_of)
        end.context["ti"].task_id = operator.task_id
        end.context["ti"].run_id = run_id
        return end.of(operator.execute)

    return run


@pytest.fixture
def deals(crm_sandbox):
    """Three opportunities in each CRM."""
    for number in range(3):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=100, note="n")
        crm_sandbox.raze.add_opportunity(f"opp_{number}", deal_value="1.00", status="new")
    return crm_sandbox


@pytest.fixture
def stored(ledger_conn_id):
    """All rows of a table of the ledger."""

    def rows(table):
        engine = ledger_database(ledger_conn_id).engine
        with engine.connect() as connection:
            found = connection.execute(sa.select(table)).mappings().all()
        engine.dispose()
        return found

    return rows


@pytest.fixture
def crm_command(ledger_conn_id, monkeypatch):
    """Run `airflow crm ...` on the ledger in this process; returns what it printed, or why it ended."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")  # there is no metadata database to look into

    def run(*words):
        ended = run_command("crm", *words, "--ledger-conn-id", ledger_conn_id)
        return ended.message or ended.out

    return run
