"""Each example DAG, in real Airflow, against the sandbox: what it reports and what is in the CRM afterwards."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from decimal import Decimal

import jsonschema
import pytest
import yaml

from airflow_provider_crm.demo.airflow_home import example_dags
from airflow_provider_crm.demo.crm import edit
from airflow_provider_crm.demo.warehouse import change

RUNS = (
    ("close_daily_sql", "2026-03-08T00:00:00-05:00"),
    ("close_daily_sql", "2026-11-01T00:00:00-04:00"),
    ("raze_taskflow_stages", "2026-03-09T00:00:00-04:00"),
    ("both_crms", "2026-03-10T00:00:00-04:00"),
    ("crm_backfill", "2026-10-31T00:00:00-04:00"),
    ("crm_backfill", "2026-10-30T00:00:00-04:00"),
    ("close_daily_sql", "2026-03-12T00:00:00-04:00"),
    ("crm_sharded", "2026-03-11T00:00:00-04:00"),
    ("hubspot_scores", "2026-03-11T00:00:00-04:00"),
    ("salesforce_amounts", "2026-03-11T00:00:00-04:00"),
    ("crm_by_key", "2026-03-11T00:00:00-04:00"),
)
SHARDED = range(100, 140)
OLD_RUN = "close_daily_sql/deal_values/scheduled__2020-03-08T05:00:00+00:00"


def add_old_run(path):
    """A run of six years ago, with one line in the change log."""
    moment, account = "2020-03-08 05:00:00.000000", "close:api.close.com:orga_old"
    with closing(sqlite3.connect(path)) as ledger, ledger:
        ledger.execute(
            "INSERT INTO crm_runs (run_key, account, tries, started_at, finished_at, report) VALUES (?, ?, 1, ?, ?, ?)",
            (OLD_RUN, account, moment, moment, "{}"),
        )
        ledger.execute(
            "INSERT INTO crm_changes (run_key, account, record_id, field, before_known, outcome, code, reason, at) "
            "VALUES (?, ?, 'oppo_1', 'value', false, 'updated', '', '', ?)",
            (OLD_RUN, account, moment),
        )


@pytest.fixture(scope="module")
def ran(world, row):
    """All runs of this module, by DAG id and day, with the sandbox: one process, as Airflow takes seconds to start."""
    made = world(
        [
            row("2026-03-08", 1, won_at="2026-03-09T03:30:00+00:00"),
            row("2026-03-08", 2, arr="0.01", health=None),
            row("2026-03-08", 3, currency="EUR"),
            row("2026-11-01", 4, won_at="2026-11-02T04:30:00+00:00"),
            row("2026-03-09", 5, stage="negotiation"),
            row("2026-03-09", 6, won_at="2026-03-09T15:00:00+00:00", arr="99.90"),
            row("2026-03-10", 7, won_at="2026-03-10T15:00:00+00:00"),
            row("2026-10-31", 8, won_at="2026-11-01T03:30:00+00:00", changed_at="2026-11-01T03:30:00+00:00"),
            row("2026-10-30", 9),
            row("2026-03-12", 10),
            row("2026-03-12", 11),
            *(row("2026-03-11", number, arr=f"{number}.50") for number in SHARDED),
        ]
    )
    with made.home.start() as process:
        runs = {(dag_id, date[:10]): process.run(dag_id, date) for dag_id, date in RUNS}
        warehouse = made.home.root.parent / "warehouse.db"
        change(warehouse, "2026-03-12", {"oppo_10": "99.00", "oppo_11": "99.00"})
        later = process.run("close_daily_sql", "2026-03-12T01:00:00-04:00")
        edit(made.sandbox, "oppo_11", {"value": 7_700})
        conf = {"run_key": later.reports["deal_values"]["run_key"]}
        runs["crm_undo", "2026-03-12"] = process.run("crm_undo", "2026-03-12T02:00:00-04:00", conf=conf)
        add_old_run(made.home.root / "crm_ledger.db")
        runs["crm_maintenance", "2026-03-15"] = process.run("crm_maintenance", "2026-03-15T05:30:00-04:00")
    return made, runs


def test_each_file_is_one_dag_that_these_tests_run(ran):
    """No example is shipped that does not import, or that nothing has run; some have tests of their own."""
    made, runs = ran
    assert len(made.home.dag_ids) == len(list(example_dags().glob("*.py")))
    assert set(made.home.dag_ids) == {dag_id for dag_id, _ in runs} | {
        "plan_approve_apply",
        "crm_failure_mail",
        "crm_after_sync",
    }


def test_daily_sql_lands_money_and_the_local_date_in_spring(ran):
    """Cents are exact, and a win at 23:30 on the day of the clock change has that day's date; UTC had the next one."""
    made, _ = ran
    record = made.sandbox.close.opportunity("oppo_1")
    assert (record["value"], record["date_won"], record["custom.cf_health"]) == (1_250_050, "2026-03-08", "green")


