"""A value that an answer disproves counts as unknown, on both kinds of database."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement, Verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

from .conftest import desired


def ended(row, claim, word, **more):
    """How a claimed row ended."""
    written = claim.fields if word is OutcomeWord.UPDATED else frozenset()
    return Settlement(ClaimedRow(row, claim), Outcome(0, row.record_id, word, "CODE", "reason"), written, **more)


@pytest.fixture
def run(ledger):
    """One run of one row; returns the ledger's verdict."""

    def go(row, word=OutcomeWord.UPDATED, **more):
        book = ledger()
        (claim,) = book.claim([row])
        if claim.verdict is Verdict.SEND:
            book.settle([ended(row, claim, word, **more)])
        return claim.verdict

    return go


def known(engine):
    """Which fields are known to hold what is on record."""
    with engine.connect() as connection:
        return set(connection.execute(sa.select(field_states.c.field).where(field_states.c.known)).scalars())


def test_a_record_that_is_gone_takes_all_its_fields_along(run, engine):
    """Also those that the row did not send: with the earlier values the next row is sent."""
    assert run(desired(value=1, note=2)) is Verdict.SEND
    assert run(desired(value=9), OutcomeWord.REJECTED, gone=True) is Verdict.SEND
    assert known(engine) == set()
    assert run(desired(note=2)) is Verdict.SEND
    assert run(desired(value=1)) is Verdict.SEND
    assert run(desired(value=1, note=2)) is Verdict.UNCHANGED


def test_other_records_and_accounts_are_not_touched(run, ledger, engine):
    """A 404 is about one id of one account."""
    run(desired("oppo_2", value=1))
    other = ledger(account="close:test:other")
    (claim,) = other.claim([desired(value=1)])
    other.settle([ended(desired(value=1), claim, OutcomeWord.UPDATED)])
    run(desired(value=9), OutcomeWord.REJECTED, gone=True)
    assert run(desired("oppo_2", value=1)) is Verdict.UNCHANGED
    (claim,) = other.claim([desired(value=1)])
    assert claim.verdict is Verdict.UNCHANGED


def test_a_row_that_ends_later_does_not_bring_the_belief_back(run, ledger, engine):
    """Another row of the record was on its way, and was not sent: what it knew before it began is not true any more."""
    run(desired(value=1, note=2))
    book = ledger("other run")
    (claim,) = book.claim([desired(note=3)])
    run(desired(value=9), OutcomeWord.REJECTED, gone=True)
    book.settle([ended(desired(note=3), claim, OutcomeWord.NOT_SENT, sent=False)])
    assert known(engine) == set()
    assert run(desired(note=2)) is Verdict.SEND


def test_a_field_that_the_answer_shows_otherwise_is_sent_next_time(run, engine):
    """Only that field: the others are known as they were."""
    run(desired(value=1, note=2, stage=3))
    assert run(desired(value=1, note=2, stage=4), disproved=frozenset({"value"})) is Verdict.SEND
    assert known(engine) == {"note", "stage"}
    assert run(desired(value=1, note=2, stage=4)) is Verdict.SEND


def test_the_data_time_stays(run):
    """Older data does not get past newer because the record was made again."""
    run(desired(value=1, day=5))
    run(desired(value=2, day=6), OutcomeWord.REJECTED, gone=True)
    assert run(desired(value=3, day=4)) is Verdict.STALE


def test_a_plan_that_finds_no_record_says_so(run, ledger, engine):
    """Records that a read does not find are forgotten, many at once or none."""
    run(desired("oppo_1", value=1))
    run(desired("oppo_2", value=1))
    ledger().forget([])
    ledger().forget(["oppo_1", "oppo_3"])
    assert run(desired("oppo_1", value=1)) is Verdict.SEND
    assert run(desired("oppo_2", value=1)) is Verdict.UNCHANGED


def test_two_workers_that_forget_one_record_do_not_block_each_other(run, ledger, engine):
    """Each holds a field of the record and forgets all of them: the rows are locked in one order."""
    errors = []

    def forget(own, number):
        book = ledger(f"worker {number}")
        for day in range(10):
            row = desired(**{own: day}, day=number)
            try:
                (claim,) = book.claim([row], changes_only=False)
                if claim.verdict is Verdict.SEND:
                    book.settle([ended(row, claim, OutcomeWord.REJECTED, gone=True)])
            except Exception as err:  # noqa: BLE001 - whatever it is, the test fails with it
                errors.append(err)

    threads = [threading.Thread(target=forget, args=(own, 1)) for own in ("value", "note", "stage")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
