"""A query is read as fast as the database gives it, however long the CRM takes; one that breaks says what landed."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

ROWS = 12
AS_OF = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.fixture
def impatient_warehouse(postgres, monkeypatch):
    """A PostgreSQL that ends a transaction in which nothing happens for a second and a half."""
    extra = {"options": "-c idle_in_transaction_session_timeout=1500"}
    uri = postgres.partition("?")[2].removeprefix("host=").replace("%2F", "/")
    connection = {"conn_type": "postgres", "login": "postgres", "schema": "postgres", "host": uri, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))


@pytest.fixture
def transfer(crm_sandbox, monkeypatch):
    """Run a query into Close, five rows at a time; returns the error, if any, and the report."""
    for number in range(ROWS):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=1)

    def run(sql, **arguments):
        pushed = {}
        context = {
            "ti": SimpleNamespace(
                dag_id="d",
                task_id="t",
                run_id="r",
                map_index=-1,
                try_number=1,
                xcom_push=lambda key, value: pushed.update({key: value}),
            ),
            "data_interval_end": AS_OF,
            "outlet_events": OutletEventAccessors(),
            "dag_run": SimpleNamespace(run_after=AS_OF, run_type="scheduled"),
        }
        operator = SqlToOpportunityOperator(
            task_id="t",
            sql=sql,
            sql_conn_id="warehouse",
            crm_conn_id="close_default",
            id_column="id",
            fields={"arr": "deal_value"},
            ledger_conn_id=None,
            concurrency=1,
            chunk_rows=6,
            **arguments,
        )
        try:
            return None, operator.execute(context)
        except AirflowException as error:
            return error, pushed["return_value"]

    return run


def test_a_slow_crm_keeps_no_transaction_open(impatient_warehouse, crm_sandbox, transfer):
    """Each six rows take longer than the database lets a transaction idle, and all of them land."""
    crm_sandbox.set(fault_rates={"slow": 1.0}, slow_seconds=0.3)
    error, report = transfer(f"SELECT 'oppo_' || n AS id, n AS arr FROM generate_series(0, {ROWS - 1}) AS n")
    assert error is None
    assert report["outcomes"] == {"updated": ROWS}


@pytest.mark.parametrize(
    ("broken", "kind"),
    [("1 / (10 - n)", AirflowFailException), ("pg_terminate_backend(pg_backend_pid())::int", AirflowException)],
    ids=["the statement", "the connection"],
)
def test_a_query_that_breaks_reports_what_landed(impatient_warehouse, transfer, broken, kind):
    """The rows of the chunks before it land; an error of the statement is for good, a lost connection is retried."""
    value = f"CASE WHEN n = 10 THEN {broken} ELSE n END"
    error, report = transfer(f"SELECT 'oppo_' || n AS id, {value} AS arr FROM generate_series(0, {ROWS - 1}) AS n")
    assert type(error) is kind
    assert "The source broke after 6 rows, the last that were read: " in str(error)
    assert report["outcomes"] == {"updated": 6}
