"""Pruning from a Dag and from the command line: what was written long ago goes, and a younger run is undone as ever."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.database.schema import changes, runs
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.ledger import PruneLedgerOperator
from airflow_provider_crm.operators.plan import RevertOpportunityUpdatesOperator

from .conftest import Impatient

NOTHING = dict.fromkeys(("runs", "changes", "tries", "plan_rows", "plan_reads", "rejects"), 0)
ARGUMENTS = {"id_column": "id", "fields": {"arr": "deal_value"}, "capture_before": True}


@pytest.fixture
def old_and_new(deals, task, ledger_conn_id):
    """Two runs that wrote two deals each; the first one did so forty days ago."""
    for run_id, arr in (("old", 5), ("new", 7)):
        rows = [{"id": f"oppo_{number}", "arr": arr} for number in range(2)]
        assert task(Impatient, data=rows, run_id=run_id, **ARGUMENTS).outcomes == {"updated": 2}
        if run_id == "old":
            moment = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
            database = ledger_database(ledger_conn_id)
            with database.transaction() as connection:
                connection.execute(sa.update(runs).values(started_at=moment, finished_at=moment))
                connection.execute(sa.update(changes).values(at=moment))
            database.close()
    return deals


@pytest.fixture
def prune(ledger_conn_id):
    """Run the operator; returns the result of the task."""

    def run(keep_days=None):
        return PruneLedgerOperator(task_id="prune", keep_days=keep_days, ledger_conn_id=ledger_conn_id).execute({})

    return run


def test_a_run_within_the_window_is_undone_after_the_prune(old_and_new, prune, task):
    """The old run's lines are gone, and its undo is refused by name; the new one's undo puts back its values before."""
    assert prune(30) == {**NOTHING, "runs": 1, "changes": 2}
    refused = task(RevertOpportunityUpdatesOperator, task_id="undo", run_key="dag/task/old")
    assert isinstance(refused.error, AirflowFailException)
    assert "The changes of run 'dag/task/old' were pruned on" in str(refused.error)
    undone = task(RevertOpportunityUpdatesOperator, task_id="undo", run_id="2", run_key="dag/task/new")
    assert (undone.error, undone.outcomes) == (None, {"updated": 2})
    assert [old_and_new.close.opportunity(f"oppo_{number}")["value"] for number in range(2)] == [500, 500]


def test_a_pruned_value_is_unchanged_still(old_and_new, prune, task):
    """The ledger knows what the CRM holds: the same rows once more cost no call."""
    prune(30)
    rows = [{"id": f"oppo_{number}", "arr": 7} for number in range(2)]
    assert task(Impatient, data=rows, run_id="again", **ARGUMENTS).outcomes == {"unchanged": 2}


def test_without_a_setting_all_is_kept(old_and_new, prune, monkeypatch):
    """By default the task deletes nothing; `[crm] keep_changes_days` is what it keeps to."""
    assert prune() == NOTHING
    monkeypatch.setenv("AIRFLOW__CRM__KEEP_CHANGES_DAYS", "30")
    assert prune()["changes"] == 2


@pytest.mark.parametrize(
    ("days", "setting", "message"),
    [
        ("many", "", "keep_days is 'many'; pass a whole number of days, 1 or more"),
        (0, "", "kept for 1 day or more, not for 0"),
        (None, "1.5", r"\[crm\] keep_changes_days is '1.5'; set it to a whole number of days"),
    ],
)
def test_wrong_days_fail_without_a_retry(prune, monkeypatch, days, setting, message):
    """A slip of the pen deletes nothing, and no retry of the task mends it."""
    monkeypatch.setenv("AIRFLOW__CRM__KEEP_CHANGES_DAYS", setting)
    with pytest.raises(AirflowFailException, match=f"{message}.*Nothing was deleted"):
        prune(days)


def test_the_command_counts_first_and_then_deletes(old_and_new, crm_command, stored):
    """A dry run prints what would go; the command prints the same numbers once it is gone."""
    numbers = (
        "2 changes and 0 tries of 1 runs, 0 rows of applied plans, 0 reads of plans that were never completed, and 0 "
        "refusals of rows that no run has had since; all of it older than 30 days.\n"
    )
    assert crm_command("prune", "--older-than-days", "30", "--dry-run") == f"Would delete {numbers}"
    assert len(stored(changes)) == 4
    assert crm_command("prune", "--older-than-days", "30", "--batch-rows", "1") == f"Deleted {numbers}"
    assert {line["run_key"] for line in stored(changes)} == {"dag/task/new"}


def test_the_command_needs_days(old_and_new, crm_command, monkeypatch, stored):
    """Without a setting it says what to pass, and exits; it follows the setting where there is one."""
    assert crm_command("prune").startswith("[crm] keep_changes_days is empty, so that the ledger keeps all changes.")
    assert len(stored(changes)) == 4
    monkeypatch.setenv("AIRFLOW__CRM__KEEP_CHANGES_DAYS", "30")
    assert crm_command("prune", "--dry-run").startswith("Would delete 2 changes")
