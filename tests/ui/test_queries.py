"""What the pages read of the ledger, on both kinds of database."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import runs, schema_version
from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.plan.stored_plan import stored_plan
from airflow_provider_crm.queries import changes as changes_module
from airflow_provider_crm.queries.changes import RecordChanges, RunChanges, Search
from airflow_provider_crm.queries.database import LedgerReader, read_only
from airflow_provider_crm.queries.plans import PlanRows
from airflow_provider_crm.queries.run_filter import RunFilter
from airflow_provider_crm.queries.runs import Runs

from .conftest import CLOSE, NOW, RAZE

KEY = "sales/t/r"
DAGS = {"sales"}


def test_runs_come_newest_first_by_pages_and_accounts(log, reading):
    """A page of runs is in order of their beginning, of the reader's Dags, and of one account if that is asked for."""
    for number in range(5):
        account = CLOSE if number % 2 else RAZE
        log.run(f"sales/t/{number}", account=account, ago=dt.timedelta(hours=number), outcomes={"updated": number})
    log.run("other/t/0", outcomes={"updated": 1})
    found = Runs(reading, DAGS)
    assert [run.key.run_id for run in found.latest(limit=2, offset=1)] == ["1", "2"]
    assert [run.key.run_id for run in found.latest(limit=9, wanted=RunFilter(account=CLOSE))] == ["1", "3"]
    assert [(one.name, one.runs) for one in found.accounts()] == [(RAZE, 3), (CLOSE, 2)]
    since = found.alike(RunFilter(since=NOW - dt.timedelta(hours=2, minutes=1)))
    assert sorted((alike.account, alike.number, alike.counts.landed) for alike in since) == [
        (CLOSE, 1, 1),
        (RAZE, 1, 0),
        (RAZE, 1, 2),
    ]
    log.run("sales/t/5", account=RAZE, ago=dt.timedelta(hours=1), outcomes={"updated": 2})
    assert (RAZE, 2) in [
        (alike.account, alike.number) for alike in found.alike(RunFilter(since=NOW - dt.timedelta(hours=3)))
    ]


def test_the_runs_of_a_dag_run_are_distinguished_from_similar_ones(log, reading):
    """Neither a Dag run whose id ends alike nor one that differs in case is taken for it."""
    for key in ("sales/a/run", "sales/b[2]/run", "sales/a/x/run", "sales/a/RUN", "sales/a/r_n", "other/a/run"):
        log.run(key, outcomes={"updated": 1})
    assert {run.run_key for run in Runs(reading, DAGS).of_dag_run("sales", "run")} == {"sales/a/run", "sales/b[2]/run"}


def test_a_refused_row_is_one_row_with_all_its_fields(log, reading):
    """Fields that share record and reason are one row; rows without an id stay apart, as they are many."""
    for field in ("value", "note"):
        log.change(KEY, field=field, outcome="rejected", code="NO", reason="no")
    for _ in range(2):
        log.change(KEY, record_id="", field="", outcome="invalid", code="ID", reason="no id")
    found = RunChanges(reading, KEY, retried=False).refused(Search())
    assert [(row.record_id, row.fields) for row in found.rows] == [("", ()), ("", ()), ("oppo_1", ("note", "value"))]
    assert (found.total, found.capped) == (3, False)


def test_a_row_that_landed_at_a_later_try_is_not_refused(log, reading):
    """What failed and was written by a later try of the run is no reject; what failed again is one."""
    for record in ("oppo_1", "oppo_2"):
        log.change(KEY, record_id=record, outcome="failed", code="500", reason="down")
    log.change(KEY, record_id="oppo_1")
    log.change("sales/t/another", record_id="oppo_2")
    found = RunChanges(reading, KEY, retried=True)
    assert [row.record_id for row in found.refused(Search()).rows] == ["oppo_2"]
    assert [row.record_id for row in found.all_refused()] == ["oppo_2"]


@pytest.mark.parametrize("text", ["100%", "A_B", "MONEY", "oppo_7"])
def test_a_search_takes_its_text_as_it_stands(log, reading, text):
    """Wildcards are letters, and the case does not matter; id, code, reason and field are searched."""
    log.change(KEY, record_id="oppo_7", field="a_b", outcome="rejected", code="money", reason="100% no")
    log.change(KEY, record_id="oppo-8", field="axb", outcome="rejected", code="x", reason="100 no")
    found = RunChanges(reading, KEY, retried=False).refused(Search(text=text))
    assert [row.record_id for row in found.rows] == ["oppo_7"]


def test_refused_rows_are_sorted_and_paged(log, reading):
    """Every column sorts both ways, and pages follow each other without a gap."""
    for number, code in enumerate("cab"):
        log.change(KEY, record_id=f"oppo_{number}", outcome="rejected", code=code, reason="x")
    found = RunChanges(reading, KEY, retried=False)
    pages = [found.refused(Search(sort="code", descending=True, page=page, size=2)) for page in (1, 2)]
    assert [row.code for page in pages for row in page.rows] == ["c", "b", "a"]


