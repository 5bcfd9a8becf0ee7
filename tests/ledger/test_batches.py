"""Whole batches: what is settled without a claim, and records that occur several times, where the newest counts."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, field_states
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement, Verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

from .conftest import DAY, by_columns, desired
from .test_claims import push


def test_older_data_in_one_batch_with_newer_that_agrees_is_stale(ledger):
    """The newer row needs no call, and keeps the older one out nevertheless."""
    push(ledger(), desired(value="a", day=0))
    claims = ledger().claim([desired(value="a", day=3), desired(value="b", day=2)])
    assert [claim.verdict for claim in claims] == [Verdict.UNCHANGED, Verdict.STALE]


def test_the_newest_of_several_that_agree_is_kept(ledger):
    """For all other rows of the batch, the data time on record never goes back."""
    push(ledger(), desired("r", value="a", day=0))
    push(ledger(), desired("s", value="a", day=0))
    ledger().claim([desired("s", value="a", day=3), desired("r", value="a", day=1), desired("r", value="a", day=3)])
    assert ledger().claim([desired("r", value="b", day=2)])[0].verdict is Verdict.STALE


def test_rows_that_the_crm_holds_are_settled_without_a_claim(ledger):
    """Only a row of which every field is known, free and not newer is settled; its position names it."""
    for record in ("held", "changed", "newer", "doubtful"):
        push(ledger(), desired(record, value=1, note="a"))
    push(ledger(), desired("newer", value=1, day=5))
    push(ledger(), desired("doubtful", note="b"), OutcomeWord.FAILED)
    push(ledger(), desired("claimed", value=1))
    ledger().claim([desired("claimed", value=2)])
    rows = [
        desired(record, value=2 if record == "changed" else 1, day=1)
        for record in ("changed", "held", "newer", "claimed", "unheard of", "doubtful")
    ]
    assert ledger().unchanged_rows(by_columns(rows)) == {1, 5}
    assert ledger().unchanged_rows(by_columns([desired("doubtful", value=1, note="b", day=1)])) == set()


def test_a_settled_row_keeps_older_data_out(ledger):
    """Newer data that agrees is noted, so that what arrives late in between is stale."""
    push(ledger(), desired(value="a", day=0))
    assert ledger().unchanged_rows(by_columns([desired(value="a", day=3)])) == {0}
    assert push(ledger(), desired(value="b", day=2)).verdict is Verdict.STALE


def test_a_record_that_occurs_twice_is_not_settled_at_once(ledger):
    """Its rows have to be decided one after another."""
    push(ledger(), desired(value="a", day=0))
    assert ledger().unchanged_rows(by_columns([desired(value="a", day=3), desired(value="a", day=1)])) == set()


def test_hashed_fields_are_settled_by_their_hashes(ledger):
    """The same value has the same hash."""
    hashed = frozenset({"email"})
    push(ledger(hashed=hashed), desired(email="a@b.c"))
    assert ledger(hashed=hashed).unchanged_rows(
        by_columns([desired(email="a@b.c", day=1), desired("other", email="a@b.c")])
    ) == {0}


def test_texts_that_postgresql_does_not_store_are_kept_as_far_as_it_does(ledger, engine):
    """A vendor's message may hold NUL or half a character: the row is recorded nevertheless."""
    first, one = ledger(), desired(value="nul \\u0000")
    (claim,) = first.claim([one])
    bad = Outcome(0, one.record_id, OutcomeWord.REJECTED, "CO\0DE", "no: \0 \ud800 \u00e9")
    first.settle([Settlement(ClaimedRow(one, claim), bad, frozenset())])
    first.note([(bad, ())])
    with engine.connect() as connection:
        reasons = {text for (text,) in connection.execute(sa.select(changes.c.reason))}
    assert reasons == {"no:   ? \u00e9"}


