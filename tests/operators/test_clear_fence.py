"""`airflow crm fence clear` clears a data time that shuts out newer data, and leaves a line about it."""

from __future__ import annotations

import datetime as dt
import getpass

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import changes, field_states
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.ledger.claims import ClaimedRow, DesiredRow, DesiredRows, Settlement, Verdict
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

ACCOUNT = "raze:a.example:one"
NOW = dt.datetime.now(dt.UTC)
FUTURE = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
ID = "6f1c1f5e-9f0b-4a55-8a0e-1f2d3c4b5a69"


@pytest.fixture
def ledger(ledger_conn_id):
    """A ledger that takes any data time, as one of an earlier version did."""
    engine = ledger_database(ledger_conn_id).engine
    made = Ledger(
        Database(engine), combine=combined, account=ACCOUNT, run_key="dag/task/run", lease=60.0, clock=Clock()
    )
    made.open(NOW)
    yield made
    engine.dispose()


@pytest.fixture
def write(ledger):
    """Claim and acknowledge a value; returns the verdict."""

    def run(record_id, value, as_of):
        desired = DesiredRow(record_id, {"value": str(value)}, as_of)
        (claim,) = ledger.claim([desired])
        if claim.verdict is Verdict.SEND:
            outcome = Outcome(0, record_id, OutcomeWord.UPDATED)
            ledger.settle([Settlement(ClaimedRow(desired, claim), outcome, claim.fields)])
        return claim.verdict

    return run


def test_what_lies_in_the_future_is_cleared_and_recorded(write, crm_command, stored):
    """The next run writes; the change log has who did what when, and other records are as they were."""
    write("opp_1", 1, FUTURE)
    write("opp_2", 1, NOW)
    assert write("opp_1", 2, NOW) is Verdict.STALE
    assert crm_command("fence", "clear", ACCOUNT) == "opp_1 value: data time 9999-12-31 00:00 UTC cleared\n"
    assert write("opp_1", 2, NOW) is Verdict.SEND
    assert write("opp_2", 2, NOW - dt.timedelta(days=1)) is Verdict.STALE
    (line,) = [row for row in stored(changes) if row["outcome"] == "fence_cleared"]
    assert (line["account"], line["record_id"], line["field"]) == (ACCOUNT, "opp_1", "value")
    assert line["reason"] == f"The data time 9999-12-31 00:00 UTC was cleared by {getpass.getuser()}."
    assert NOW - dt.timedelta(minutes=1) < line["at"].replace(tzinfo=dt.UTC) < NOW + dt.timedelta(hours=1)
    assert crm_command("fence", "clear", ACCOUNT) == "No data time to clear.\n"


def test_a_record_is_cleared_by_its_id_in_any_spelling(write, crm_command):
    """A data time that is merely wrong is not in the future; its record is named."""
    write(ID, 1, NOW)
    write("opp_2", 1, NOW)
    assert "cleared" in crm_command("fence", "clear", ACCOUNT, ID.upper())
    assert write(ID, 2, NOW - dt.timedelta(days=9)) is Verdict.SEND
    assert write("opp_2", 2, NOW - dt.timedelta(days=9)) is Verdict.STALE


def test_a_value_that_is_wanted_again_is_unchanged_and_guarded(write, ledger, crm_command, stored):
    """The value is known as before; the run that wants it sets the data time, by either way of comparing."""
    for record_id in ("opp_1", "opp_2"):
        write(record_id, 1, FUTURE)
    crm_command("fence", "clear", ACCOUNT)
    assert {row["as_of"] for row in stored(field_states)} == {None}
    assert write("opp_1", 1, NOW) is Verdict.UNCHANGED
    assert ledger.unchanged_rows(DesiredRows(["opp_2"], {"value": ["1"]}, [NOW])) == {0}
    earlier = NOW - dt.timedelta(days=1)
    assert [write(record_id, 2, earlier) for record_id in ("opp_1", "opp_2")] == [Verdict.STALE] * 2


def test_what_a_killed_run_has_claimed_is_freed(ledger, write, crm_command, stored):
    """Its lease is over, and its value may have landed or not, so the next run writes."""
    write("opp_1", 1, NOW)
    ledger.claim([DesiredRow("opp_1", {"value": "2"}, FUTURE), DesiredRow("opp_2", {"value": "2"}, FUTURE)])
    assert "opp_2 value: data time 9999-12-31 00:00 UTC is being written by a run now" in crm_command(
        "fence", "clear", ACCOUNT
    )
    engine = ledger._database.engine
    with engine.begin() as connection:
        connection.execute(sa.update(field_states).values(claimed_until=NOW - dt.timedelta(hours=1)))
    assert crm_command("fence", "clear", ACCOUNT).count("cleared") == 2
    assert [write(record_id, 1, NOW) for record_id in ("opp_1", "opp_2")] == [Verdict.SEND] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["close:typo:orga"], f"knows no account 'close:typo:orga'; it knows {ACCOUNT}."),
        ([ACCOUNT, "opp_1", "opp_9"], "knows no record 'opp_9' of account"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(write, crm_command, stored, words, message):
    """An account or record that the ledger does not know is named."""
    write("opp_1", 1, FUTURE)
    before = stored(field_states)
    assert message in crm_command("fence", "clear", *words)
    assert stored(field_states) == before
