"""An hour-limited account: a task that waits occupies no worker slot, and writes, counts and reads each row once."""

from __future__ import annotations

import csv
import datetime as dt

import pandas as pd
import pytest
import requests
import sqlalchemy as sa

from airflow_provider_crm.database.schema import budgets, plan_reads, plan_rows, plans
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator

from .conftest import POSTGRESQL_WITH_LONG_PROOFS, Run

pytestmark = POSTGRESQL_WITH_LONG_PROOFS

LIMIT, ROWS = 10, 35
NOON = dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC)
HOUR = 3600


class Hours:
    """A task that is deferred from hour to hour until it ends."""

    def __init__(self, sandbox, ledger_conn_id, rejects, operator_class=UpdateOpportunityOperator, **arguments):
        self.sandbox, self.ledger_conn_id, self.operator_class = sandbox, ledger_conn_id, operator_class
        self.arguments = {"ledger_conn_id": ledger_conn_id, "rejects_path": str(rejects), **arguments}
        self.reports, self.run = [], Run()

    def operator(self):
        """Return a new object of the task, as Airflow makes one when it wakes it."""
        mapped = {} if self.operator_class is RevertOpportunityUpdatesOperator else {"id_column": "id"}
        defaults = {"task_id": "task", "crm_conn_id": "raze_default", "budget_share": 1.0, **mapped}
        return self.operator_class(**{**defaults, **self.arguments})

    def until_done(self):
        """Let an hour pass at each deferral."""
        self.run.of(self.operator().execute)
        while self.run.deferred is not None and len(self.reports) < 2 * ROWS:
            kwargs, self.run.deferred = self.run.deferred.kwargs, None
            self.reports.append(kwargs["report"])
            self.while_deferred()
            self.sandbox.clock.advance(HOUR)
            self.window_ends()
            self.run.of(lambda context, kwargs=kwargs: self.operator().resume(context, **kwargs, event=None))
        return self.run

    def while_deferred(self):
        """For a test to look at what there is while the task waits."""

    def window_ends(self):
        """The same time passes for the shared budget, which forgets what it knew of an hour ago."""
        database = ledger_database(self.ledger_conn_id)
        if database is not None:
            with database.engine.begin() as connection:
                connection.execute(sa.delete(budgets))
            database.engine.dispose()


@pytest.fixture
def account(crm_sandbox):
    """Raze with ten calls an hour and some opportunities."""
    for number in range(ROWS):
        crm_sandbox.raze.add_opportunity(f"opp_{number}")
    crm_sandbox.clock.set(NOON)
    crm_sandbox.set(raze_limit=LIMIT)
    return crm_sandbox


def data():
    """One row per opportunity, one of an unknown id and one that is refused before it is sent."""
    rows = [{"id": f"opp_{number}", "arr": number + 1} for number in range(ROWS)]
    return [*rows[:12], {"id": "opp_unknown", "arr": 1}, *rows[12:], {"id": "opp_bad", "arr": "x"}]


@pytest.mark.parametrize("with_ledger", [True, False], ids=["ledger", "no ledger"])
def test_a_run_over_some_hours(account, ledger_conn_id, tmp_path, with_ledger):
    """35 rows at ten calls an hour: some deferrals, each row written once, each outcome reported once, no refusal."""
    hours = Hours(
        account,
        ledger_conn_id if with_ledger else None,
        tmp_path / "rejects.csv",
        data=data(),
        fields={"arr": "deal_value"},
        max_rejected=2,
        warn_rejected=1,
    )
    run = hours.until_done()
    assert run.error is None
    assert run.report["warnings"] == ["2 of 37 rows did not land: more than warn_rejected=1, within max_rejected=2."]
    assert run.outcomes == {"updated": ROWS, "invalid": 1, "rejected": 1}
    assert len(hours.reports) >= ROWS // LIMIT
    written = [write.record_id for write in account.audit.writes]
    assert sorted(written) == sorted(f"opp_{number}" for number in range(ROWS))
    assert 429 not in {call.status for call in account.audit.calls}
    assert {record: str(account.raze.opportunity(record)["deal_value"]) for record in written} == {
        f"opp_{number}": f"{number + 1}.00" for number in range(ROWS)
    }
    with (tmp_path / "rejects.csv").open() as file:
        assert sorted(line["record_id"] for line in csv.DictReader(file)) == ["opp_bad", "opp_unknown"]


