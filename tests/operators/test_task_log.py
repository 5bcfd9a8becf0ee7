"""The end of a task's log says what became of the run and what to do next; the manual shows it as it is printed."""

from __future__ import annotations

import datetime as dt
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from airflow_provider_crm.demo.crm import edit
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

from .conftest import Impatient, pass_the_lease

PAGE = Path(__file__).parents[2] / "docs" / "task-log.md"
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NOON = dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC)
CLOSE = {"id_column": "id", "fields": {"arr": "deal_value"}}
LINE = re.compile(r"\S+Z \[(\w+) *\] (.*) \[airflow\.task\.operators\.[\w.]+\] loc=\S+")
NORMAL = (
    (re.compile(r"in \d+\.\d s"), "in 0.4 s"),
    (re.compile(r"for 3,5\d\d seconds"), "for 3,595 seconds"),
    (re.compile(r"127\.0\.0\.1:\d+"), "api.close.com"),
    (re.compile(r"Plan \w{32} of"), "Plan 6385d6da64fb4ea2b88670fddaa12ca3 of"),
)
"""What no two runs have in common, and how the manual writes it."""
OTHERS = ("cannot be called outside", " rows/s, ")
"""What no task runner logs, and lines of the progress while a run goes on."""


def shown():
    """The blocks of the manual's page by their headings."""
    found = re.findall(
        r"^## ([^\n]+)\n.*?```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return {heading: block.splitlines() for heading, block in found}


@pytest.fixture
def printed(capsys):
    """What the operators have logged since, in the form of the manual."""

    def read():
        lines = []
        for found in filter(None, map(LINE.fullmatch, capsys.readouterr().out.splitlines())):
            text = found[2].rstrip()
            for form, instead in NORMAL:
                text = form.sub(instead, text)
            if not any(words in text for words in OTHERS):
                lines.append(f"{found[1].upper()} - {text}")
        return lines

    return read


class Syncs:
    """Runs tasks as a Dag would, and reads what they log."""

    def __init__(self, sandbox, task, printed):
        self.sandbox, self._task, self._printed = sandbox, task, printed
        self.end = None

    def __call__(self, values=(), kind=Impatient, **arguments):
        """Run a task with one row per value; returns what it logged."""
        rows = [{"id": f"oppo_{number}", "arr": value} for number, value in enumerate(values)]
        self._printed()
        self._made = lambda run: run(
            kind, **{"data": rows, "concurrency": 1, **CLOSE, "task_id": "deal_values", **arguments}
        )
        self.end = self._made(self._task)
        return self._printed()

    def woken(self):
        """Wake the deferred task until it ends; returns what its last segment logged."""
        while self.end.deferred is not None:
            self._printed()
            state, self.end.deferred = self.end.deferred.kwargs, None
            self._made(lambda kind, state=state, **arguments: self._resume(kind, state, arguments))
        return self._printed()

    def _resume(self, kind, state, arguments):
        operator = kind(crm_conn_id="close_default", ledger_conn_id="crm_ledger", **arguments)
        self.end.of(lambda context: operator.resume(context, **state))


@pytest.fixture
def sync(deals, task, printed, monkeypatch):
    """Run tasks in an Airflow whose address is configured."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    wrong = {"conn_type": "close", "host": deals.url, "password": "api_wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(wrong))
    for name, uri in deals.connection_uris().items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", uri)
    return Syncs(deals, task, printed)


def landed(sync):
    """Every row is in the CRM."""
    return sync([5, 6, 7])


def nothing_to_write(sync):
    """The query returned no rows."""
    return sync([])


def all_stale(sync):
    """An older day is run after a newer one."""
    sync([5, 6], run_id="newer", as_of=DAY)
    return sync([8, 9], as_of=DAY - dt.timedelta(days=1))


def tolerated(sync):
    """Some rows are refused: fewer than may be, and more than should be."""
    return sync([5, 6, "twelve", 8], max_rejected=3, warn_rejected=1)


def refused(sync):
    """More rows are refused than may be."""
    return sync([5, 6, "twelve", 8])


class Broken(Impatient):
    """Rows that come from a query whose connection is lost after the second."""

    def is_in_memory(self):
        """Frames come from a generator."""
        return False

    def frames(self, context):
        """Two rows, then the error."""
        yield pd.DataFrame([{"id": "oppo_0", "arr": 5}, {"id": "oppo_1", "arr": 6}])
        raise ConnectionError("server closed the connection unexpectedly")


def fall(sandbox):
    """The CRM is down from the third call on: one row has landed by then."""
    sandbox.script(vendor="close", faults=[None] * 2 + ["http_503"] * 5_000)


def outage(sync):
    """The CRM is down in mid-run."""
    fall(sync.sandbox)
    return sync([6, 7, 8])


def long_outage(sync):
    """The CRM is down for longer than the task waits for it."""
    fall(sync.sandbox)
    sync([6, 7, 8])
    return sync.woken()


def wrong_key(sync):
    """The key in the connection is none of the CRM."""
    return sync([5, 6, 7], crm_conn_id="wrong")


def guardrail(sync):
    """The source has more rows than a guardrail allows."""
    return sync([5, 6, 7], guardrails=Guardrails(max_rows=2))


def partly_applied(sync):
    """A record changed in the CRM between plan and apply."""
    sync([5, 6, 7], kind=PlanOpportunityUpdatesOperator, task_id="plan")
    plan = sync.end.report
    edit(sync.sandbox, "oppo_1", {"value": 7_700})
    approved = {"plan": plan["plan_id"], "digest": plan["digest"], "data": None, "id_column": "", "fields": None}
    return sync(task_id="apply", **approved)


def planned(sync):
    """A plan waits for its approval."""
    return sync([5, 6, 7], kind=PlanOpportunityUpdatesOperator, task_id="plan")


def rate_limit(sync):
    """The calls of the hour are used up after two rows."""
    sync.sandbox.clock.set(NOON)
    sync.sandbox.set(raze_limit=2)
    rows = [{"id": f"opp_{number}", "arr": number + 5} for number in range(3)]
    return sync(kind=UpdateOpportunityOperator, data=rows, crm_conn_id="raze_default", budget_share=1.0)


def killed(sync):
    """The worker of the first try dies while it waits for the third row, and Airflow retries the task."""
    sync.sandbox.script(vendor="close", faults=[None] * 3 + ["http_503"])
    rows = [{"id": f"oppo_{number}", "arr": number + 5} for number in range(3)]
    connections = {"crm_conn_id": "close_default", "ledger_conn_id": "crm_ledger"}
    task = {"task_id": "deal_values", "data": rows, "concurrency": 1, **CLOSE, **connections}
    command = [sys.executable, "-m", "tests.operators.task_process", json.dumps(task), "1", "--dies"]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    pass_the_lease("crm_ledger")
    return sync([5, 6, 7], try_number=2)


def source_broke(sync):
    """The database of the query ends the connection."""
    return sync(kind=Broken)


SCENARIOS = {
    "Landed": landed,
    "Nothing to write": nothing_to_write,
    "All stale": all_stale,
    "Refused within max_rejected": tolerated,
    "Refused beyond max_rejected": refused,
    "Outage": outage,
    "Outage that lasts": long_outage,
    "Stopped by a guardrail": guardrail,
    "Plan made": planned,
    "Partly applied": partly_applied,
    "Deferred for a rate limit": rate_limit,
    "The worker died": killed,
    "The source broke": source_broke,
    "Wrong key": wrong_key,
}


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("heading", SCENARIOS)
def test_the_manual_shows_the_log_as_it_is_printed(sync, heading):
    """Each verdict, made by the sandbox: its lines stand on the page, but for times, hosts and ids."""
    printed = SCENARIOS[heading](sync)
    assert printed == shown().get(heading)
