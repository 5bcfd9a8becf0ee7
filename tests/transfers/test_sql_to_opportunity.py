"""`SqlToOpportunityOperator`: from a real warehouse into the sandbox, every type as the database has it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

AS_OF = dt.datetime.now(dt.UTC)


@pytest.fixture
def transfer(crm_sandbox):
    """Run the operator on a query; returns what is in XCom."""

    def run(sql, fields, **arguments):
        pushed = {}

        def push(key, value):
            pushed[key] = value

        context = {
            "ti": SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, xcom_push=push),
            "data_interval_end": AS_OF,
            "outlet_events": OutletEventAccessors(),
            "dag_run": SimpleNamespace(run_after=AS_OF, run_type="scheduled"),
        }
        defaults = {"sql_conn_id": "warehouse", "crm_conn_id": "close_default", "id_column": "id"}
        operator = SqlToOpportunityOperator(task_id="t", sql=sql, fields=fields, **{**defaults, **arguments})
        try:
            return operator.execute(context)
        except AirflowFailException as error:
            return pushed.get("return_value") or str(error)

    return run


def test_postgres_types_arrive_exactly(warehouse, crm_sandbox, transfer):
    """Numeric, bigint beside null, date, timestamptz, real and arrays reach the CRM as they are in the database."""
    for number in (1, 2):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", confidence=50)
    report = transfer(
        """
        SELECT * FROM (VALUES
          ('oppo_1', 1234567890123.45::numeric(20,2), 73::bigint, timestamptz '2026-11-02 04:30+00',
           ARRAY['Core','Support'], 0.1::real, date '2027-01-31', 'x'::text),
          ('oppo_2', NULL, NULL, NULL, NULL, NULL, NULL, NULL)
        ) AS t
          (id, arr, confidence, won, products, score, renewal, note)
        """,
        {
            "arr": "deal_value",
            "confidence": "confidence",
            "won": "date_won",
            "products": "custom.cf_products",
            "score": "custom.cf_score",
            "renewal": "custom.cf_renewal_date",
            "note": "notes",
        },
        timezone="America/New_York",
    )
    assert report["outcomes"] == {"updated": 1, "unchanged": 1}
    assert [write.fields for write in crm_sandbox.audit.writes] == [
        {
            "value": 123456789012345,
            "confidence": 73,
            "date_won": "2026-11-01",
            "custom.cf_products": ["Core", "Support"],
            "custom.cf_score": Decimal("0.1"),
            "custom.cf_renewal_date": "2027-01-31",
            "note": "x",
        }
    ]


def test_sqlite_text_is_exact_money(sqlite_warehouse, crm_sandbox, transfer):
    """SQLite has no decimals; money kept as text arrives to the cent, and whole-number ids beside a null stay whole."""
    sqlite_warehouse("CREATE TABLE deals (id INTEGER, arr TEXT); INSERT INTO deals VALUES (7, '1250.10'), (NULL, '1')")
    crm_sandbox.close.add_opportunity("7")
    report = transfer("SELECT id, arr FROM deals", {"arr": "deal_value"})
    assert report["outcomes"] == {"updated": 1, "invalid": 1}
    assert crm_sandbox.close.opportunity("7")["value"] == 125010


def test_a_query_is_read_by_chunks(sqlite_warehouse, crm_sandbox, transfer):
    """Rows beyond the first chunk are written too, and a double in a later chunk is noticed."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT, arr TEXT)")
    for number in range(25):
        crm_sandbox.close.add_opportunity(f"oppo_{number}")
        sqlite_warehouse(f"INSERT INTO deals VALUES ('oppo_{number}', '{number}.00')")
    sqlite_warehouse("INSERT INTO deals VALUES ('oppo_3', '99.00')")
    report = transfer("SELECT id, arr FROM deals", {"arr": "deal_value"}, chunk_rows=10)
    assert report["outcomes"] == {"updated": 25, "invalid": 1}
    assert crm_sandbox.close.opportunity("oppo_24")["value"] == 2400


