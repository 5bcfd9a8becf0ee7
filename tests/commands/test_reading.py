"""The commands that read: what they print, in each format, and that they change nothing."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa
import yaml

from airflow_provider_crm.database.schema import VERSION, metadata
from airflow_provider_crm.ledger.fences import RUN_KEY
from tests.ui.conftest import CLOSE, NOW, RAZE, Log

RUN, OLDER, OTHER = "deals/write/manual__1", "deals/write/manual__0", "scores/write[3]/manual__2"
HOUR = dt.timedelta(hours=1)
READING = [
    ["status"],
    ["runs"],
    ["record", "oppo_1"],
    ["plan", "show", "plan-1"],
]


@pytest.fixture
def filled(ledger, airflow_db):
    """A ledger with three runs, a record with a history, and a plan."""
    log = Log(ledger)
    log.run(RUN, ago=HOUR, outcomes={"updated": 2, "rejected": 1}, causes=[{"code": "NOT_FOUND"}])
    log.run(OLDER, ago=30 * HOUR, outcomes={"unchanged": 3})
    log.run(OTHER, ago=2 * HOUR, account=RAZE, outcomes={"not_sent": 5}, causes=[{"code": "OUTAGE"}])
    log.change(OLDER, before="100000", after="200000")
    log.change(RUN, before="200000", after="12345")
    log.change(RUN, field="note", before='"told in confidence"', after='"a secret remark"')
    log.change(RUN_KEY, outcome="fence_cleared", code="FENCE_CLEARED", reason="The data time was cleared by ada.")
    log.state(RUN)
    log.state(RUN, field="note", value='"a secret remark"')
    rows = [("oppo_1", "value", "update", "100000", "900000"), ("oppo_2", "value", "update", "100000", "300000")]
    log.plan("plan-1", "deals/plan/manual__3", [*rows, ("oppo_3", "note", "unchanged", '"x"', '"x"')])
    return ledger


def contents(engine):
    """All rows of all tables."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }


def test_runs_are_listed_newest_first_with_their_verdict(filled, crm_json):
    """Each has its key in parts, its counts and one sentence; types are kept, and times are in UTC."""
    first, second, third = crm_json("runs")
    assert [first["run_key"], second["run_key"], third["run_key"]] == [RUN, OTHER, OLDER]
    assert (first["verdict"], first["label"]) == ("refused", "1 of 3 rows refused")
    assert (second["verdict"], second["dag_id"], second["task_id"], second["map_index"]) == (
        "outage",
        "scores",
        "write",
        3,
    )
    assert first["outcomes"] == {"updated": 2, "rejected": 1}
    assert (third["verdict"], third["rows"], third["plan_id"]) == ("nothing", 3, None)
    assert dt.datetime.fromisoformat(first["started_at"]) == NOW - HOUR


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--account", RAZE], [OTHER]),
        (["--dag-id", "deals"], [RUN, OLDER]),
        (["--since", (NOW - 3 * HOUR).isoformat()], [RUN, OTHER]),
        (["--limit", "1"], [RUN]),
        (["--dag-id", "deals", "--account", RAZE], []),
    ],
)
def test_runs_are_filtered(filled, crm_json, words, found):
    """By account, Dag, start and number; each narrows the others."""
    assert [run["run_key"] for run in crm_json("runs", *words)] == found


def test_a_time_that_is_none_is_a_sentence(filled, crm):
    """Airflow's parser prints it, with the usage."""
    assert crm("runs", "--since", "yesterday").code == 2


def test_a_record_has_its_values_and_its_history(filled, crm_json):
    """The last change first, also what a command did; amounts are in major units."""
    (record,) = crm_json("record", "oppo_1")
    assert (record["account"], record["record_id"]) == (CLOSE, "oppo_1")
    values = {one["field"]: (one["value"], one["kind"], one["run_key"]) for one in record["values"]}
    assert values["value"] == ("123.45", "money", RUN)
    history = [(one["outcome"], one["field"], one["before"], one["after"]) for one in record["history"]]
    assert [one[0] for one in history] == ["fence_cleared", "updated", "updated", "updated"]
    assert [one[1:] for one in history if one[1] == "value" and one[0] == "updated"] == [
        ("value", "2,000.00", "123.45"),
        ("value", "1,000.00", "2,000.00"),
    ]
    assert crm_json("record", "oppo_1", "--limit", "1")[0]["history"] == record["history"][:1]
    assert crm_json("record", "oppo_1", "--account", CLOSE) == [record]


