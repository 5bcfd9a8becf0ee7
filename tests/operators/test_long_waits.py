"""An hour-limited account: the task holds no worker slot while it waits, and every row is written and counted once."""

from __future__ import annotations

import csv
import datetime as dt

import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_provider_crm.hooks.ledger import ledger_engine
from airflow_provider_crm.ledger_schema import budgets
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import Run

LIMIT, ROWS = 10, 35
NOON = dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC)
HOUR = 3600


class Hours:
    """A task that is deferred from hour to hour until it ends."""

    def __init__(self, sandbox, ledger_conn_id, rejects, **arguments):
        self.sandbox, self.ledger_conn_id = sandbox, ledger_conn_id
        self.arguments = {"ledger_conn_id": ledger_conn_id, "rejects_path": str(rejects), **arguments}
        self.reports, self.run = [], Run()

    def operator(self):
        """The task, made anew as Airflow does when it wakes it."""
        return UpdateOpportunityOperator(
            task_id="task", crm_conn_id="raze_default", id_column="id", budget_share=1.0, **self.arguments
        )

    def until_done(self):
        """Let an hour pass at each deferral."""
        self.run.of(self.operator().execute)
        while self.run.deferred is not None and len(self.reports) < 2 * ROWS:
            kwargs, self.run.deferred = self.run.deferred.kwargs, None
            self.reports.append(kwargs["report"])
            self.sandbox.clock.advance(HOUR)
            self.window_ends()
            self.run.of(lambda context, kwargs=kwargs: self.operator().resume(context, **kwargs, event=None))
        return self.run

    def window_ends(self):
        """The same time passes for the shared budget."""
        engine = ledger_engine(self.ledger_conn_id)
        if engine is not None:
            with engine.begin() as connection:
                connection.execute(sa.update(budgets).values(ends_at=dt.datetime.now(dt.UTC)))
            engine.dispose()


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
    """35 rows at ten calls an hour: some deferrals, each row written once, each outcome told once, no refusal."""
    hours = Hours(
        account,
        ledger_conn_id if with_ledger else None,
        tmp_path / "rejects.csv",
        data=data(),
        fields={"arr": "deal_value"},
        max_rejected=2,
    )
    run = hours.until_done()
    assert run.error is None
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
    """What the triggerer keeps does not grow with the rows: the ledger knows what landed."""
    hours = Hours(account, ledger_conn_id, tmp_path / "rejects.csv", data=data(), fields={"arr": "deal_value"})
    hours.run.of(hours.operator().execute)
    assert hours.run.deferred.kwargs["settled"] == ""


@pytest.mark.parametrize("argument", ["changes_only", "retry_rejected"])
def test_what_the_ledger_would_not_hold_back_is_carried_along(account, ledger_conn_id, tmp_path, argument):
    """With `changes_only=False` or `retry_rejected=True` a row is sent once in a run all the same."""
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
