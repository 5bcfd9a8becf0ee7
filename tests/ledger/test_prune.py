"""Pruning deletes what is old and not needed, in short transactions, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import (
    changes,
    field_states,
    metadata,
    plan_reads,
    plan_rows,
    plans,
    rejects,
    runs,
    tries,
)
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.ledger.fences import RUN_KEY
from airflow_provider_crm.ledger.prunable import Pruned, count_prunable
from airflow_provider_crm.ledger.prune import prune
from airflow_provider_crm.plan.store import PlanStore

NOW = dt.datetime.now(dt.UTC)
ACCOUNT = "close:test:orga"
KEEP = 30
DAY = dt.timedelta(days=1)


def ago(days):
    """A moment so many days ago."""
    return NOW - days * DAY


class Seed:
    """Writes rows into the ledger, each so many days old."""

    def __init__(self, database):
        self.database = database

    def add(self, table, **values):
        """Insert one row."""
        with self.database.transaction() as connection:
            connection.execute(sa.insert(table), values)

    def run(self, key, *days, records=("oppo_1",), account=ACCOUNT, ended=True):
        """A run that wrote a value of each record on each of these days, and ended on the last of them."""
        self.add(
            runs,
            run_key=key,
            account=account,
            tries=1,
            started_at=ago(days[0]),
            finished_at=ago(days[-1]) if ended else None,
            report='{"rows": 1}',
        )
        self.add(tries, run_key=key, account=account, try_number=1, started_at=ago(days[0]), report="{}")
        for day in days:
            for record in records:
                self.line(key, record, day, account=account)

    def line(self, key, record, day, *, account=ACCOUNT, outcome="updated"):
        """A line of the change log."""
        what = {"record_id": record, "field": "value", "before": "1", "before_known": True, "after": str(day)}
        why = {"outcome": outcome, "code": "", "reason": "", "at": ago(day)}
        self.add(changes, run_key=key, account=account, **what, **why)

    def plan(self, plan_id, *, run_key, applied=None, reverts=None, rows=3):
        """A plan with some rows; `applied` so many days ago."""
        names = {"plan_id": plan_id, "account": ACCOUNT, "run_key": run_key, "reverts": reverts, "digest": "d"}
        applied_at = None if applied is None else ago(applied)
        self.add(plans, **names, rows=rows, counts="{}", created_at=ago(90), applied_at=applied_at)
        for number in range(rows):
            row = {"plan_id": plan_id, "row_number": number, "field": "value", "record_id": f"oppo_{number}"}
            self.add(plan_rows, **row, verdict="update", code="", reason="")

    def refusal(self, record, day):
        """A refusal that rests."""
        what = {"account": ACCOUNT, "record_id": record, "fingerprint": "f", "outcome": "rejected"}
        moments = {"first_at": ago(day), "last_at": ago(day)}
        self.add(rejects, **what, code="", reason="", rests=True, attempts=1, **moments)


@pytest.fixture
def database(engine):
    """The database of an empty ledger."""
    return Database(engine)


@pytest.fixture
def seed(database):
    """Write rows into it."""
    return Seed(database)


def rows(database, *tables):
    """All rows of some tables."""
    with database.transaction() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in tables or metadata.sorted_tables
        }


def left(database, column):
    """What is left of a column, sorted."""
    with database.transaction() as connection:
        return sorted(connection.execute(sa.select(column)).scalars())


def pruned(database, keep_days=KEEP, **more):
    """Prune without waiting; return the numbers that are not 0."""
    done = prune(database, keep_days=keep_days, clock=Clock(sleep=lambda _: None), **more)
    return {name: number for name, number in asdict(done).items() if number}


def test_changes_and_tries_of_old_runs_go(database, seed):
    """A run of last week keeps all; an old run keeps its row and its report, which say when it was pruned."""
    seed.run("dag/old/1", 60, records=("oppo_1", "oppo_2"))
    seed.run("dag/new/1", 7)
    assert pruned(database) == {"runs": 1, "changes": 2, "tries": 1}
    assert left(database, changes.c.run_key) == left(database, tries.c.run_key) == ["dag/new/1"]
    with database.transaction() as connection:
        found = connection.execute(sa.select(runs.c.run_key, runs.c.report, runs.c.pruned_at.is_not(None)))
        assert sorted(map(tuple, found)) == [("dag/new/1", '{"rows": 1}', False), ("dag/old/1", '{"rows": 1}', True)]
    assert pruned(database) == {}


def test_a_run_goes_as_a_whole_or_not_at_all(database, seed):
    """A run with a line within the window keeps its older lines, too: else its undo would restore a part."""
    seed.run("dag/long/1", 45, 31, 29)
    store = PlanStore(database)
    before = list(store.written("dag/long/1", ACCOUNT))
    assert pruned(database) == {}
    assert list(store.written("dag/long/1", ACCOUNT)) == before
    assert len(before[0].fields[0].values) == 3


def test_an_undo_of_a_pruned_run_is_refused(database, seed):
    """It would find nothing to restore, and end as if all were well."""
    seed.run("dag/old/1", 60)
    pruned(database)
    with pytest.raises(
        ConfigurationError, match=r"changes of run 'dag/old/1' were pruned on 20\d\d-.* cannot be undone"
    ):
        list(PlanStore(database).written("dag/old/1", ACCOUNT))


def test_field_states_stay_whatever_their_age(database, seed):
    """What the CRM holds is known for ever, also where the lines about it are gone."""
    seed.run("dag/old/1", 60)
    seed.add(field_states, account=ACCOUNT, record_id="oppo_1", field="value", value="60", known=True, as_of=ago(60))
    before = rows(database, field_states)
    pruned(database)
    assert rows(database, field_states) == before


def test_a_run_without_an_end_goes_when_it_has_been_silent(database, seed):
    """A killed run is pruned like one that ended; one that waits and has written lately is not."""
    seed.run("dag/killed/1", 60, ended=False)
    seed.run("dag/waits/1", 60, 2, ended=False)
    assert pruned(database) == {"runs": 1, "changes": 1, "tries": 1}
    assert set(left(database, changes.c.run_key)) == {"dag/waits/1"}


def test_a_run_that_was_cleared_since_keeps_its_new_lines(database, seed):
    """A pruned run that runs again is marked still, so that no undo takes its new part for the whole."""
    seed.run("dag/old/1", 60)
    pruned(database)
    with database.transaction() as connection:
        connection.execute(sa.update(runs).values(finished_at=None, tries=2))
    seed.line("dag/old/1", "oppo_1", 0)
    assert pruned(database) == {}
    assert left(database, changes.c.after) == ["0"]
    with pytest.raises(ConfigurationError, match="were pruned"):
        list(PlanStore(database).written("dag/old/1", ACCOUNT))


def test_open_plans_and_the_runs_that_they_name_stay(database, seed):
    """A plan that waits for an approval is never touched, nor are the runs that it names."""
    for key in ("dag/made/1", "dag/undone/1", "dag/other/1"):
        seed.run(key, 60)
    seed.plan("open", run_key="dag/made/1", reverts="dag/undone/1")
    before = rows(database, plans, plan_rows)
    assert pruned(database) == {"runs": 1, "changes": 1, "tries": 1}
    assert rows(database, plans, plan_rows) == before
    assert left(database, changes.c.run_key) == ["dag/made/1", "dag/undone/1"]


def test_rows_of_plans_that_were_applied_go(database, seed):
    """The plan stays, with its digest and counts; one that was applied last week has its rows still."""
    seed.plan("old", run_key="dag/plan/1", applied=60)
    seed.plan("new", run_key="dag/plan/2", applied=7)
    assert pruned(database, batch_rows=2) == {"plan_rows": 3}
    assert left(database, plan_rows.c.plan_id) == ["new"] * 3
    assert left(database, plans.c.plan_id) == ["new", "old"]


def test_reads_of_plans_that_were_never_completed_go_after_a_week(database, seed):
    """Also where changes are kept for a day only: a plan that waits for the day's limit uses what it has read."""
    for days in (3, 9):
        seed.add(plan_reads, run_key="dag/plan/1", account=ACCOUNT, record_id=str(days), record="{}", read_at=ago(days))
    assert pruned(database, keep_days=1) == {"plan_reads": 1}
    assert left(database, plan_reads.c.record_id) == ["3"]