def test_hidden_fields_stay_hidden(filled, crm, monkeypatch):
    """In every format and command, also those that were stored in clear before they were named."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "note")
    for words in (["record", "oppo_1"], ["plan", "show", "plan-1", "--verdict", "unchanged"]):
        for output in ("json", "yaml", "table", "plain"):
            ended = crm(*words, "-o", output)
            assert ended.code == 0
            assert "hidden" in ended.out
            assert "secret remark" not in ended.out
            assert "confidence" not in ended.out


def test_a_plan_shows_its_largest_changes_first(filled, crm_json):
    """With counts and sums; a verdict and a number narrow the rows."""
    plan = crm_json("plan", "show", "plan-1")
    assert plan["fields_by_verdict"] == {"update": 2, "unchanged": 1}
    assert (plan["amount_before"], plan["amount_after"], plan["amount_change"]) == ("2000", "12000", "10000")
    assert [(row["record_id"], row["after"]) for row in plan["rows_shown"]] == [
        ("oppo_1", "9,000.00"),
        ("oppo_2", "3,000.00"),
    ]
    some = crm_json("plan", "show", "plan-1", "--limit", "1")
    assert (len(some["rows_shown"]), some["rows_found"]) == (1, 2)
    assert crm_json("plan", "show", "plan-1", "--verdict", "unchanged")["rows_found"] == 1


def test_the_status_says_what_needs_attention(filled, crm, crm_json):
    """Failed syncs on top, then the accounts and the last runs."""
    status = crm_json("status")
    assert set(status) == {"needs_attention", "accounts", "last_runs"}
    needed = {(item["kind"], item["subject"], item["run_key"]) for item in status["needs_attention"]}
    assert ("last run", "deals / write", RUN) in needed
    assert {(one["account"], one["runs"]) for one in status["accounts"]} == {(CLOSE, 2), (RAZE, 1)}
    assert len(crm_json("status", "--limit", "2")["last_runs"]) == 2
    table = crm("status").out
    assert table.index("Needs attention") < table.index("Accounts") < table.index("Last runs")


def test_the_status_of_a_quiet_ledger(ledger, airflow_db, crm):
    """Where nothing needs a person, it says so."""
    Log(ledger).run(RUN, outcomes={"updated": 2})
    assert "Nothing needs attention." in crm("status").out


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_formats_are_those_of_airflow(filled, crm, words):
    """JSON and YAML have the same content, and a table is a table."""
    as_json, as_yaml = (crm(*words, "-o", output).out for output in ("json", "yaml"))
    assert json.loads(as_json) == yaml.safe_load(as_yaml)
    assert " | " in crm(*words).out
    assert crm(*words, "-o", "plain").code == 0


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_changes_nothing(filled, crm, words):
    """No row is written, and an older ledger is not migrated but refused with a sentence."""
    before = contents(filled)
    assert crm(*words).code == 0
    assert contents(filled) == before
    with filled.begin() as connection:
        connection.execute(sa.text(f"UPDATE crm_schema_version SET version = {VERSION - 1}"))
    before = contents(filled)
    ended = crm(*words)
    assert (ended.code, ended.out) == (1, "")
    assert "the next run of a task migrates it" in ended.message
    assert contents(filled) == before


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_ledger_that_cannot_be_read_is_a_sentence(crm, define, monkeypatch, words):
    """No file is made where there is none; a server that does not answer is named without its password."""
    ended = crm(*words)
    assert (ended.code, "There is no ledger yet" in ended.message) == (1, True)
    define("gone", conn_type="postgres", host="127.0.0.1", port=9, login="u", password="pass_word", schema="crm")
    ended = crm(*words, "--ledger-conn-id", "gone")
    assert (ended.code, "The ledger's database cannot be read" in ended.message) == (1, True)
    assert "pass_word" not in ended.message
    ended = crm(*words, "--ledger-conn-id", "nowhere")
    assert (ended.code, "nowhere" in ended.message) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["record", "oppo_9"], "The ledger has no record 'oppo_9' of any account."),
        (["record", "oppo_1", "--account", RAZE], f"The ledger has no record 'oppo_1' of account '{RAZE}'."),
        (["plan", "show", "plan-9"], "The ledger has no plan 'plan-9'."),
    ],
)
def test_what_is_not_there_is_a_sentence(filled, crm, words, message):
    """With exit code 1, and nothing on the standard output."""
    ended = crm(*words)
    assert (ended.code, ended.out, ended.message) == (1, "", message)


def test_the_vendors_of_the_package(crm_json):
    """With the fields that a mapping may name, and the keys of a connection's extra."""
    found = {one["connection_type"]: one for one in crm_json("vendors")}
    assert {"close", "raze", "hubspot", "crm_salesforce"} <= set(found)
    assert all(one["is_own"] and one["problem"] is None for one in found.values())
    assert "deal_value" in found["close"]["fields"]
    assert "refresh_token" in found["close"]["extra_keys"]