def test_fields_that_agree_are_confirmed_in_a_row_that_does_not(ledger):
    """Of a row that is left for a claim, the fields that the CRM holds keep older data out nevertheless."""
    push(ledger(), desired(value=1, note="a"))
    assert ledger().unchanged_rows(by_columns([desired(value=1, note="b", day=3)])) == set()
    assert push(ledger(), desired(value=2, day=2)).verdict is Verdict.STALE
    assert push(ledger(), desired(note="c", day=2)).fields == {"note"}


def test_rows_may_want_different_fields(ledger):
    """A field that a row does not name is not compared, and not confirmed; a row that names none is not settled."""
    push(ledger(), desired("r", value=1, note="a"))
    push(ledger(), desired("s", value=1, note="a"))
    rows = [
        desired("r", value=1, day=3),
        desired("s", note="a", day=3),
        desired("t", day=3),
        desired("u", note="a", day=3),
    ]
    assert ledger().unchanged_rows(by_columns(rows)) == {0, 1}
    assert push(ledger(), desired("r", note="b", day=2)).verdict is Verdict.SEND
    assert push(ledger(), desired("s", note="b", day=2)).verdict is Verdict.STALE
    assert ledger().unchanged_rows(by_columns([desired("r", day=3)])) == set()


def test_rows_that_were_settled_before_are_settled_again(ledger, engine):
    """A retry of the same run finds what it confirmed, and writes nothing."""
    push(ledger(), desired(value=1))
    for _ in range(2):
        assert ledger().unchanged_rows(by_columns([desired(value=1, day=3)])) == {0}
    with engine.connect() as connection:
        assert connection.execute(sa.select(field_states.c.as_of)).scalar_one() == DAY + dt.timedelta(days=3)


def test_long_texts_are_compared_in_parts(ledger, monkeypatch):
    """No statement grows without bound, whatever the texts are; positions are those of the whole."""
    monkeypatch.setattr("airflow_provider_crm.ledger.unchanged._LONGEST_TEXT", 2_000)
    rows = [desired(f"oppo_{number}", note="x" * 900) for number in range(9)]
    for row in rows[:4] + rows[5:]:
        push(ledger(), row)
    assert ledger().unchanged_rows(by_columns(rows)) == {0, 1, 2, 3, 5, 6, 7, 8}


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
def test_a_comparison_reads_its_rows_and_not_the_whole_ledger(ledger, engine):
    """Also while PostgreSQL has not looked at the table yet, and takes an account for a handful of rows."""
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE crm_field_states SET (autovacuum_enabled = false)")
        connection.exec_driver_sql(
            "INSERT INTO crm_field_states (account, record_id, field, known, value, as_of) "
            "SELECT 'close:test:orga', 'oppo_' || number, field, true, '1', '2026-03-01' "
            "FROM generate_series(1, 20000) AS number, unnest(ARRAY['value', 'note', 'confidence']) AS field"
        )
    before = read_so_far(engine)
    rows = [desired(f"oppo_{number}", value=1, note=1, confidence=1, day=1) for number in range(1, 501)]
    assert len(ledger().unchanged_rows(by_columns(rows))) == len(rows)
    assert read_so_far(engine) - before <= 2 * 3 * len(rows)