def test_a_refusal_goes_when_no_run_has_had_the_row_since(database, seed):
    """A row that rests is logged by each run that has it: such a refusal stays, however old it is."""
    for record, days in (("rests", 60), ("gone", 60), ("late", 7)):
        seed.refusal(record, days)
    seed.run("dag/new/1", 7, records=())
    seed.line("dag/new/1", "rests", 7, outcome="rejected")
    assert pruned(database) == {"rejects": 1}
    assert left(database, rejects.c.record_id) == ["late", "rests"]


def test_lines_of_commands_go_by_their_own_age(database, seed):
    """What a user cleared by hand belongs to no run."""
    for days in (60, 7):
        seed.line(RUN_KEY, "oppo_1", days, outcome="fence_cleared")
    assert pruned(database) == {"changes": 1}
    assert left(database, changes.c.after) == ["7"]


def test_runs_of_one_name_in_two_accounts_are_two(database, seed):
    """The old one goes, the other one stays."""
    seed.run("dag/task/1", 60)
    seed.run("dag/task/1", 7, account="close:test:other")
    assert pruned(database) == {"runs": 1, "changes": 1, "tries": 1}
    assert left(database, changes.c.account) == ["close:test:other"]


@pytest.fixture
def many(seed):
    """Runs, plans, refusals and reads of all kinds."""
    for number in range(5):
        seed.run(f"dag/old/{number}", 60, records=[f"oppo_{record}" for record in range(number)])
        seed.run(f"dag/new/{number}", 7)
        seed.refusal(f"gone_{number}", 60)
    seed.plan("old", run_key="dag/plan/1", applied=60)
    seed.plan("open", run_key="dag/plan/2")
    seed.line(RUN_KEY, "oppo_1", 60, outcome="fence_cleared")
    seed.add(plan_reads, run_key="dag/plan/1", account=ACCOUNT, record_id="1", record="{}", read_at=ago(60))


