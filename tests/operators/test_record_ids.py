"""One record has one id, however a row spells it: in paths, duplicates, ledger, plans, answers and on the page."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.hooks.raze import RazeHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.queries.changes import RecordChanges, Search
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator
from airflow_provider_crm.vendors import VENDORS

ID = "6f1c1f5e-9f0b-4a55-8a0e-1f2d3c4b5a69"
SPELLINGS = [
    ID.upper(),
    f"{{{ID}}}",
    ID.replace("-", ""),
    ID.replace("-", "").upper(),
    "6f1c-1f5e-9f0b4a558a0e1f2d3c4b5a69",
]
ARGUMENTS = {"crm_conn_id": "raze_default", "id_column": "id", "fields": {"arr": "deal_value"}}
TODAY = dt.datetime.now(dt.UTC)
EARLIER = TODAY - dt.timedelta(days=10)


@pytest.fixture
def deal(crm_sandbox):
    """One opportunity of a Raze whose ids are UUIDs, as its published server has them."""
    crm_sandbox.set(raze_uuid_ids=True)
    crm_sandbox.raze.add_opportunity(ID, deal_value="1.00", name="Jane Roe")
    return lambda: crm_sandbox.raze.opportunity(ID)


def rows(*values, spelling=ID):
    """A row of each value."""
    return [{"id": spelling, "arr": value} for value in values]


@pytest.mark.parametrize("spelling", SPELLINGS[:2])
def test_older_data_under_another_spelling_is_stale(deal, task, stored, spelling):
    """A backfill that writes the id otherwise does not overwrite newer data, and the ledger knows one record."""
    newer = task(UpdateOpportunityOperator, **ARGUMENTS, as_of=TODAY, data=rows(44))
    assert newer.outcomes == {"updated": 1}
    older = task(
        UpdateOpportunityOperator, **ARGUMENTS, run_id="older", as_of=EARLIER, data=rows(99, spelling=spelling)
    )
    assert older.outcomes == {"stale": 1}
    assert deal()["deal_value"] == 44
    assert {state["record_id"] for state in stored(field_states)} == {ID}


@pytest.mark.parametrize("spelling", SPELLINGS[2:])
def test_a_row_that_landed_is_updated_whatever_its_spelling(deal, task, spelling):
    """The server answers with its own spelling of the id, which is no other record."""
    run = task(UpdateOpportunityOperator, **ARGUMENTS, data=rows(44, spelling=spelling))
    assert (run.outcomes, run.error) == ({"updated": 1}, None)
    again = task(UpdateOpportunityOperator, **ARGUMENTS, run_id="again", data=rows(44))
    assert again.outcomes == {"unchanged": 1}


def test_two_spellings_in_one_frame_are_duplicates(deal, task):
    """Both are refused, or the last is taken, as with one spelling."""
    data = rows(1) + rows(2, spelling=ID.upper())
    refused = task(UpdateOpportunityOperator, **ARGUMENTS, data=data)
    assert refused.outcomes == {"invalid": 2}
    assert refused.report["rejects"][0]["code"] == "DUPLICATE"
    last = task(UpdateOpportunityOperator, **ARGUMENTS, run_id="last", data=data, on_duplicate="last")
    assert last.outcomes == {"stale": 1, "updated": 1}
    assert deal()["deal_value"] == 2


def test_two_spellings_are_one_shard(deal, tmp_path, monkeypatch, task):
    """Rows of one record never run side by side in two tasks."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "deals")}))
    ids = " UNION ALL ".join(f"SELECT '{spelling}' AS id, 5 AS arr" for spelling in [ID, *SPELLINGS])
    arguments = {**ARGUMENTS, "sql": ids, "sql_conn_id": "warehouse", "on_duplicate": "last"}
    runs = [
        task(SqlToOpportunityOperator, **arguments, run_id=f"shard {number}", shard=number, shards=5)
        for number in range(5)
    ]
    assert [run.outcomes for run in runs if run.report["rows"]] == [{"stale": 5, "updated": 1}]


def test_a_plan_and_its_undo_know_the_record(deal, task, stored):
    """Planned under one spelling, applied and taken back; the list and the change log have the server's own."""
    plan = task(PlanOpportunityUpdatesOperator, **ARGUMENTS, data=rows(44, spelling=ID.upper()))
    assert plan.report["counts"]["update"] == 1
    arguments = {"crm_conn_id": "raze_default", "run_key": "dag/task/write"}
    task(
        UpdateOpportunityOperator, **ARGUMENTS, run_id="write", data=rows(44, spelling=ID.upper()), capture_before=True
    )
    undo = task(RevertOpportunityUpdatesOperator, **arguments, run_id="undo")
    assert undo.outcomes == {"updated": 1}
    assert deal()["deal_value"] == 1


def test_the_hook_takes_any_spelling(deal):
    """An id that is typed by hand is verified, too."""
    hook = RazeHook(ledger_conn_id=None)
    assert hook.update_opportunity(ID.upper(), {"deal_value": 44})["id"] == ID
    assert hook.get_opportunity(f"{{{ID}}}")["id"] == ID


def test_the_page_finds_the_record_by_any_spelling(deal, task, ledger_conn_id):
    """An id that is pasted from another system finds the same history."""
    report = task(UpdateOpportunityOperator, **ARGUMENTS, data=rows(44)).report
    engine = ledger_database(ledger_conn_id).engine
    with engine.connect() as connection:
        for spelling in SPELLINGS:
            found = RecordChanges(connection, {"dag"}, spelling)
            assert found.accounts([report["account"]]) == [report["account"]]
            assert len(found.history(report["account"], Search()).rows) == 1
            assert len(found.states(report["account"])) == 1
    engine.dispose()


def test_ids_of_close_keep_their_case(crm_sandbox, task):
    """Two opaque ids that differ in case only are two records."""
    for record_id in ("oppo_a", "oppo_A"):
        crm_sandbox.close.add_opportunity(record_id, value=100)
    data = [{"id": "oppo_a", "arr": 1}, {"id": "oppo_A", "arr": 2}]
    run = task(UpdateOpportunityOperator, **{**ARGUMENTS, "crm_conn_id": "close_default"}, data=data)
    assert run.outcomes == {"updated": 2}
    assert [crm_sandbox.close.opportunity(row["id"])["value"] for row in data] == [100, 200]


@settings(max_examples=40, deadline=None)
@given(st.uuids(), st.data())
def test_every_spelling_of_a_uuid_is_one_id_of_raze(number, data):
    """Every text that PostgreSQL reads as a UUID has one spelling, in any case and with any separators."""
    groups = [str(number).replace("-", "")[start : start + 4] for start in range(0, 32, 4)]
    text = "".join(
        (data.draw(st.sampled_from([group, group.upper()])) + data.draw(st.sampled_from(["", "-"]))) for group in groups
    ).strip("-")
    text = data.draw(st.sampled_from([text, f"{{{text}}}"]))
    canonical_id = VENDORS["raze"].canonical_id
    assert canonical_id(text) == str(number) == canonical_id(canonical_id(text))


@pytest.mark.parametrize(
    "record_id", ["opp_1", "OPP_1", ID[:-1], f"{ID}0", f"{{{ID}", f"{ID}}}", f"urn:uuid:{ID}", "g" * 32, "--" + ID, ""]
)
def test_what_is_no_uuid_stays_as_it_is(record_id):
    """Documented ids of Raze are opaque."""
    assert VENDORS["raze"].canonical_id(record_id) == record_id