def test_a_deferred_task_with_a_ledger_carries_no_rows(account, ledger_conn_id, tmp_path):
    """The state at the triggerer does not grow with the rows: the ledger knows which of them landed."""
    hours = Hours(account, ledger_conn_id, tmp_path / "rejects.csv", data=data(), fields={"arr": "deal_value"})
    hours.run.of(hours.operator().execute)
    assert hours.run.deferred.kwargs["finished_rows"] == ""


@pytest.mark.parametrize("argument", ["changes_only", "retry_rejected"])
def test_rows_that_the_ledger_would_send_again_are_stored_with_the_deferred_task(
    account, ledger_conn_id, tmp_path, argument
):
    """With `changes_only=False` or `retry_rejected=True` a row is still sent once in a run."""
    wanted = {"changes_only": False} if argument == "changes_only" else {"retry_rejected": True}
    hours = Hours(
        account,
        ledger_conn_id,
        tmp_path / "rejects.csv",
        data=data(),
        fields={"arr": "deal_value"},
        max_rejected=2,
        **wanted,
    )
    run = hours.until_done()
    assert run.outcomes == {"updated": ROWS, "invalid": 1, "rejected": 1}
    assert account.audit.count(method="PUT") == ROWS + 1


@pytest.mark.parametrize("with_ledger", [True, False], ids=["ledger", "no ledger"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_rejects_file_is_whole_after_all_deferrals(account, ledger_conn_id, tmp_path, suffix, with_ledger):
    """Rejects from before, between and after the waits are in one readable file, each once, in every form."""
    path = tmp_path / f"rejects.{suffix}"
    bad = [{"id": f"opp_x{number}", "arr": "x"} for number in range(4)]
    rows = data()
    hours = Hours(
        account,
        ledger_conn_id if with_ledger else None,
        path,
        data=[bad[0], *rows[:15], bad[1], *rows[15:30], bad[2], *rows[30:], bad[3]],
        fields={"arr": "deal_value"},
        max_rejected=6,
    )
    assert hours.until_done().error is None
    assert len(hours.reports) >= 3
    wanted = ["opp_bad", "opp_unknown", *(row["id"] for row in bad)]
    assert sorted(read_rejects(path)) == sorted(wanted)


def read_rejects(path):
    """The record ids in a rejects file, whatever its form."""
    reader = {".csv": pd.read_csv, ".jsonl": lambda file: pd.read_json(file, lines=True), ".parquet": pd.read_parquet}
    return list(reader[path.suffix](path)["record_id"])


@pytest.fixture
def crowded(account):
    """The same behind many newer ones, so that the list takes more calls than the rows do."""
    account.clock.set(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    for number in range(100 * (ROWS + 2)):
        account.raze.add_opportunity(f"opp_other{number}", deal_value="1.00", status="new")
    account.clock.set(NOON)
    return account


class Plans(Hours):
    """A plan that is made in some hours; `visible` are the plans that existed in the meantime."""

    def __init__(self, sandbox, ledger_conn_id, stored, operator_class=PlanOpportunityUpdatesOperator, **arguments):
        super().__init__(sandbox, ledger_conn_id, "unused.csv", operator_class, **arguments)
        del self.arguments["rejects_path"]
        self.stored, self.visible = stored, []

    def while_deferred(self):
        """Look for plans."""
        self.visible += self.stored(plans)


def reads(sandbox):
    """The paths and parameters that were read."""
    return [(call.path, str(call.query)) for call in sandbox.audit.calls if call.method == "GET"]


def test_a_plan_over_some_hours(crowded, ledger_conn_id, stored):
    """35 records at ten calls an hour, read one by one: each once, no refusal, no plan before it is whole."""
    rows = [{"id": f"opp_{number}", "arr": number + 1} for number in range(ROWS)]
    hours = Plans(crowded, ledger_conn_id, stored, data=rows, fields={"arr": "deal_value"})
    run = hours.until_done()
    assert run.error is None
    assert run.report["counts"]["update"] == ROWS
    assert len(hours.reports) >= ROWS // LIMIT
    assert hours.visible == []
    assert len(reads(crowded)) == len(set(reads(crowded))) == ROWS + 1 == run.report["calls"]
    assert 429 not in {call.status for call in crowded.audit.calls}
    (plan,) = stored(plans)
    assert plan["digest"] == run.report["digest"]
    assert stored(plan_reads) == []


def test_a_plan_over_some_hours_of_pages(crowded, ledger_conn_id, stored):
    """Where the list is cheaper its pages are read once each as well, although they take hours."""
    rows = [{"id": f"opp_other{number}", "arr": 5} for number in range(0, 100 * (ROWS + 2), 20)]
    hours = Plans(crowded, ledger_conn_id, stored, data=rows, fields={"arr": "deal_value"})
    run = hours.until_done()
    assert run.error is None
    assert run.report["counts"]["update"] == len(rows)
    assert len(hours.reports) >= ROWS // LIMIT
    assert len(reads(crowded)) == len(set(reads(crowded))) <= ROWS + 3


def test_a_plan_of_values_that_may_not_be_stored_does_not_wait_for_ever(crowded, ledger_conn_id, stored, monkeypatch):
    """Reads of hashed fields are not kept: such a plan fails, and its retry starts over."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "email")
    rows = [{"id": f"opp_{number}", "mail": "jane@example.com"} for number in range(ROWS)]
    hours = Plans(crowded, ledger_conn_id, stored, data=rows, fields={"mail": "email"})
    run = hours.until_done()
    assert "rate limit is used up" in str(run.error)
    assert hours.reports == []
    assert stored(plan_reads) == []


@pytest.mark.parametrize("wanted", [3, 4], ids=["as it was", "another value"])
def test_what_was_written_while_a_plan_waited_is_seen(crowded, ledger_conn_id, stored, task, wanted):
    """A record that was read hours ago, and written from here since, is read again: it is no conflict, nor in place."""
    crowded.set(raze_limit=None)
    rows = [{"id": f"opp_{number}", "arr": 3} for number in range(ROWS)]
    first, second, third = (dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (1, 2, 3))
    mapped = {"crm_conn_id": "raze_default", "id_column": "id", "fields": {"arr": "deal_value"}}
    task(UpdateOpportunityOperator, data=rows[:1], task_id="write", as_of=first, **mapped)
    crowded.set(raze_limit=LIMIT)

    class ChangedDuringWait(Plans):
        def while_deferred(self):
            """Another run writes the record that was read first."""
            if len(self.reports) == 1:
                crowded.set(raze_limit=None)
                crowded.clock.advance(HOUR)
                self.window_ends()
                data = [{"id": "opp_0", "arr": 9}]
                end = task(UpdateOpportunityOperator, data=data, task_id="write", run_id="2", as_of=second, **mapped)
                assert end.outcomes == {"updated": 1}
                crowded.set(raze_limit=LIMIT)

    hours = ChangedDuringWait(crowded, ledger_conn_id, stored, data=rows, fields={"arr": "deal_value"}, concurrency=1)
    rows[0]["arr"] = wanted
    hours.run.context["data_interval_end"] = third
    run = hours.until_done()
    assert run.error is None
    assert run.report["counts"]["conflict"] == 0
    planned = {row["record_id"]: (row["verdict"], row["before"]) for row in stored(plan_rows)}
    assert planned["opp_0"] == ("update", "9")


def test_a_plan_begins_again_at_a_retry(crowded, ledger_conn_id, stored):
    """A new try reads the CRM as it is now."""
    rows = [{"id": f"opp_{number}", "arr": 1} for number in range(5)]
    hours = Plans(crowded, ledger_conn_id, stored, data=rows, fields={"arr": "deal_value"}, concurrency=1)
    crowded.set(raze_limit=3)
    hours.run.of(hours.operator().execute)
    assert {row["record_id"] for row in stored(plan_reads)} == {"", "opp_0", "opp_1"}
    crowded.raze.add_opportunity("opp_0", deal_value="77.00")
    crowded.set(raze_limit=None)
    crowded.clock.advance(HOUR)
    hours.window_ends()
    hours.run.deferred = None
    assert hours.run.of(hours.operator().execute).error is None
    assert "77.00" in hours.run.report["summary"]


@pytest.mark.parametrize("plan_only", [True, False])
def test_an_undo_over_some_hours(crowded, ledger_conn_id, stored, task, plan_only):
    """An undo reads each record once for its plan, however long it has to wait, and once more to apply it."""
    crowded.set(raze_limit=None)
    rows = [{"id": f"opp_{number}", "arr": number + 1} for number in range(ROWS)]
    fields = {"crm_conn_id": "raze_default", "id_column": "id", "fields": {"arr": "deal_value"}}
    task(UpdateOpportunityOperator, data=rows, task_id="write", capture_before=True, **fields)
    crowded.audit.clear()
    crowded.set(raze_limit=LIMIT)
    hours = Plans(
        crowded,
        ledger_conn_id,
        stored,
        RevertOpportunityUpdatesOperator,
        run_key="dag/write/run",
        plan_only=plan_only,
        concurrency=1,
    )
    run = hours.until_done()
    assert run.error is None
    assert len(hours.reports) >= ROWS // LIMIT
    assert len(stored(plans)) == 1
    planned = ROWS + 1
    # A record that was read when the budget ended is read again before it is written.
    applied = 0 if plan_only else ROWS + len(hours.reports)
    assert planned <= len(reads(crowded)) <= planned + applied
    assert crowded.audit.count(method="PUT") == (0 if plan_only else ROWS)


def test_a_budget_that_is_used_up_while_the_account_is_asked_about(account, ledger_conn_id, tmp_path):
    """If even the account's currency cannot be read now, the task waits without a worker slot; then it writes."""
    account.close.add_opportunity("oppo_0", value=100)
    account.set(close_limit=1, close_window=float(HOUR))
    requests.get(f"{account.url}/api/v1/me/", auth=(account.close.api_key, ""), timeout=10)  # another program
    hours = Hours(
        account,
        ledger_conn_id,
        tmp_path / "rejects.csv",
        crm_conn_id="close_default",
        data=[{"id": "oppo_0", "arr": 5}, {"id": "oppo_1", "arr": "x"}],
        fields={"arr": "deal_value"},
        max_rejected=1,
        guardrails=Guardrails(max_rows=2),
    )
    run = hours.until_done()
    assert run.error is None
    assert hours.reports[0].keys() == {"calls", "seconds", "budget"}
    assert hours.reports[0]["calls"] == 1
    assert [(group["group"], group["calls"]) for group in hours.reports[0]["budget"]["groups"]] == [("me read", 1)]
    assert run.outcomes == {"updated": 1, "invalid": 1}
    assert account.close.opportunity("oppo_0")["value"] == 500
    with (tmp_path / "rejects.csv").open() as file:
        assert [line["record_id"] for line in csv.DictReader(file)] == ["oppo_1"]


def test_guardrails_apply_after_a_wait_for_the_account(account, ledger_conn_id, tmp_path):
    """A task that had to wait before it knew its rows is still checked against its limits."""
    account.set(close_limit=1, close_window=float(HOUR))
    requests.get(f"{account.url}/api/v1/me/", auth=(account.close.api_key, ""), timeout=10)
    hours = Hours(
        account,
        ledger_conn_id,
        tmp_path / "rejects.csv",
        crm_conn_id="close_default",
        data=[{"id": "oppo_0", "arr": 5}, {"id": "oppo_1", "arr": 5}],
        fields={"arr": "deal_value"},
        guardrails=Guardrails(max_rows=1),
    )
    assert "max_rows: 2 rows, allowed are 1" in str(hours.until_done().error)
    assert len(hours.reports) == 1
    assert account.audit.writes == []
