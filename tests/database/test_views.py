"""The views keep what they promise: columns, types and meaning, on SQLite and PostgreSQL, also in a migrated ledger."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import changes, runs
from airflow_provider_crm.database.views import FAILED, WORDS, metadata
from airflow_provider_crm.values.opportunity import FAILURES

TEXT, TIME, INT, LONG, BOOL = "text", "timestamp with time zone", "integer", "bigint", "boolean"
PROMISED = {
    "crm_runs_v1": {
        "run_key": TEXT,
        "dag_id": TEXT,
        "task_id": TEXT,
        "account": TEXT,
        "as_of": TIME,
        "tries": INT,
        "started_at": TIME,
        "finished_at": TIME,
        "rows": INT,
        "updated": INT,
        "unchanged": INT,
        "stale": INT,
        "skipped": INT,
        "invalid": INT,
        "rejected": INT,
        "ignored": INT,
        "failed": INT,
        "unknown": INT,
        "not_sent": INT,
        "calls": INT,
        "ended_early": TEXT,
    },
    "crm_refused_v1": {
        "run_key": TEXT,
        "dag_id": TEXT,
        "account": TEXT,
        "record_id": TEXT,
        "outcome": TEXT,
        "code": TEXT,
        "reason": TEXT,
        "fields": TEXT,
        "at": TIME,
        "source": TEXT,
    },
    "crm_changes_v1": {
        "id": LONG,
        "at": TIME,
        "run_key": TEXT,
        "dag_id": TEXT,
        "account": TEXT,
        "record_id": TEXT,
        "field": TEXT,
        "before": TEXT,
        "before_known": BOOL,
        "after": TEXT,
        "outcome": TEXT,
        "code": TEXT,
        "reason": TEXT,
        "source": TEXT,
    },
}
"""What dashboards rely on. Columns may be added at the end; nothing here may be changed."""
IN_SQLITE = {TEXT: "text", TIME: "text", INT: "integer", LONG: "integer", BOOL: "integer"}
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ACCOUNT = "acme:api.acme.test:orga"
REPORT = {"rows": 5, "calls": 4, "outcomes": {"updated": 2, "rejected": 3}, "ended_early": "stopped"}


def run(key="dag/task[3]/manual__1", **more):
    """A run of the account."""
    return {"run_key": key, "account": ACCOUNT, "as_of": NOON, "tries": 1, "started_at": NOON, **more}


def line(record_id="1", field="value", outcome="updated", run_key="dag/task[3]/manual__1", **more):
    """A line of the change log."""
    cause = {"code": "", "reason": ""} if outcome == "updated" else {"code": "BAD", "reason": "It is bad."}
    values = {"before": None, "before_known": False, "after": "1", "at": NOON, **cause, **more}
    key = {"run_key": run_key, "account": ACCOUNT, "record_id": record_id, "field": field, "outcome": outcome}
    return {**key, **values}


@pytest.fixture
def filled(any_database):
    """Fill a new ledger with runs and lines; returns a function that queries it."""
    database = Database(sa.create_engine(any_database))
    database.open()

    def fill(all_runs=(), lines=()):
        with database.transaction() as connection:
            for one in all_runs:
                connection.execute(sa.insert(runs), one)
            for one in lines:
                connection.execute(sa.insert(changes), one)

    def query(text):
        with database.transaction() as connection:
            return [tuple(row) for row in connection.execute(sa.text(text))]

    yield fill, query, database
    database.close()


def test_columns_and_types_are_those_promised(filled):
    """PostgreSQL has them in its catalogue; SQLite stores no types of views, so the values have them."""
    fill, query, database = filled
    report = json.dumps(REPORT)
    lines = [line(before="0", before_known=True, source="{}"), line("2", outcome="rejected", source="{}")]
    fill([run(finished_at=NOON, report=report)], lines)
    for name, columns in PROMISED.items():
        stored = sa.inspect(database.engine).get_columns(name)
        assert [column["name"] for column in stored][: len(columns)] == list(columns)
        if database.engine.dialect.name == "sqlite":
            typeof = ", ".join(f"typeof({column})" for column in columns)
            (found,) = query(f"SELECT {typeof} FROM {name} LIMIT 1")
            assert found == tuple(IN_SQLITE[kind] for kind in columns.values())
        else:
            text = f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{name}'"
            assert {column: kind for column, kind in query(text) if column in columns} == columns


@pytest.mark.parametrize("view", metadata.sorted_tables, ids=str)
def test_each_view_and_column_has_a_comment(view):
    """The manual shows them, so that no column needs a guess."""
    assert view.comment.endswith(".")
    assert [column.name for column in view.columns if not (column.comment or "").endswith(".")] == []
    assert list(PROMISED[view.name]) == [column.name for column in view.columns][: len(PROMISED[view.name])]


def test_postgresql_stores_the_comments(empty_database):
    """A dashboard tool on PostgreSQL shows what a column means."""
    engine = sa.create_engine(empty_database)
    Database(engine).open()
    for view in metadata.sorted_tables:
        stored = {column["name"]: column["comment"] for column in sa.inspect(engine).get_columns(view.name)}
        assert stored == {column.name: column.comment for column in view.columns}
    engine.dispose()


def test_the_failures_are_those_of_the_package():
    """A new outcome needs a decision about the views."""
    assert set(FAILED) == {word.value for word in FAILURES}


def test_a_run_has_its_dag_its_task_and_its_counts(filled):
    """Words that the report leaves out count as none; a run that goes on has no rows yet."""
    fill, query, _ = filled
    fill([run(finished_at=NOON, report=json.dumps(REPORT)), run("dag/task/2")])
    counted = ", ".join(WORDS)
    found = query(f"SELECT task_id, rows, calls, ended_early, {counted} FROM crm_runs_v1 ORDER BY task_id")
    assert found[0] == ("task", None, None, None, *[0] * len(WORDS))
    assert found[1] == ("task[3]", 5, 4, "stopped", 2, 0, 0, 0, 0, 3, 0, 0, 0, 0)
    assert query("SELECT DISTINCT dag_id FROM crm_runs_v1") == [("dag",)]


def test_a_refused_row_is_one_row(filled):
    """Its fields share it; it is gone when a later try of the run has landed it, and counts once if refused again."""
    fill, query, _ = filled
    lines = [
        *(line("1", field, "rejected") for field in ("b", "a")),
        line("2", "a", "failed"),
        line("2", "a", "failed"),
        line("3", "a", "rejected"),
        line("3", "a"),
        *(line("", "", "invalid", after=None) for _ in range(2)),
        line("4", "a", "rejected", "dag/other/1"),
        line("4", "a", "updated", "dag/later/1"),
    ]
    fill(lines=lines)
    found = query("SELECT record_id, outcome, fields FROM crm_refused_v1 ORDER BY record_id, run_key")
    found = [(record_id, outcome, ",".join(sorted(fields.split(",")))) for record_id, outcome, fields in found]
    assert found == [
        *[("", "invalid", "")] * 2,
        ("1", "rejected", "a,b"),
        ("2", "failed", "a"),
        ("4", "rejected", "a"),
    ]


def test_a_change_has_the_value_before_where_it_is_known(filled):
    """Null is "not known", and `null` in JSON is a field that was empty; a command's line has no Dag."""
    fill, query, _ = filled
    empty = line("1", before="null", before_known=True)
    fill(lines=[empty, line("2"), line("3", run_key="airflow crm clear-fence", outcome="fence_cleared")])
    assert query("SELECT dag_id, record_id, before FROM crm_changes_v1 ORDER BY id") == [
        ("dag", "1", "null"),
        ("dag", "2", None),
        (None, "3", None),
    ]


def test_a_migrated_ledger_has_the_views(any_database):
    """The first process of this version creates them, and a second migration replaces them."""
    from . import version_1

    engine = sa.create_engine(any_database)
    version_1.fill(engine)
    Database(engine).open()
    with engine.connect() as connection:
        for name in PROMISED:
            assert connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one() > 0
    engine.dispose()
