"""The ledger's verdicts on a row: send, unchanged, stale, busy; on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
import random
import threading

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import changes, field_states
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement, Verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.values.record_ids import LONGEST_RECORD_ID, path_segment

from .conftest import DAY, desired


def settle(ledger, one, claim, word=OutcomeWord.UPDATED, written=None):
    """Record the end of a claimed row."""
    done = claim.fields if word is OutcomeWord.UPDATED else frozenset(written or ())
    ledger.settle([Settlement(ClaimedRow(one, claim), Outcome(0, one.record_id, word, "CODE", "reason"), done)])


def push(ledger, one, word=OutcomeWord.UPDATED, **options):
    """Claim one row and, if it is to be sent, settle it; returns the claim."""
    (claim,) = ledger.claim([one], **options)
    if claim.verdict is Verdict.SEND:
        settle(ledger, one, claim, word)
    return claim


def test_a_first_value_is_sent_and_then_unchanged(ledger):
    """A value that the CRM acknowledged is not sent again, unless `changes_only` is False."""
    assert push(ledger(), desired(value=1)).fields == {"value"}
    assert push(ledger(), desired(value=1, day=1)).verdict is Verdict.UNCHANGED
    assert push(ledger(), desired(value=1, day=2), changes_only=False).fields == {"value"}


def test_only_changed_fields_are_sent(ledger):
    """A row of which one field changed sends that field."""
    push(ledger(), desired(value=1, note="a"))
    assert push(ledger(), desired(value=2, note="a", day=1)).fields == {"value"}


def test_there_and_back_is_three_writes(ledger):
    """A, B, A: the last value is compared, not a set of values that were seen."""
    assert [push(ledger(), desired(value=value, day=day)).verdict for day, value in enumerate("aba")] == [
        Verdict.SEND
    ] * 3


def test_older_data_is_stale(ledger):
    """A field is not written with data older than the last acknowledged; data of the same time is."""
    push(ledger(), desired(value=2, day=2))
    claim = push(ledger(), desired(value=1, day=1))
    assert (claim.verdict, claim.stale) == (Verdict.STALE, {"value"})
    assert push(ledger(), desired(value=3, day=2)).verdict is Verdict.SEND


def test_newer_data_that_agrees_keeps_older_data_out(ledger):
    """A on day 1, A on day 3 (no call), B of day 2 arrives late: it is stale."""
    push(ledger(), desired(value="a", day=1))
    assert push(ledger(), desired(value="a", day=3)).verdict is Verdict.UNCHANGED
    assert push(ledger(), desired(value="b", day=2)).verdict is Verdict.STALE


def test_a_row_may_be_stale_in_one_field_and_new_in_another(ledger):
    """Order is kept per field."""
    push(ledger(), desired(value=2, day=2))
    claim = push(ledger(), desired(value=1, note="n", day=1))
    assert (claim.verdict, claim.fields, claim.stale) == (Verdict.SEND, {"note"}, {"value"})


def test_a_claim_keeps_others_waiting_and_older_data_out(ledger):
    """While a value is on its way, newer data waits for it, older data is stale."""
    first = ledger("first")
    (claim,) = first.claim([desired(value=5, day=5)])
    (newer,) = ledger("second").claim([desired(value=6, day=6)])
    assert newer.verdict is Verdict.BUSY
    assert 55 < newer.busy_seconds <= 60
    assert ledger("third").claim([desired(value=4, day=4)])[0].verdict is Verdict.STALE
    settle(first, desired(value=5, day=5), claim)
    assert ledger("second").claim([desired(value=6, day=6)])[0].verdict is Verdict.SEND


def test_a_retry_waits_for_what_its_own_run_has_claimed(ledger):
    """The process of an earlier try may still run, and send until its lease is over."""
    earlier = ledger("run")
    (claim,) = earlier.claim([desired(value=1)])
    assert ledger("run").claim([desired(value=2)])[0].verdict is Verdict.BUSY
    settle(earlier, desired(value=1), claim)
    assert ledger("run").claim([desired(value=2)])[0].verdict is Verdict.SEND


def test_a_lease_that_ran_out_is_taken_over_and_its_value_doubted(ledger):
    """After a crash the next run takes the row, and knows that the earlier value may have landed."""
    push(ledger("before"), desired(value=1))
    ledger("killed", lease=-1.0).claim([desired(value=2, day=1)])
    (claim,) = ledger("next").claim([desired(value=1, day=2)])
    assert (claim.verdict, claim.doubtful, claim.before) == (Verdict.SEND, {"value"}, {})


def test_who_lost_the_claim_cannot_renew_or_acknowledge(ledger, engine):
    """A sender whose lease was taken over gets no renewal, and its late outcome changes nothing."""
    slow = ledger("slow", lease=-1.0)
    (old,) = slow.claim([desired(value=2, day=1)])
    (new,) = ledger("fast").claim([desired(value=3, day=2)])
    assert slow.renew(desired(value=2, day=1), old) is None
    settle(slow, desired(value=2, day=1), old)
    with engine.connect() as connection:
        row = connection.execute(sa.select(field_states)).one()
    assert (row.value, row.known, row.claim_run_key) == (None, False, "fast")
    assert new.verdict is Verdict.SEND


def test_a_claim_is_renewed_by_its_holder(ledger):
    """The holder extends its lease, also after it ran out, as long as no other run took it."""
    slow = ledger(lease=-1.0)
    (claim,) = slow.claim([desired(value=2)])
    assert slow.renew(desired(value=2), claim) is not None


def test_a_refused_row_leaves_the_value_known(ledger):
    """After a refusal the CRM holds what it held: that value is not sent again."""
    push(ledger(), desired(value=1))
    push(ledger(), desired(value=2, day=1), OutcomeWord.REJECTED)
    assert push(ledger(), desired(value=1, day=1)).verdict is Verdict.UNCHANGED


def test_what_ended_without_a_word_is_sent_again(ledger):
    """After a failure or an unknown outcome it is not known what the CRM holds: even the old value is sent."""
    for number, word in enumerate((OutcomeWord.FAILED, OutcomeWord.UNKNOWN, OutcomeWord.IGNORED)):
        record = f"oppo_{number}"
        push(ledger(), desired(record, value=1))
        push(ledger(), desired(record, value=2, day=1), word)
        assert push(ledger(), desired(record, value=1, day=1)).verdict is Verdict.SEND


def test_a_refused_row_is_not_tried_again_until_it_changes(ledger):
    """The same values are refused without a call, with the age and the number of attempts; changed ones are sent."""
    push(ledger(), desired(value=1), OutcomeWord.REJECTED)
    claim = push(ledger(), desired(value=1, day=1))
    assert claim.verdict is Verdict.REFUSED_BEFORE
    assert (claim.refused.attempts, claim.refused.reason) == (1, "reason")
    assert push(ledger(), desired(value=1, day=2), OutcomeWord.REJECTED, retry_rejected=True).verdict is Verdict.SEND
    assert push(ledger(), desired(value=1, day=3)).refused.attempts == 2
    assert push(ledger(), desired(value=2, day=4)).verdict is Verdict.SEND
    assert push(ledger(), desired(value=1, day=5)).verdict is Verdict.SEND


def test_half_a_row_is_acknowledged_for_half(ledger):
    """Of a row that failed half-way, what landed is on record and only the rest is sent again."""
    one = desired(deal_value=1, status='"won"')
    first_run = ledger()
    (claim,) = first_run.claim([one])
    settle(first_run, one, claim, OutcomeWord.FAILED, written={"deal_value"})
    assert ledger().claim([one])[0].fields == {"status"}


def test_accounts_do_not_know_each_other(ledger):
    """A sandbox never shadows production: the same record of another account is a record of its own."""
    push(ledger(account="close:sandbox"), desired(value=1))
    assert ledger(account="close:production").claim([desired(value=1)])[0].verdict is Verdict.SEND


def test_named_fields_are_kept_as_hashes(ledger, engine):
    """The value of a hashed field is compared, and is nowhere in the database."""
    hashed = frozenset({"email"})
    push(ledger(hashed=hashed), desired(email="jane@example.com"))
    assert push(ledger(hashed=hashed), desired(email="jane@example.com", day=1)).verdict is Verdict.UNCHANGED
    assert push(ledger(hashed=hashed), desired(email="joan@example.com", day=1)).verdict is Verdict.SEND
    with engine.connect() as connection:
        rows = [connection.execute(sa.select(table)).all() for table in (field_states, changes)]
    assert "example.com" not in str(rows)


def test_the_change_log_tells_before_and_after(ledger, engine):
    """Every value that was sent is in the change log, with what stood there before as far as it is known."""
    push(ledger("one"), desired(value=1))
    push(ledger("two"), desired(value=2, day=1))
    with engine.connect() as connection:
        rows = connection.execute(sa.select(changes).order_by(changes.c.id)).all()
    assert [(row.run_key, row.before, row.before_known, row.after, row.outcome) for row in rows] == [
        ("one", None, False, "1", "updated"),
        ("two", "1", True, "2", "updated"),
    ]


def test_times_come_back_as_utc(ledger, engine):
    """Both databases give back the very moment that was stored."""
    push(ledger(), desired(value=1, day=3))
    with engine.connect() as connection:
        as_of = connection.execute(sa.select(field_states.c.as_of)).scalar_one()
    assert (as_of - DAY).days == 3
    assert as_of.utcoffset().total_seconds() == 0


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_claim_sees_the_one_it_has_waited_for(ledger, engine, level):
    """For every default level of the server: a snapshot from before the wait would show the record as free."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(
            f"ALTER DATABASE {engine.url.database} SET default_transaction_isolation = '{level}'"
        )
    engine.dispose()
    second, claims = ledger("second"), []
    waiting = threading.Thread(target=lambda: claims.extend(second.claim([desired(value=6, day=6)])))
    with Database(engine).transaction(lock="close:test:orga") as connection:
        waiting.start()
        while not connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one():
            pass
        connection.execute(
            sa.insert(field_states).values(
                account="close:test:orga",
                record_id="oppo_1",
                field="value",
                known=False,
                claim_token="first",
                claim_as_of=DAY,
                claimed_until=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1),
            )
        )
    waiting.join()
    assert [claim.verdict for claim in claims] == [Verdict.BUSY]


@pytest.mark.parametrize("word", [OutcomeWord.UPDATED, OutcomeWord.REJECTED])
def test_the_longest_record_id_has_room_in_every_index(ledger, word):
    """An id that passes the checks never stops a run: PostgreSQL's indexes hold some 2,700 bytes."""
    rng = random.Random(1)  # which no index compresses
    record = "".join(chr(rng.randrange(0x10000, 0x20000)) for _ in range(LONGEST_RECORD_ID))
    path_segment(record)
    assert push(ledger(), desired(record, value=1), word).verdict is Verdict.SEND


def test_a_row_with_an_impossible_id_is_logged_all_the_same(ledger, engine):
    """A refused row's id may be anything: what the database can hold of it is kept."""
    rng = random.Random(1)
    record = "\0\ud800" + "".join(chr(rng.randrange(0x10000, 0x20000)) for _ in range(5_000))
    ledger().note([(Outcome(0, record, OutcomeWord.INVALID, "RECORD_ID", "no id"), ())])
    with engine.connect() as connection:
        logged_id = connection.execute(sa.select(changes.c.record_id)).scalar_one()
    assert logged_id == " ?" + record[2:LONGEST_RECORD_ID]
