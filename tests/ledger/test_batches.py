"""Whole batches: what is settled without a claim, and records that occur several times, where the newest counts."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_provider_crm.ledger_claims import Settlement, Verdict
from airflow_provider_crm.ledger_schema import changes
from airflow_provider_crm.opportunity import Outcome, OutcomeWord

from .conftest import wish
from .test_claims import push


def test_older_data_in_one_batch_with_newer_that_agrees_is_stale(ledger):
    """The newer row needs no call, and keeps the older one out all the same."""
    push(ledger(), wish(value="a", day=0))
    claims = ledger().claim([wish(value="a", day=3), wish(value="b", day=2)])
    assert [claim.verdict for claim in claims] == [Verdict.UNCHANGED, Verdict.STALE]


def test_the_newest_of_several_that_agree_is_kept(ledger):
    """Whatever the other rows of the batch are, the data time on record never goes back."""
    push(ledger(), wish("r", value="a", day=0))
    push(ledger(), wish("s", value="a", day=0))
    ledger().claim([wish("s", value="a", day=3), wish("r", value="a", day=1), wish("r", value="a", day=3)])
    assert ledger().claim([wish("r", value="b", day=2)])[0].verdict is Verdict.STALE


def test_rows_that_the_crm_holds_are_settled_without_a_claim(ledger):
    """Only a row of which every field is known, free and not newer is settled; its position tells which."""
    for record in ("held", "changed", "newer", "doubtful"):
        push(ledger(), wish(record, value=1, note="a"))
    push(ledger(), wish("newer", value=1, day=5))
    push(ledger(), wish("doubtful", note="b"), OutcomeWord.FAILED)
    push(ledger(), wish("claimed", value=1))
    ledger().claim([wish("claimed", value=2)])
    rows = [
        wish(record, value=2 if record == "changed" else 1, day=1)
        for record in ("changed", "held", "newer", "claimed", "unheard of", "doubtful")
    ]
    assert ledger().settled(rows) == {1, 5}
    assert ledger().settled([wish("doubtful", value=1, note="b", day=1)]) == set()


def test_a_settled_row_keeps_older_data_out(ledger):
    """Newer data that agrees is noted, so that what arrives late in between is stale."""
    push(ledger(), wish(value="a", day=0))
    assert ledger().settled([wish(value="a", day=3)]) == {0}
    assert push(ledger(), wish(value="b", day=2)).verdict is Verdict.STALE


def test_a_record_that_occurs_twice_is_not_settled_at_once(ledger):
    """Its rows have to be decided one after another."""
    push(ledger(), wish(value="a", day=0))
    assert ledger().settled([wish(value="a", day=3), wish(value="a", day=1)]) == set()


def test_hashed_fields_are_settled_by_their_hashes(ledger):
    """The same value has the same hash."""
    hashed = frozenset({"email"})
    push(ledger(hashed=hashed), wish(email="a@b.c"))
    assert ledger(hashed=hashed).settled([wish(email="a@b.c", day=1), wish("other", email="a@b.c")]) == {0}


def test_texts_that_postgresql_does_not_store_are_kept_as_far_as_it_does(ledger, engine):
    """A vendor's message may hold NUL or half a character: the row is recorded all the same."""
    first, one = ledger(), wish(value="nul \\u0000")
    (claim,) = first.claim([one])
    bad = Outcome(0, one.record_id, OutcomeWord.REJECTED, "CO\0DE", "no: \0 \ud800 \u00e9")
    first.settle([Settlement(one, claim, bad, frozenset())])
    first.note([(bad, ())])
    with engine.connect() as connection:
        reasons = {text for (text,) in connection.execute(sa.select(changes.c.reason))}
    assert reasons == {"no:   ? \u00e9"}
