"""Hashes of fields that must not be readable: keyed, so that trying all phone numbers finds none."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from airflow_provider_crm.database.field_hashes import FieldHashes, HashKey
from airflow_provider_crm.database.schema import changes, field_states, rejects
from airflow_provider_crm.ledger.claims import Verdict
from airflow_provider_crm.values.opportunity import OutcomeWord

from .conftest import by_columns, desired
from .test_claims import push, settle

PHONE = frozenset({"phone"})
NUMBER = "+49 170 0000042"


def everything(engine):
    """All that the tables hold, as text."""
    with engine.connect() as connection:
        return str([connection.execute(sa.select(table)).all() for table in (field_states, changes, rejects)])


def test_trying_all_numbers_finds_no_hash(ledger, engine):
    """No table holds the SHA-256 of a hidden value, nor one of a row that consists of it, also of refused rows."""
    push(ledger(hashed=PHONE), desired(phone=NUMBER))
    other = ledger("other", hashed=PHONE)
    one = desired("oppo_2", phone=NUMBER)
    (claim,) = other.claim([one])
    settle(other, one, claim, OutcomeWord.REJECTED)
    stored = everything(engine)
    assert "hmac:" in stored
    for guess in (NUMBER, f'"{NUMBER}"', f'{{"phone": "{NUMBER}"}}'):
        assert hashlib.sha256(guess.encode()).hexdigest() not in stored
    assert FieldHashes().fingerprint(one.values) not in stored


def test_a_state_under_another_key_is_unknown_and_written_once_more(ledger):
    """A new key makes every hash say nothing: the row is sent again, and then is unchanged under the new key."""
    push(ledger(hashed=PHONE), desired(phone=NUMBER))
    columns = by_columns([desired(phone=NUMBER, day=1)])
    changed = ledger(hashed=PHONE, key=b"new")
    assert changed.unchanged_rows(columns) == frozenset()
    assert {state.value for state in changed.states(["oppo_1"]).values()} == {None}
    (claim,) = changed.claim([desired(phone=NUMBER, day=1)])
    assert (claim.verdict, claim.before) == (Verdict.SEND, {})
    settle(changed, desired(phone=NUMBER, day=1), claim, OutcomeWord.UPDATED)
    rehashed = ledger(hashed=PHONE, key=b"new")
    assert rehashed.claim([desired(phone=NUMBER, day=2)])[0].verdict is Verdict.UNCHANGED


def test_an_unsalted_hash_says_nothing(ledger, engine):
    """A hash of another kind, as a table from elsewhere may hold it, counts as unknown, and is not taken for text."""
    push(ledger(hashed=PHONE), desired(phone=NUMBER))
    with engine.begin() as connection:
        connection.execute(
            sa.update(field_states).values(value=f"sha256:{hashlib.sha256(NUMBER.encode()).hexdigest()}")
        )
    for hashed in (PHONE, frozenset()):
        new_run = ledger(hashed=hashed)
        assert {state.value for state in new_run.states(["oppo_1"]).values()} == {None}
    assert new_run.claim([desired(phone=NUMBER, day=1)])[0].verdict is Verdict.SEND


def test_refused_values_rest_under_the_same_key_only(ledger):
    """Values that were refused rest; under another key it is not known that they are the same, and they are sent."""
    new_run = ledger(hashed=PHONE)
    (claim,) = new_run.claim([desired(phone=NUMBER)])
    settle(new_run, desired(phone=NUMBER), claim, OutcomeWord.REJECTED)
    assert ledger(hashed=PHONE).claim([desired(phone=NUMBER)])[0].verdict is Verdict.REFUSED_BEFORE
    assert ledger(hashed=PHONE, key=b"new").claim([desired(phone=NUMBER)])[0].verdict is Verdict.SEND


def test_a_key_shows_nothing_of_itself():
    """Neither repr nor id tell the secret, and another purpose has another key."""
    key = HashKey(b"a secret of some length")
    assert "secret" not in repr(key) + repr(FieldHashes(PHONE, key))
    derived = key.derived("ledger")
    assert (derived, len(derived.key_id)) == (HashKey(b"a secret of some length").derived("ledger"), 8)
    assert len({key.hash("1"), derived.hash("1"), key.derived("other").hash("1")}) == 3