def test_a_long_list_says_that_it_is_cut(log, reading, monkeypatch):
    """Beyond the bound rows are neither searched nor counted, the page knows it, and the file has all of them."""
    monkeypatch.setattr(changes_module, "SEARCHED", 3)
    for number in range(5):
        log.change(KEY, record_id=f"r{number}", outcome="rejected", code="x", reason="x")
        log.change(KEY, record_id=f"w{number}")
    found = RunChanges(reading, KEY, retried=False)
    assert [(page.total, page.capped) for page in (found.refused(Search()), found.written(Search()))] == [(3, True)] * 2
    assert len(list(found.all_refused())) == 5


def test_a_record_shows_its_history_backwards(log, reading):
    """The last change comes first, only of Dags that the reader may read, and so do its present values."""
    log.run(KEY)
    log.change(KEY, before="100", after="200")
    log.change("sales/t/later", after="300", outcome="stale", code="STALE", reason="older")
    log.change("other/t/r", after="400")
    log.state(KEY, value="200")
    log.state("other/t/r", field="note", value='"x"')
    found = RecordChanges(reading, DAGS, "oppo_1")
    assert [(row.outcome, row.before, row.after) for row in found.history(CLOSE, Search()).rows] == [
        ("stale", None, "300"),
        ("updated", "100", "200"),
    ]
    assert [(state.field, state.value) for state in found.states(CLOSE)] == [("value", "200")]
    assert found.accounts([CLOSE, RAZE]) == [CLOSE]


def test_a_plan_is_in_order_of_money(log, reading):
    """The largest change up or down comes first, then fields without money; sums are exact, hashes count nothing."""
    rows = [
        ("a", "note", "update", '"x"', '"y"'),
        ("b", "deal_value", "update", "0.1", "0.3"),
        ("c", "deal_value", "update", "1000.1", "null"),
        ("d", "deal_value", "conflict", None, "20.25"),
        ("e", "deal_value", "unchanged", "7", "7"),
        ("f", "deal_value", "update", "sha256:00", "sha256:11"),
    ]
    log.plan("p", KEY, rows, account=RAZE)
    plan = stored_plan(reading, "p")
    found = PlanRows(reading, plan, frozenset())
    shown = found.largest("changes", Search())
    assert [row.record_id for row in shown.rows] == ["c", "d", "b", "f", "a"]
    assert shown.total == 5
    money = found.money()
    assert (money.before, money.after, money.change) == (Decimal("1000.2"), Decimal("20.55"), Decimal("-979.65"))
    assert [row.record_id for row in found.largest("unchanged", Search()).rows] == ["e"]
    assert [row.record_id for row in found.largest("changes", Search(text="B")).rows] == ["b"]


def test_a_plan_of_hidden_money_shows_no_sum(log, reading):
    """A field that is named for hashing counts in no sum and no order."""
    log.plan("p", KEY, [("a", "value", "update", "1", "2")])
    assert PlanRows(reading, stored_plan(reading, "p"), frozenset({"value"})).money() is None
    assert stored_plan(reading, "q") is None


def test_the_pages_cannot_write(log, reading):
    """The connection that the pages use refuses every change, in both databases."""
    with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
        reading.execute(sa.delete(runs))


def test_a_ledger_that_is_not_there_is_not_made(tmp_path):
    """Looking for a SQLite ledger makes no file; the message says how to get one."""
    place = tmp_path / "none.db"
    with pytest.raises(ConfigurationError, match="There is no ledger yet"):
        read_only(Database(sa.create_engine(f"sqlite:///{place}")).engine)
    assert not place.exists()


def test_an_empty_or_newer_database_is_refused(tmp_path, database):
    """A database without the tables is no ledger, and one of a newer version is not guessed at."""
    empty = tmp_path / "empty.db"
    empty.touch()
    engine = read_only(sa.create_engine(f"sqlite:///{empty}"))
    with pytest.raises(ConfigurationError, match="no ledger yet"), LedgerReader(lambda: engine).connection():
        pass
    engine.dispose()
    with database.begin() as connection:
        connection.execute(sa.update(schema_version).values(version=99))
    with pytest.raises(ConfigurationError, match="version 99"), LedgerReader(lambda: database).connection():
        pass


def test_a_failing_database_is_reported_without_its_address():
    """The sentence for people contains nothing of the connection."""
    engine = sa.create_engine("postgresql://user:secret@127.0.0.1:1/none")
    with pytest.raises(TransientError) as caught, LedgerReader(lambda: engine).connection():
        pass
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