def test_daily_sql_lands_the_local_date_in_autumn(ran):
    """The same on the day when clocks go back; the task is green, as every row landed."""
    made, runs = ran
    assert made.sandbox.close.opportunity("oppo_4")["date_won"] == "2026-11-01"
    assert runs["close_daily_sql", "2026-11-01"].state == "success"


def test_daily_sql_leaves_alone_what_has_no_value(ran):
    """A null skips its field: one cent lands, the empty health field and the won date stay untouched."""
    made, _ = ran
    writes = [dict(write.fields) for write in made.sandbox.audit.writes if write.record_id == "oppo_2"]
    assert writes == [{"value": 1}]


def test_daily_sql_fails_when_a_row_does_not_land(ran):
    """One refused row makes the task red; the report is in XCom all the same and names the row and the reason."""
    made, runs = ran
    run = runs["close_daily_sql", "2026-03-08"]
    report = run.reports["deal_values"]
    assert (run.state, report["outcomes"]) == ("failed", {"updated": 2, "invalid": 1})
    assert [(reject["record_id"], reject["code"]) for reject in report["rejects"]] == [("oppo_3", "CURRENCY")]
    assert made.sandbox.close.opportunity("oppo_3")["value"] is None


def test_taskflow_frame_reaches_raze(ran):
    """The frame of the first task arrives through XCom: values in major units, stages by their own call."""
    made, runs = ran
    assert runs["raze_taskflow_stages", "2026-03-09"].reports["stages"]["outcomes"] == {"updated": 2}
    five, six = made.sandbox.raze.opportunity("opp_5"), made.sandbox.raze.opportunity("opp_6")
    assert (five["deal_value"], five["status"]) == (Decimal("12500.50"), "negotiation")
    assert (six["deal_value"], six["status"], six["won_at"] is not None) == (Decimal("99.90"), "won", True)
    assert made.sandbox.audit.count("raze", "PATCH", "/external/v1/opportunities/opp_6/stage") == 1


def test_one_query_serves_both_crms(ran):
    """The same canonical fields land as cents and notes in Close, as major units and notes in Raze."""
    made, runs = ran
    run = runs["both_crms", "2026-03-10"]
    assert {name: report["outcomes"] for name, report in run.reports.items()} == {
        "close": {"updated": 1},
        "raze": {"updated": 1},
    }
    close, raze = made.sandbox.close.opportunity("oppo_7"), made.sandbox.raze.opportunity("opp_7")
    assert (close["value"], close["note"], close["date_won"]) == (1_250_050, "From the warehouse", "2026-03-10")
    assert (raze["deal_value"], raze["deal_currency"], raze["notes"]) == (
        Decimal("12500.50"),
        "USD",
        "From the warehouse",
    )


def test_backfill_writes_the_date_of_the_data(ran):
    """A won stage months later gets the local date of the data, not today's; a deal that is not won gets none."""
    made, runs = ran
    assert [runs["crm_backfill", day].state for day in ("2026-10-31", "2026-10-30")] == ["success", "success"]
    won, active = made.sandbox.close.opportunity("oppo_8"), made.sandbox.close.opportunity("oppo_9")
    assert (won["status_type"], won["date_won"]) == ("won", "2026-10-31")
    assert (active["status_type"], active["date_won"], active["value"]) == ("active", None, 1_250_050)


def test_sharded_tasks_write_each_row_once(ran):
    """Eight mapped tasks share the rows of the day: every row lands, by one write, and each task has some of them."""
    made, runs = ran
    assert runs["crm_sharded", "2026-03-11"].state == "success"
    cents = {f"oppo_{number}": number * 100 + 50 for number in SHARDED}
    assert {name: made.sandbox.close.opportunity(name)["value"] for name in cents} == cents
    written = Counter(write.record_id for write in made.sandbox.audit.writes if write.record_id in cents)
    assert written == dict.fromkeys(cents, 1)
    with closing(sqlite3.connect(made.home.root / "crm_ledger.db")) as ledger:
        found = ledger.execute("SELECT DISTINCT run_key FROM crm_changes WHERE run_key LIKE 'crm_sharded/%'").fetchall()
    assert {key.split("/")[1] for (key,) in found} == {f"deal_values[{shard}]" for shard in range(8)}


def test_scores_reach_hubspot_by_batches(ran):
    """Every deal of the day has the score and the amount of the model's table, and most rows shared a call."""
    made, runs = ran
    report = runs["hubspot_scores", "2026-03-11"].reports["scores"]
    assert report["outcomes"] == {"updated": len(SHARDED)}
    assert report["calls"] < len(SHARDED) / 4
    for number in SHARDED:
        shown = made.sandbox.hubspot.opportunity(f"20260311{number}")["properties"]
        assert (shown["health_score"], Decimal(shown["amount"])) == ("87.5", Decimal(f"{number}.50"))