def test_a_warehouse_in_sqlite_is_not_locked_while_it_is_read(sqlite_warehouse, tmp_path):
    """Between two chunks anybody may write to it: the query has no part in the ledger's write locks."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT); INSERT INTO deals VALUES ('a'), ('b'), ('c')")
    operator = SqlToOpportunityOperator(
        task_id="t",
        sql="SELECT id FROM deals",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="id",
        fields={"id": "notes"},
        chunk_rows=1,
        ledger_conn_id=None,
    )
    frames = operator.frames({})
    next(frames)
    with closing(sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(list(frames)) == 2
        other.execute("ROLLBACK")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_warehouse_and_ledger_may_be_one_sqlite_file(sqlite_warehouse, crm_sandbox, transfer, mode):
    """The query is open while the ledger writes to the same file."""
    sqlite_warehouse(f"PRAGMA journal_mode = {mode}; CREATE TABLE deals (id TEXT, arr TEXT)")
    for number in range(25):
        crm_sandbox.close.add_opportunity(f"oppo_{number}")
        sqlite_warehouse(f"INSERT INTO deals VALUES ('oppo_{number}', '{number}.00')")
    for word in ("updated", "unchanged"):
        report = transfer("SELECT id, arr FROM deals", {"arr": "deal_value"}, chunk_rows=10, ledger_conn_id="warehouse")
        assert report["outcomes"] == {word: 25}


QUERIES = {
    "select": "SELECT n AS id, 100 / (5 - n) AS arr FROM generate_series(1, 9) AS n",
    "with": "-- deals\nWITH d AS (SELECT n FROM generate_series(1, 9) n) SELECT n AS id, 100 / (5 - n) AS arr FROM d",
}


@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES)
def test_a_query_is_not_read_ahead(warehouse, sql):
    """PostgreSQL computes a chunk when it is asked for: a fifth row that it cannot compute fails no earlier one."""
    operator = SqlToOpportunityOperator(
        task_id="t",
        sql=sql,
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="id",
        fields={"arr": "deal_value"},
        chunk_rows=2,
    )
    frames = operator.frames({})
    assert [len(next(frames)), len(next(frames))] == [2, 2]
    with pytest.raises(Exception, match="division by zero"):
        next(frames)


def test_a_statement_that_writes_may_return_rows(warehouse, crm_sandbox, transfer):
    """PostgreSQL opens named cursors for queries only; an `INSERT ... RETURNING` is still read."""
    crm_sandbox.close.add_opportunity("7")
    warehouse("CREATE TABLE written (id int, arr int)")
    sql = "WITH made AS (SELECT 5 AS arr) INSERT INTO written SELECT 7, arr FROM made RETURNING id, arr"
    report = transfer(sql, {"arr": "deal_value"})
    assert report["outcomes"] == {"updated": 1}


def test_parameters_reach_the_database(sqlite_warehouse, crm_sandbox, transfer):
    """Placeholders are filled by the database driver."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT, arr TEXT, day TEXT)")
    sqlite_warehouse("INSERT INTO deals VALUES ('oppo_1', '5', '2026-03-01')")
    crm_sandbox.close.add_opportunity("oppo_1")
    report = transfer("SELECT id, arr FROM deals WHERE day = ?", {"arr": "deal_value"}, parameters=["2026-03-01"])
    assert report["outcomes"] == {"updated": 1}


def test_a_query_without_rows_is_an_ordinary_day(sqlite_warehouse, transfer):
    """No rows, no calls that write, a green task."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT, arr TEXT)")
    assert transfer("SELECT id, arr FROM deals", {"arr": "deal_value"})["rows"] == 0


def test_a_connection_that_is_no_database_is_refused(crm_sandbox, transfer):
    """The message names the connection and its type."""
    message = transfer("SELECT 1", {"arr": "deal_value"}, sql_conn_id="raze_default")
    assert message == "Connection 'raze_default' is no SQL connection: RazeHook runs no query."


def test_a_statement_without_rows_is_refused(sqlite_warehouse, transfer):
    """A statement that returns no result set is a mistake."""
    assert transfer("CREATE TABLE x (y TEXT)", {"arr": "deal_value"}) == "The sql returns no rows; write a SELECT."


def test_a_column_that_the_query_lacks_is_named(sqlite_warehouse, crm_sandbox, transfer):
    """The columns of the query are listed, and nothing is written."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT, arr_usd TEXT); INSERT INTO deals VALUES ('oppo_1', '5')")
    message = transfer("SELECT id, arr_usd FROM deals", {"arr": "deal_value"})
    assert message == "The data has no column 'arr' (did you mean 'arr_usd'?); its columns are: id, arr_usd."
    assert crm_sandbox.audit.calls == []


