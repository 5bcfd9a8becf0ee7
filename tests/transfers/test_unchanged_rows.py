"""How much work a row is of which nothing changed since the last run: counted, as times differ between machines."""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

NOW = dt.datetime.now(dt.UTC)
FEW, MANY = 1_000, 9_000
FIELDS = {"arr": "deal_value", "note": "notes", "confidence": "confidence"}
QUERY = "SELECT id, arr, note, confidence FROM deals WHERE number < {rows} ORDER BY id"
DEALS = f"""
    CREATE TABLE deals AS
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY - 1})
    SELECT n AS number, 'oppo_' || (100000 + n) AS id, n + 0.5 AS arr, 'deal ' || n AS note, n % 100 AS confidence
    FROM numbers;
"""


class Counts:
    """Counts statements on all databases of SQLAlchemy, and calls of the package's functions in all threads."""

    def __init__(self):
        self.statements = self.calls = 0

    def __enter__(self):
        sa.event.listen(sa.engine.Engine, "before_cursor_execute", self.statement)
        threading.setprofile(self.call)
        sys.setprofile(self.call)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", self.statement)

    def statement(self, *_):
        """Take a statement."""
        self.statements += 1

    def call(self, frame, event, _):
        """Take an event of `sys.setprofile`; a generator that goes on counts as a call, too."""
        if event == "call" and frame.f_globals.get("__name__", "").startswith("airflow_provider_crm"):
            self.calls += 1


@pytest.fixture
def transfer(sqlite_warehouse, any_connection, crm_sandbox, monkeypatch):
    """Run the operator on the first rows of the deals, with its defaults and a ledger of each kind."""
    sqlite_warehouse(DEALS)
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(any_connection))
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "ledger")
    crm_sandbox.close.add_opportunity("oppo_100000")

    def run(rows, *, day):
        names = {"dag_id": "d", "task_id": "t", "run_id": f"r{day}", "map_index": -1, "try_number": 1}
        as_of = NOW - dt.timedelta(days=9 - day)
        context = {
            "ti": SimpleNamespace(**names, xcom_push=lambda **_: None),
            "data_interval_end": as_of,
            "outlet_events": OutletEventAccessors(),
            "dag_run": SimpleNamespace(run_after=as_of, run_type="scheduled"),
        }
        operator = SqlToOpportunityOperator(
            task_id="t",
            sql=QUERY.format(rows=rows),
            sql_conn_id="warehouse",
            crm_conn_id="close_default",
            id_column="id",
            fields=FIELDS,
        )
        with Counts() as counts:
            report = operator.execute(context)
        return report, counts

    return run


def remember_all(engine):
    """Let the ledger know the values of all deals as it knows those of the first one."""
    with engine.begin() as connection:
        first = connection.execute(sa.select(field_states)).mappings().all()
        texts = {
            "value": lambda n: str(100 * n + 50),
            "note": lambda n: f'"deal {n}"',
            "confidence": lambda n: str(n % 100),
        }
        assert {row["field"]: row["value"] for row in first} == {key: text(0) for key, text in texts.items()}
        states = [
            {**row, "record_id": f"oppo_{100_000 + n}", "value": texts[row["field"]](n)}
            for n in range(1, MANY)
            for row in first
        ]
        connection.execute(sa.insert(field_states), states)


def test_an_unchanged_row_takes_little_work(transfer, any_database):
    """Counted is what rows beyond the first thousand add, from the query to the report; nothing is sent for them."""
    assert transfer(1, day=0)[0]["outcomes"] == {"updated": 1}
    engine = sa.create_engine(any_database)
    remember_all(engine)
    _, few = transfer(FEW, day=1)
    report, many = transfer(MANY, day=2)
    assert report["outcomes"] == {"unchanged": MANY}
    assert report["calls"] == 1  # about the account
    added = MANY - FEW
    assert 1_000 * (many.statements - few.statements) / added <= 2
    assert (many.calls - few.calls) / added <= 16
    with engine.connect() as connection:
        (as_of,) = connection.execute(sa.select(field_states.c.as_of).distinct()).scalars()
    engine.dispose()
    assert as_of == NOW - dt.timedelta(days=7)
