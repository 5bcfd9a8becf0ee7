"""`SqlToOpportunityOperator`: from a real warehouse into the sandbox, every type as the database has it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

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
    """Numeric, bigint beside null, date, timestamptz, real and arrays reach the CRM as the database holds them."""
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
    """The message names the connection and what it is."""
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
