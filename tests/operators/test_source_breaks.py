"""A source that breaks in the midst of its rows: what landed is reported, and a retry follows where it may help."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_crm.database.schema import runs
from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.sync.ends import may_succeed_later, source_error

from .conftest import Impatient, Run


class Frames(Impatient):
    """Writes frames of one row each, and then raises."""

    error: Exception

    def is_in_memory(self):
        """Frames come from a generator."""
        return False

    def frames(self, context):
        """Two rows, then the error."""
        yield from (pd.DataFrame([{"id": f"oppo_{number}", "arr": 5}]) for number in range(2))
        raise self.error


def broken_by(error):
    """An operator whose source breaks so."""
    return type("Broken", (Frames,), {"error": error})


class OperationalError(Exception):
    """As a database driver names it."""


class ProgrammingError(Exception):
    """Break as the other operator does."""


ERRORS = [
    (OperationalError("server closed the connection\nDETAIL: row (secret)"), AirflowException),
    (OSError(5, "Input/output error"), AirflowException),
    (EOFError("ended too early"), AirflowException),
    (RuntimeError(), AirflowException),
    (sqlite3.OperationalError("disk I/O error"), AirflowException),
    (ProgrammingError("no such column"), AirflowFailException),
    (ConfigurationError("line 3 has 3 cells"), AirflowFailException),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), AirflowFailException),
    (AirflowFailException("mine"), AirflowFailException),
    (AirflowSkipException("mine"), AirflowSkipException),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_what_landed_is_reported(deals, update, error, kind):
    """The rows before the break land, and the report is in XCom; the error's kind decides whether it is retried."""
    run = update("unused", kind=broken_by(error))
    assert type(run.error) is kind
    assert deals.close.opportunity("oppo_1")["value"] == 500
    assert run.report["outcomes"] == {"updated": 2}
    assert run.report["ended_early"]
    if not isinstance(error, AirflowException):
        assert "The source broke after 2 rows, the last that were read: " in str(run.error)
        assert "2 rows: 2 updated." in str(run.error)
    assert "secret" not in str(run.error)


def test_the_ledger_has_the_report(deals, task, stored):
    """The run's row says when it ended, what landed and why there is no more."""
    run = task(broken_by(OSError("gone")), data="unused", id_column="id", fields={"arr": "deal_value"})
    (row,) = stored(runs)
    assert row["finished_at"] is not None
    assert '"updated": 2' in row["report"]
    assert "OSError: gone" in row["report"]
    assert run.report["ended_early"].endswith("OSError: gone. A retry reads it again.")


def test_a_guarded_run_of_a_broken_source_writes_nothing(deals, update):
    """All rows are measured before the first write, so none is written; the report says why."""
    run = update("unused", kind=broken_by(OSError("gone")), guardrails=Guardrails(max_rows=9))
    assert type(run.error) is AirflowException
    assert (run.report["rows"], deals.audit.writes) == (0, [])
    assert "The source broke after 2 rows" in run.report["ended_early"]


def lines(count, bad=None):
    """A CSV file of deals, one line of which has a comma too many."""
    rows = "".join(f"oppo_{number},5{',more' if number == bad else ''}\n" for number in range(count))
    return f"id,arr\n{rows}".encode()


def test_a_malformed_line_fails_for_good(deals, update, tmp_path, monkeypatch):
    """The line is named, and no retry would mend it."""
    path = tmp_path / "deals.csv"
    path.write_bytes(lines(4, bad=3))
    run = update(str(path))
    assert isinstance(run.error, AirflowFailException)
    assert "line 5 has 3 cells, the header has 2" in str(run.error)


@pytest.mark.parametrize("form", ["cut", "away"])
def test_a_file_that_may_be_whole_later_is_retried(deals, update, tmp_path, form):
    """A file that is still being written, or not there yet, is an ordinary failure."""
    path = tmp_path / "deals.csv.gz"
    if form == "cut":
        path.write_bytes(gzip.compress(lines(3_000))[:-20])
    run = update(str(path))
    assert type(run.error) is AirflowException
    assert {"cut": "ends too early", "away": "There is no file"}[form] in str(run.error)


