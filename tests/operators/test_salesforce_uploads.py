"""Very many rows go to Salesforce as one file: each row is settled by what its record shows, whoever dies meanwhile."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pandas as pd
import pytest
import requests
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException

from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.database.schema import changes, field_states, uploads
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.push.uploads import RowUpload
from airflow_provider_crm.sandbox.salesforce.ids import numbered_id
from airflow_provider_crm.vendors.salesforce import VENDOR

from .conftest import Impatient, Run, pass_the_lease

ROWS = 2_300
FIELDS = {"arr": "deal_value", "next": "NextStep"}
JOBS = "/services/data/v62.0/jobs/ingest"
JOB = f"{JOBS}/{numbered_id('750', 1)}"


class Org:
    """The org with some rows, and the frame that changes them all."""

    def __init__(self, sandbox, count=ROWS):
        self.sandbox, self.org = sandbox, sandbox.salesforce
        sandbox.set(salesforce_daily_limit=None)
        self.ids = [self.org.add_opportunity(Amount=1)["Id"] for _ in range(count)]

    def frame(self, day=1):
        """Amounts and texts of a day."""
        rows = [(one, f"{at}.{day:02}", f'day {day}, "{at}"\nü') for at, one in enumerate(self.ids)]
        return pd.DataFrame(rows, columns=["id", "arr", "next"])

    def is_as_of(self, day, ids=None):
        """Whether records hold the values of a day."""
        wanted = {one: (Decimal(arr), text) for one, arr, text in self.frame(day).itertuples(index=False)}
        some = self.ids if ids is None else ids
        held = {one: self.org.opportunity(one) for one in some}
        return {one for one in some if (held[one]["Amount"], held[one]["NextStep"]) != wanted[one]} == set()

    def state(self, number):
        """The state of a job, by the order in which they were opened."""
        headers = {"Authorization": f"Bearer {self.org.access_token}"}
        address = f"{self.sandbox.url}{JOBS}/{numbered_id('750', number)}"
        return requests.get(address, headers=headers, timeout=60).json()["state"]

    def calls(self, method, part):
        """The calls whose path has a part."""
        return [call for call in self.sandbox.audit.calls if call.method == method and part in call.path]


@pytest.fixture
def org(crm_sandbox):
    """The org of the sandbox."""
    return Org(crm_sandbox)


def operator(frame, *, kind=Impatient, **arguments):
    """The operator; all rows but twenty are for the file."""
    given = {"data": frame, "id_column": "id", "fields": FIELDS, "crm_conn_id": "crm_salesforce_default"}
    return kind(task_id="amounts", **{"upload_after": 20, **given, **arguments})


def run_to_end(make, most=10, **run):
    """Run a task through its deferrals; returns the runs of its segments."""
    runs = [Run(**run)]
    runs[-1].of(make().execute)
    while runs[-1].deferred is not None and len(runs) < most:
        runs.append(Run(**run))
        state = runs[-2].deferred.kwargs
        runs[-1].of(lambda context, state=state: make().resume(context, **state))
    return runs


def rows_of(table, ledger_conn_id):
    """All rows of a table of the ledger."""
    with closing(ledger_database(ledger_conn_id)) as database, database.engine.connect() as connection:
        return connection.execute(sa.select(table)).fetchall()


def test_all_rows_land(org, ledger_conn_id):
    """One file, a deferral while Salesforce writes it, one read for two thousand rows, and each field on record."""
    org.sandbox.set(salesforce_job_rows=1_000)
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert [run.deferred is not None for run in runs] == [True] * 3 + [False]
    assert runs[-1].error is None
    assert runs[-1].report["outcomes"] == {"updated": ROWS}
    assert org.is_as_of(1)
    assert len(org.calls("PUT", "/batches")) == 1
    assert len(org.calls("POST", "composite/sobjects/Opportunity")) == 2
    assert len(org.calls("POST", "/composite")) - 2 <= 2
    written = rows_of(changes, ledger_conn_id)
    assert (len(written), {one.outcome for one in written}) == (2 * ROWS, {"updated"})
    assert {one.claim_token for one in rows_of(field_states, ledger_conn_id)} == {None}
    assert [(one.stage, one.rows, one.landed) for one in rows_of(uploads, ledger_conn_id)] == [
        ("ended", ROWS - 20, ROWS - 20)
    ]
    again = Run()
    again.of(operator(org.frame(), ledger_conn_id=ledger_conn_id).execute)
    assert again.report["outcomes"] == {"unchanged": ROWS}


def test_more_rows_than_a_file_takes(org, ledger_conn_id, monkeypatch):
    """One file follows the other, each as soon as the one before is settled; the few rows that are left go by calls."""
    monkeypatch.setattr(VENDOR, "_upload", replace(VENDOR._upload, fewest=500, largest=1_000))
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert (len(runs), runs[-1].error, runs[-1].report["outcomes"]) == (3, None, {"updated": ROWS})
    assert org.is_as_of(1)
    assert [(one.stage, one.rows) for one in rows_of(uploads, ledger_conn_id)] == [("ended", 1_000)] * 2


def test_rows_that_do_not_land_are_told_by_calls(org, ledger_conn_id):
    """A validation rule, products and a lock: each of these rows is told by its own call afterwards."""
    refused, held, locked = org.ids[100], org.ids[200], org.ids[300]
    org.org.validation_rules["NextStep"] = (lambda value: value is not None and ', "100"' in value, "Not this one.")
    org.org.add_opportunity(held, Amount=1, HasOpportunityLineItem=True)
    org.sandbox.set(salesforce_locked_once_ids=frozenset({locked}))
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert runs[-1].report["outcomes"] == {"updated": ROWS - 2, "rejected": 1, "ignored": 1}
    assert {(one["record_id"], one["outcome"]) for one in runs[-1].report["rejects"]} == {
        (refused, "rejected"),
        (held, "ignored"),
    }
    assert isinstance(runs[-1].error, AirflowException)
    assert org.is_as_of(1, [one for one in org.ids if one not in (refused, held)])


def test_a_job_that_fails_as_a_whole(org, ledger_conn_id):
    """All of its rows are sent by calls."""
    org.sandbox.set(salesforce_job_failure="InvalidBatch : Something")
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert (runs[-1].error, runs[-1].report["outcomes"]) == (None, {"updated": ROWS})
    assert len(org.calls("PUT", "/batches")) == 1
    assert org.is_as_of(1)


def test_a_user_without_jobs(org, ledger_conn_id, caplog):
    """The rows are sent by calls, in one segment, and the log says why."""
    org.sandbox.set(salesforce_allows_jobs=False)
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert (len(runs), runs[0].error, runs[0].report["outcomes"]) == (1, None, {"updated": ROWS})
    assert "no upload could be opened" in caplog.text


@pytest.mark.parametrize("fault", ["reset_after", "http_502_after", "reset_before"])
@pytest.mark.parametrize(("method", "path"), [("POST", JOBS), ("PUT", f"{JOB}/batches"), ("PATCH", JOB), ("GET", JOB)])
def test_lost_answers(org, ledger_conn_id, method, path, fault):
    """Whatever answer about the job is lost, each row is written as it was to be, and once."""
    org.sandbox.script(faults=[fault], method=method, path=path)
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert (runs[-1].error, runs[-1].report["outcomes"]) == (None, {"updated": ROWS})
    assert org.is_as_of(1)
    assert len(org.sandbox.audit.writes) == ROWS


@pytest.mark.parametrize(
    ("patch_faults", "left"), [([], "Aborted"), (["reset_after"], "Aborted"), (["reset_before"], "Open")]
)
def test_a_file_that_is_sent_again(org, ledger_conn_id, caplog, patch_faults, left):
    """The job whose answer was lost is cancelled before another one is opened, as far as Salesforce hears of it."""
    org.sandbox.script(faults=["reset_after"], method="PUT", path=f"{JOB}/batches")
    org.sandbox.script(faults=patch_faults, method="PATCH", path=JOB)
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert (runs[-1].error, runs[-1].report["outcomes"]) == (None, {"updated": ROWS})
    sent = [call.method for call in org.sandbox.audit.calls if JOBS in call.path and call.method != "GET"]
    assert sent == ["POST", "PUT", "PATCH"] * 2
    assert [org.state(number) for number in (1, 2)] == [left, "JobComplete"]
    assert ("could not be cancelled" in caplog.text) == bool(patch_faults)


@pytest.mark.parametrize("fault", ["http_400", "http_503"])
def test_a_file_that_is_not_taken(org, ledger_conn_id, fault):
    """The run ends for its retry, and none of its jobs is left open."""
    org.sandbox.script(faults=[fault] * 3, method="PUT")
    run = Run()
    run.of(operator(org.frame(), ledger_conn_id=ledger_conn_id).execute)
    assert f"{ROWS - 20} not_sent" in str(run.error)
    assert {org.state(number + 1) for number in range(len(org.calls("PUT", "/batches")))} == {"Aborted"}
    assert [one.stage for one in rows_of(uploads, ledger_conn_id)] == ["abandoned"]


def later_run(frame, ledger_conn_id, name="later", **arguments):
    """A run of another day, as far as it gets now."""
    run = Run()
    run.context["ti"].run_id = name
    run.of(operator(frame, ledger_conn_id=ledger_conn_id, upload_after=None, **arguments).execute)
    return run


def test_newer_data_waits_for_a_job(org, ledger_conn_id):
    """A later day does not overtake the job of the day before: it is deferred, and its values end on top."""
    org.sandbox.set(salesforce_job_rows=1_000)
    first = Run()
    first.of(operator(org.frame(1), ledger_conn_id=ledger_conn_id).execute)
    assert first.deferred is not None
    assert later_run(org.frame(2), ledger_conn_id).deferred is not None
    while first.deferred is not None:
        resume, state, first = (
            operator(org.frame(1), ledger_conn_id=ledger_conn_id).resume,
            first.deferred.kwargs,
            Run(),
        )
        first.of(partial(resume, **state))
    assert (first.error, org.is_as_of(1, org.ids[20:])) == (None, True)
    later = later_run(org.frame(2), ledger_conn_id)
    for _ in range(3):
        org.state(1)  # if the job had rows left, they would be written now, on top of the newer ones
    assert (later.error, org.is_as_of(2)) == (None, True)


def test_a_dead_run_s_job_is_settled_by_another(org, ledger_conn_id):
    """Nobody asks for the job any more: after a while the next run settles it, and goes on with its own rows."""
    first = Run()
    first.of(operator(org.frame(1), ledger_conn_id=ledger_conn_id).execute)
    assert first.deferred is not None
    with closing(ledger_database(ledger_conn_id)) as database, database.engine.begin() as connection:
        long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        connection.execute(sa.update(uploads).values(touched_at=long_ago))
    later = later_run(org.frame(2), ledger_conn_id)
    assert (later.error, later.report["outcomes"]) == (None, {"updated": ROWS})
    assert org.is_as_of(2)


def test_a_worker_that_dies_before_the_file_is_sent(org, ledger_conn_id, monkeypatch):
    """The next try gives up the file of the first one, and sends another; the first one, still alive, sends nothing."""
    first, second = Run(), []

    def die(self, file):
        monkeypatch.setattr(RowUpload, "_send_file", send_file)
        pass_the_lease(ledger_conn_id)  # of the rows that went by calls
        second.extend(run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id), try_number=2))
        return send_file(self, file)

    send_file = RowUpload._send_file
    monkeypatch.setattr(RowUpload, "_send_file", die)
    first.of(operator(org.frame(), ledger_conn_id=ledger_conn_id).execute)
    assert (second[-1].error, org.is_as_of(1)) == (None, True)
    assert "2280 not_sent UPLOADED" in str(first.error)
    assert (
        max(Counter(one.record_id for one in org.sandbox.audit.writes if one.record_id in org.ids[20:]).values()) == 1
    )
    assert sorted(one.stage for one in rows_of(uploads, ledger_conn_id)) == ["abandoned", "ended"]


def test_a_job_that_is_never_begun(org, ledger_conn_id):
    """The word to begin never arrives: the next segment cancels the job, and sends its rows by calls."""
    org.sandbox.script(faults=["reset_before"] * RetryRules().attempts, method="PATCH", path=JOB)
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id))
    assert (len(runs), runs[-1].error, runs[-1].report["outcomes"]) == (2, None, {"updated": ROWS})
    assert org.is_as_of(1)
    assert len(org.calls("POST", "/composite")) > ROWS / 200
    assert org.state(1) == "Aborted"


def test_a_job_that_salesforce_has_deleted(org, ledger_conn_id):
    """The records are read all the same."""
    first = Run()
    first.of(operator(org.frame(), ledger_conn_id=ledger_conn_id).execute)
    headers = {"Authorization": f"Bearer {org.org.access_token}"}
    assert requests.get(org.sandbox.url + JOB, headers=headers, timeout=60).json()["state"] == "JobComplete"
    assert requests.delete(org.sandbox.url + JOB, headers=headers, timeout=60).ok
    later = Run()
    later.of(partial(operator(org.frame(), ledger_conn_id=ledger_conn_id).resume, **first.deferred.kwargs))
    assert (later.error, later.report["outcomes"]) == (None, {"updated": ROWS})


@pytest.mark.parametrize("kept_by", [{"capture_before": True}, {"verify_echo": False}, {"upload_after": None}])
def test_runs_that_upload_nothing(org, ledger_conn_id, kept_by):
    """Where a record has to be read before it is written, or is not compared after, or if a user says so."""
    runs = run_to_end(lambda: operator(org.frame(), ledger_conn_id=ledger_conn_id, **kept_by))
    assert (len(runs), runs[0].error, org.calls("POST", "jobs/ingest")) == (1, None, [])