def test_rows_reach_hubspot_by_the_key_of_the_warehouse(ran):
    """Every deal of the day has its note; the first run has looked all keys up, a hundred a call."""
    made, runs = ran
    report = runs["crm_by_key", "2026-03-11"].reports["notes"]
    assert report["outcomes"] == {"updated": len(SHARDED)}
    shown = [made.sandbox.hubspot.opportunity(f"20260311{number}")["properties"] for number in SHARDED]
    assert {one["description"] for one in shown} == {"From the warehouse"}


def test_amounts_reach_salesforce_by_batches(ran):
    """Every deal of the day has the amount and the text of the table, its id came in fifteen characters."""
    made, runs = ran
    report = runs["salesforce_amounts", "2026-03-11"].reports["amounts"]
    assert report["outcomes"] == {"updated": len(SHARDED)}
    assert report["calls"] < len(SHARDED) / 4
    for number in SHARDED:
        shown = made.sandbox.salesforce.opportunity(f"006D20260311{number}")
        assert (Decimal(str(shown["Amount"])), shown["NextStep"]) == (Decimal(f"{number}.50"), "From the warehouse")


def test_undo_puts_back_what_the_run_found(ran):
    """The run named by its key is taken back: the value that it replaced stands there again, by one write."""
    made, _ = ran
    writes = [write.fields.get("value") for write in made.sandbox.audit.writes if write.record_id == "oppo_10"]
    assert writes == [1_250_050, 9_900, 1_250_050]
    assert made.sandbox.close.opportunity("oppo_10")["value"] == 1_250_050


def test_undo_leaves_alone_what_somebody_changed_since(ran):
    """A colleague's value stays; the task is red and names the deal, as not all of the run is taken back."""
    made, runs = ran
    undo = runs["crm_undo", "2026-03-12"]
    report = undo.reports["undo"]
    assert (undo.state, report["outcomes"]) == ("failed", {"updated": 1, "rejected": 1})
    assert [(reject["record_id"], reject["code"]) for reject in report["rejects"]] == [("oppo_11", "CONFLICT")]
    assert made.sandbox.close.opportunity("oppo_11")["value"] == 7_700


MANIFEST = {
    "nodes": {
        "model.shop.deals": {"resource_type": "model", "name": "deals", "alias": "deals", "schema": "marts"},
        "test.shop.unique": {"resource_type": "test", "name": "unique", "schema": "marts"},
    },
    "sources": {},
}


EXPOSURES = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "exposures"],
    "properties": {
        "version": {"const": 2},
        "exposures": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "type", "owner"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
                    "label": {"type": "string"},
                    "type": {"enum": ["dashboard", "notebook", "analysis", "ml", "application"]},
                    "description": {"type": "string"},
                    "url": {"type": "string", "pattern": "^https?://"},
                    "owner": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": False,
                        "properties": {"name": {"type": "string"}, "email": {"type": "string"}},
                    },
                    "depends_on": {
                        "type": "array",
                        "items": {"type": "string", "pattern": r"^(ref|source|metric)\(.+\)$"},
                    },
                },
            },
        },
    },
}
"""What dbt accepts of the exposures in a properties file, by its documentation."""


def test_exposures_lead_from_models_to_the_crm(ran, tmp_path):
    """`airflow crm exposures` knows each task that wrote, its owner, and the model that its query read."""
    made, _ = ran
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    command = [sys.executable, "-m", "airflow", "crm", "exposures", "--days", "3650", "--manifest", "manifest.json"]
    done = subprocess.run(command, cwd=tmp_path, env=made.home.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = yaml.safe_load(done.stdout[done.stdout.index("exposures:") :])  # Airflow 3.2 logs to the same output
    jsonschema.validate(printed, EXPOSURES)
    found = {one["name"]: one for one in printed["exposures"]}
    assert len(found) == len(printed["exposures"])
    daily = found["crm_close_daily_sql_deal_values"]
    assert daily["description"].startswith("Writes to close:127.0.0.1")
    assert (daily["type"], daily["owner"]) == ("application", {"name": "airflow"})
    assert daily["depends_on"] == ["ref('deals')"]
    assert found["crm_crm_sharded_deal_values"]["depends_on"] == ["ref('deals')"]  # once, of eight indexes
    assert "depends_on" not in found["crm_crm_undo_undo"]  # it reads no query
    assert {"crm_both_crms_close", "crm_both_crms_raze"} < found.keys()


def test_maintenance_prunes_old_runs_and_keeps_those_of_today(ran):
    """What a run of six years ago wrote is gone, and its report stays; every run of the other examples is whole."""
    made, runs = ran
    assert runs["crm_maintenance", "2026-03-15"].state == "success"
    with closing(sqlite3.connect(made.home.root / "crm_ledger.db")) as ledger:
        assert ledger.execute("SELECT run_key FROM crm_runs WHERE pruned_at IS NOT NULL").fetchall() == [(OLD_RUN,)]
        assert ledger.execute("SELECT count(*) FROM crm_changes WHERE run_key = ?", (OLD_RUN,)).fetchone() == (0,)
        assert ledger.execute("SELECT count(DISTINCT run_key) FROM crm_changes").fetchone()[0] > len(SHARDED) / 8