def test_a_damaged_row_group_is_reported(deals, update, tmp_path):
    """The row groups before it land."""
    path = tmp_path / "deals.parquet"
    table = pa.table({"id": [f"oppo_{number % 2}" for number in range(20_000)], "arr": range(20_000)})
    table = table.set_column(0, "id", pa.array([f"x_{number}" for number in range(20_000)]))
    pq.write_table(table, path, row_group_size=10_000, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    run = update(str(path), dry_run=True)
    assert "The source broke after 10,000 rows" in str(run.error)
    assert run.report["rows"] == 10_000


def test_an_error_of_a_statement_is_treated_unlike_one_of_the_connection():
    """Drivers share the names of PEP 249; a subclass is of its parent's kind."""
    assert may_succeed_later(type("IdleInTransactionSessionTimeout", (OperationalError,), {})())
    assert not may_succeed_later(type("UndefinedTable", (ProgrammingError,), {})())
    assert may_succeed_later(TransientError("later"))


def test_an_error_before_the_first_row_is_reported_unchanged():
    """An error that names the trouble already needs no other sentence."""
    missing = ConfigurationError("There is no column 'x'.")
    assert source_error(missing, 0) is missing
    assert str(source_error(KeyError("x"), 0)) == "The source could not be read: KeyError: 'x'. A retry reads it again."


def test_a_plan_of_a_broken_source_is_not_made(deals, task, stored):
    """Half a plan is not stored; the run's row says why, and an empty plan is a warning."""
    made = type(
        "Plan", (PlanOpportunityUpdatesOperator,), {"is_in_memory": Frames.is_in_memory, "frames": Frames.frames}
    )
    made.error = OSError("gone")
    run = task(made, data="unused", id_column="id", fields={"arr": "deal_value"})
    assert type(run.error) is AirflowException
    assert str(run.error).startswith("The source broke after 2 rows, the last that were read: OSError: gone.")
    (row,) = stored(runs)
    assert "OSError: gone" in json.loads(row["report"])["ended_early"]
    empty = task(PlanOpportunityUpdatesOperator, data=[], id_column="id", fields={"arr": "deal_value"}, run_id="empty")
    assert empty.report["warnings"] == ["Nothing to plan: 0 rows."]


def test_a_task_that_cannot_go_on_after_a_deferral_reports_what_landed_before(deals, update, monkeypatch):
    """The key was refused in the meantime: XCom has the rows from before the deferral, and why it has no more."""
    before = update([{"id": "oppo_0", "arr": 5}]).report
    refused = {**json.loads(os.environ["AIRFLOW_CONN_CLOSE_DEFAULT"]), "password": "refused"}
    monkeypatch.setenv("AIRFLOW_CONN_CLOSE_DEFAULT", json.dumps(refused))
    operator = Impatient(
        task_id="task", data=[], crm_conn_id="close_default", id_column="id", fields={"arr": "deal_value"}
    )
    run = Run().of(lambda context: operator.resume(context, finished_rows="", report=before))
    assert isinstance(run.error, AirflowFailException)
    assert run.report["outcomes"] == {"updated": 1}
    assert run.report["ended_early"]


LOADING = """
import datetime as dt, sys, threading
from types import SimpleNamespace

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("pandas", "pyarrow"):
            print(name, threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

operator = UpdateOpportunityOperator(
    task_id="t",
    data=sys.argv[1],
    id_column="id",
    fields={"arr": "deal_value"},
    crm_conn_id="close_default",
    ledger_conn_id=None,
)
context = {
    "ti": SimpleNamespace(
        dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, xcom_push=lambda key, value: None
    ),
    "outlet_events": OutletEventAccessors(),
    "dag_run": SimpleNamespace(run_after=dt.datetime.now(dt.UTC), run_type="manual"),
}
operator.execute(context)
"""


def test_the_thread_that_reads_ahead_does_not_load_pandas(deals, tmp_path):
    """The thread that loads pandas and pyarrow lives as long as the process: else pyarrow 25.0.0 hangs."""
    rows = tmp_path / "rows.csv"
    rows.write_text("id,arr\noppo_0,7\n")
    command = [sys.executable, "-W", "ignore", "-c", LOADING, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = [line for line in done.stdout.splitlines() if line.startswith(("pandas ", "pyarrow "))]
    assert loaded
    assert [line for line in loaded if not line.endswith("True")] == []
    assert deals.audit.writes != []
