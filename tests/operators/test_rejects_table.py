"""The rejects of a run as a table: the query that the manual gives, beside the report's frame, on both databases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.queries.changes import RunChanges
from airflow_provider_crm.report.report import SyncReport

PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"
FIELDS = {"arr": "deal_value", "text": "notes"}
COLUMNS = ["record_id", "outcome", "code", "reason"]
GOOD = [{"id": f"oppo_{number}", "arr": number + 5, "text": "n"} for number in range(3)]
BAD = [
    *({"id": f"oppo_gone_{number}", "arr": 1, "text": "n"} for number in range(25)),
    {"id": "oppo_x", "arr": "many", "text": "n"},
    {"id": "", "arr": 1, "text": "n"},
    {"id": None, "arr": 1, "text": "n"},
]


def query():
    """The manual's query for the rejects of one run."""
    found = re.search(r"-- which rows of a run did not land.*?\n(SELECT.*?);", PAGE.read_text(), re.DOTALL)
    return found[1].replace("'dag/task/run'", ":run_key")


@pytest.fixture
def table(ledger_conn_id):
    """The rows that the query finds of a run, and those that the page shows of it."""

    def rows(run_key):
        engine = ledger_database(ledger_conn_id).engine
        with engine.connect() as connection:
            found = connection.execute(sa.text(query()), {"run_key": run_key}).all()
            page = list(RunChanges(connection, run_key, retried=False).all_refused())
        engine.dispose()
        return [tuple(row) for row in found], [(row.record_id, row.outcome, row.code, row.reason) for row in page]

    return rows


@pytest.fixture
def ran(deals, task, tmp_path):
    """Run rows; returns the report."""

    def run(run_id, suffix, data=(*GOOD, *BAD)):
        path = tmp_path / f"{run_id}.{suffix}"
        end = task(
            UpdateOpportunityOperator,
            run_id=run_id,
            data=list(data),
            id_column="id",
            fields=FIELDS,
            rejects_path=str(path),
        )
        assert end.error is not None
        return SyncReport.from_dict(end.report)

    return run


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_query_finds_what_the_frame_has(ran, table, suffix):
    """Every row that did not land, once, with id, outcome, code and reason: refused here, and refused by the CRM."""
    report = ran("run", suffix)
    frame = report.to_frame()
    assert len(report.rejects) == 20
    assert list(frame.columns) == COLUMNS
    found, page = table("dag/task/run")
    assert sorted(found) == sorted(page) == sorted(frame.itertuples(index=False, name=None))
    assert len(found) == len(BAD)


def test_rows_that_rest_are_reported_by_every_run(deals, ran, table):
    """A row that is not sent again because the CRM refused the very values is a reject of the later run, too."""
    deals.set(fault_rates={"http_400": 1.0}, fault_methods={"PUT"})
    ran("first", "csv", BAD)
    deals.audit.clear()
    report = ran("second", "csv", BAD)
    assert deals.audit.writes == []
    found, page = table("dag/task/second")
    assert sorted(found) == sorted(page) == sorted(report.to_frame().itertuples(index=False, name=None))
    assert sum("The same values were refused since" in row[3] for row in found) == 25


def test_a_retry_shows_each_row_once_on_the_page(deals, ran, ledger_conn_id):
    """The page shows of a row what the last try did: that it was refused before is no second refusal."""
    for _ in range(2):
        ran("run", "csv", [row for row in BAD if row["id"]])
    engine = ledger_database(ledger_conn_id).engine
    with engine.connect() as connection:
        page = list(RunChanges(connection, "dag/task/run", retried=True).all_refused())
    engine.dispose()
    assert sorted(row.record_id for row in page) == sorted(row["id"] for row in BAD if row["id"])