def data_times(engine):
    """Days of each field's data time after the first one."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(field_states.c.record_id, field_states.c.field, field_states.c.as_of))
        return {(record_id, key): (as_of - DAY).days for record_id, key, as_of in rows}


@pytest.mark.parametrize(
    ("others", "wanted", "known"),
    [
        ([], {"a": {"value": 1, "note": 2}, "c": {"value": 1, "note": 2}}, {"a", "c"}),
        ([], {"c": {"value": 1, "note": 2}, "a": {"value": 1, "note": 2}}, {"a", "c"}),
        ([("b", {"value": 1, "note": 2})], {"a": {"value": 1, "note": 2}, "c": {"value": 1, "note": 2}}, {"a", "c"}),
        ([("b", {"value": 1})], {"a": {"value": 1, "note": 2}, "c": {"value": 1, "note": 2}}, {"a", "c"}),
        ([("b", {"stage": 1})], {"a": {"value": 1, "note": 2}, "c": {"value": 1, "note": 2}}, {"a", "c"}),
        ([("a", {"stage": 1})], {"a": {"value": 1}, "c": {"value": 1}}, {"a", "c"}),
        ([], {"a": {"value": 1}, "c": {"note": 2}}, {"a", "c"}),
        ([], {"a": {"value": 1, "note": 2}, "c": {"value": 1, "note": 3}}, {"a"}),
        ([], {"a": {"value": 1, "note": 2}, "b": {"value": 1, "note": 2}, "c": {"value": 1, "note": 2}}, {"a", "c"}),
    ],
)
def test_only_wanted_fields_are_confirmed_whatever_lies_between_them(ledger, engine, others, wanted, known):
    """Neither other records and fields of the ledger, nor the order of the rows, change what is confirmed."""
    for record_id, values in [("a", {"value": 1, "note": 2}), ("c", {"value": 1, "note": 2}), *others]:
        push(ledger(), desired(record_id, **values))
    before = data_times(engine)
    rows = [desired(record_id, day=2, **values) for record_id, values in wanted.items()]
    found = ledger().unchanged_rows(by_columns(rows))
    assert {rows[number].record_id for number in found} == known
    right = {"value": "1", "note": "2"}
    confirmed = {
        (row.record_id, key)
        for row in rows
        for key, text in row.values.items()
        if (row.record_id, key) in before and right[key] == text
    }
    assert data_times(engine) == {field: 2 if field in confirmed else 0 for field in before}


def test_each_row_of_a_range_gets_its_own_data_time(ledger, engine):
    """Also where rows that follow each other in the ledger come with several."""
    for record_id in ("a", "b", "c"):
        push(ledger(), desired(record_id, value=1))
    rows = [desired(record_id, value=1, day=day) for record_id, day in (("a", 3), ("b", 1), ("c", 2))]
    assert ledger().unchanged_rows(by_columns(rows)) == {0, 1, 2}
    assert data_times(engine) == {("a", "value"): 3, ("b", "value"): 1, ("c", "value"): 2}


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
def test_unchanged_rows_are_confirmed_within_their_pages(ledger, engine):
    """Rows that were stored side by side are confirmed apart, so that PostgreSQL has to touch no index."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO crm_field_states (account, record_id, field, known, value, as_of) "
            "SELECT 'close:test:orga', 'oppo_' || number, field, true, '1', '2026-03-01' "
            "FROM generate_series(1000, 4999) AS number, unnest(ARRAY['value', 'note', 'confidence']) AS field "
            "ORDER BY number"
        )
    rows = [desired(f"oppo_{number}", value=1, note=1, confidence=1, day=1) for number in range(1000, 5000)]
    assert len(ledger().unchanged_rows(by_columns(rows))) == len(rows)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'crm_field_states'"
    with engine.begin() as connection:
        updated, within = connection.exec_driver_sql(counts).one()
    assert updated == 3 * len(rows)
    assert within >= 0.99 * updated


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
def test_an_id_with_the_separator_of_texts_leaves_rows_to_their_claims(ledger):
    """No vendor has such an id; a row must not be compared with the values of another one."""
    for record_id in ("a", "b\x1fc"):
        push(ledger(), desired(record_id, value=1))
    rows = [desired(record_id, value=1, day=1) for record_id in ("a", "b\x1fc")]
    assert ledger().unchanged_rows(by_columns(rows)) == set()
    assert [one.verdict for one in ledger().claim(rows)] == [Verdict.UNCHANGED] * 2


def read_so_far(engine):
    """How many field states PostgreSQL has read."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    counts = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'crm_field_states'"
    with engine.begin() as connection:
        return connection.exec_driver_sql(counts).scalar_one()