@pytest.fixture
def deals(sqlite_warehouse, crm_sandbox):
    """Forty deals, two of them with one id, and two rows without an id that the CRM can have."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT, arr TEXT)")
    for number in range(40):
        crm_sandbox.close.add_opportunity(f"oppo_{number}")
        sqlite_warehouse(f"INSERT INTO deals VALUES ('oppo_{number}', '{number}.00')")
    sqlite_warehouse("INSERT INTO deals VALUES (' oppo_7 ', '1'), (NULL, '1'), ('..', '1')")
    return crm_sandbox


def test_shards_share_the_rows_of_a_query(deals, transfer):
    """Each row is in one report and sent once; a later duplicate is noticed, and a bad id is reported once."""
    query = ("SELECT id, arr FROM deals", {"arr": "deal_value"})
    reports = [transfer(*query, shard=shard, shards=4, chunk_rows=10, ledger_conn_id=None) for shard in range(4)]
    assert sum(report["rows"] for report in reports) == 43
    assert all(0 < report["rows"] < 43 for report in reports)
    outcomes = Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
    assert outcomes == {"updated": 40, "invalid": 3}
    rejects = sorted((reject["record_id"], reject["code"]) for report in reports for reject in report["rejects"])
    assert rejects == [("", "NO_ID"), ("..", "RECORD_ID"), ("oppo_7", "DUPLICATE")]
    written = [write.record_id for write in deals.audit.writes]
    assert sorted(written) == sorted(f"oppo_{number}" for number in range(40))


def test_a_shard_without_rows_is_an_ordinary_day(sqlite_warehouse, crm_sandbox, transfer):
    """One row and two shards: one task writes it, the other is green with nothing to do."""
    sqlite_warehouse("CREATE TABLE deals (id TEXT, arr TEXT); INSERT INTO deals VALUES ('oppo_1', '5')")
    crm_sandbox.close.add_opportunity("oppo_1")
    reports = [transfer("SELECT * FROM deals", {"arr": "deal_value"}, shard=shard, shards=2) for shard in range(2)]
    assert sorted(report["rows"] for report in reports) == [0, 1]


def test_a_shard_that_there_is_not_stops_before_the_first_call(deals, transfer):
    """The message says what to write; neither the warehouse nor the CRM was asked anything."""
    message = transfer("SELECT nothing FROM nowhere", {"arr": "deal_value"}, shard=4, shards=4)
    assert message == "shard is 4, and shards is 4; write a whole number from 0 to 3."
    assert deals.audit.calls == []


def test_a_sharded_query_without_the_id_column_names_its_columns(sqlite_warehouse, crm_sandbox, transfer):
    """The same message as without shards."""
    sqlite_warehouse("CREATE TABLE deals (crm_id TEXT, arr TEXT)")
    message = transfer("SELECT crm_id, arr FROM deals", {"arr": "deal_value"}, shard=0, shards=2)
    assert message == "The data has no column 'id'; its columns are: crm_id, arr."


def test_guardrails_apply_to_each_shard(deals, transfer):
    """A limit above a shard's rows and below the query's lets the shard write."""
    query = ("SELECT id, arr FROM deals WHERE arr != '1'", {"arr": "deal_value"})
    guardrails = Guardrails(max_rows=20)
    stopped = transfer(*query, guardrails=guardrails)
    assert [(one["limit"], one["allowed"]) for one in stopped["guardrails"]] == [("max_rows", "20")]
    assert (stopped["rows"], deals.audit.writes) == (0, [])
    assert transfer(*query, guardrails=guardrails, shard=0, shards=4)["rows"] < 20


def test_both_arguments_are_templates(deals, transfer):
    """`shard` and `shards` can come from the task's place and from params: text that shows a number is that number."""
    query = ("SELECT id, arr FROM deals", {"arr": "deal_value"})
    operator = SqlToOpportunityOperator(
        task_id="t",
        sql="SELECT 1",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="id",
        fields={"arr": "deal_value"},
        shard="{{ ti.map_index }}",
        shards="{{ params.shards }}",
    )
    operator.render_template_fields({"ti": SimpleNamespace(map_index=1), "params": {"shards": 4}})
    rendered = transfer(*query, dry_run=True, shard=operator.shard, shards=operator.shards)
    assert (operator.shard, operator.shards) == ("1", "4")
    assert rendered["rows"] == transfer(*query, dry_run=True, shard=1, shards=4)["rows"]