EXPECTED = Pruned(runs=5, changes=11, tries=5, plan_rows=3, plan_reads=1, rejects=5)


def test_a_dry_run_counts_what_goes_and_changes_nothing(database, many):
    """The numbers are those that pruning then has; no table differs before."""
    before = rows(database)
    assert count_prunable(database, keep_days=KEEP) == EXPECTED
    assert rows(database) == before
    assert prune(database, keep_days=KEEP, clock=Clock(sleep=lambda _: None)) == EXPECTED
    assert count_prunable(database, keep_days=KEEP) == Pruned()


def test_a_dry_run_waits_for_no_writer(database, many):
    """Counting takes seconds in a large ledger: it only reads, so that neither side waits for the other."""
    counted = []

    def count(connection, *_):
        if not counted:
            counted.append(True)

    if database.dialect.is_file:
        reading = Database(sa.create_engine(database.engine.url))
        event.listen(reading.engine, "begin", count)
        count_prunable(reading, keep_days=KEEP)
        assert len(counted) == 1, "one transaction asks for the time; counting begins none"
        reading.close()


def test_each_transaction_deletes_a_batch_at_most(database, many):
    """Others write between any two of them, and find the whole file free for a moment."""
    deleted, slept = [], []
    event.listen(database.engine, "after_cursor_execute", lambda *args: deleted.append((args[2], args[1].rowcount)))
    prune(database, keep_days=KEEP, clock=Clock(sleep=slept.append), batch_rows=2)
    numbers = [number for statement, number in deleted if statement.startswith("DELETE FROM crm_changes")]
    assert (sum(numbers), max(numbers)) == (11, 2)
    assert (len(slept) >= len(numbers), min(slept, default=1) > 0.1) == (database.dialect.is_file, True)


class SlowClock:
    """A clock by which each transaction takes some time."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.read = 0.0

    def monotonic(self):
        """Return the time: the given seconds later at each call."""
        self.read += self.seconds
        return self.read


def sizes(database, seconds):
    """The sizes of the batches of a run with 3,000 changes, where each transaction takes so many seconds."""
    statement = (
        "INSERT INTO crm_changes (run_key, account, record_id, field, before_known, outcome, code, reason, at) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "SELECT run_key, account, CAST(i AS TEXT), 'value', before_known, outcome, code, reason, at "
        "FROM crm_changes, n"
    )
    Seed(database).run("dag/old/1", 60)
    with database.transaction() as connection:
        connection.execute(sa.text(statement))
    deleted = []
    event.listen(database.engine, "after_cursor_execute", lambda *args: deleted.append((args[2], args[1].rowcount)))
    clock = SlowClock(seconds)
    prune(database, keep_days=KEEP, clock=Clock(sleep=lambda _: None, monotonic=clock.monotonic))
    return [number for statement, number in deleted if statement.startswith("DELETE FROM crm_changes")][:-1]


def test_batches_shrink_while_transactions_take_long(database):
    """On a slow disk nobody waits for longer, so the batches are smaller."""
    found = sizes(database, 0.2)
    assert found[:4] == [500, 250, 125, 100]
    assert set(found[4:-1]) == {100}


def test_batches_grow_while_transactions_are_quick(database):
    """On a quick disk they double."""
    assert sizes(database, 0.01)[:3] == [500, 1000, 1501]


@pytest.mark.parametrize("arguments", [{"keep_days": 0}, {"keep_days": KEEP, "batch_rows": 0}], ids=Counter)
def test_numbers_below_one_are_refused(database, seed, arguments):
    """A slip of the pen does not empty the log."""
    seed.run("dag/old/1", 60)
    with pytest.raises(ConfigurationError, match=r"1 (day|row) or more, not .*Nothing was deleted"):
        prune(database, clock=Clock(), **arguments)
    assert len(left(database, changes.c.id)) == 1
