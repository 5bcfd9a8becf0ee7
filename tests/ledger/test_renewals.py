"""The claims of many rows are renewed together, and each row that another run has taken over is named."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement, Verdict
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.ledger.states import Renewed
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

from .conftest import desired
from .test_batches import read_so_far

RECORDS = [f"oppo_{number}" for number in range(200)]


def claimed(ledger, records, **values):
    """Claim a row of each record."""
    rows = [desired(record, **(values or {"value": 1, "note": "n"})) for record in records]
    claims = ledger.claim(rows)
    assert {claim.verdict for claim in claims} == {Verdict.SEND}
    return [ClaimedRow(row, claim) for row, claim in zip(rows, claims, strict=True)]


def ends_of_claims(engine):
    """The end of each claim on record, by record and field."""
    query = sa.select(field_states.c.record_id, field_states.c.field, field_states.c.claimed_until)
    with engine.connect() as connection:
        return {(record, field): until for record, field, until in connection.execute(query)}


def statements(engine):
    """The statements that are executed from now on."""
    seen = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    return seen


def test_all_claims_are_renewed_until_one_deadline(engine):
    """The deadline counts from before the renewal, by the clock of the process, and all fields are kept as long."""
    seconds = [1_000.0]
    clock = Clock(monotonic=lambda: seconds[0])
    ledger = Ledger(Database(engine), account="a", run_key="r", lease=60.0, clock=clock, combine=combined)
    rows = claimed(ledger, RECORDS)
    before = ends_of_claims(engine)
    seconds[0] += 40.0
    assert ledger.renew_all(rows) == Renewed(1_100.0, frozenset())
    after = ends_of_claims(engine)
    assert len(set(after.values())) == 1
    assert all(after[field] > until for field, until in before.items())


def test_claims_that_have_run_out_are_renewed_while_nobody_took_them(ledger, engine):
    """As a single one is."""
    slow = ledger(lease=-1.0)
    rows = claimed(slow, RECORDS[:3])
    assert slow.renew_all(rows).lost == frozenset()


def test_rows_that_another_run_has_taken_over_are_named_and_the_others_renewed(ledger, engine):
    """A row is lost with the first of its fields; its claims in the hands of the other run stay as they are."""
    slow = ledger("slow", lease=-1.0)
    rows = claimed(slow, RECORDS)
    one_field, whole = RECORDS[7], RECORDS[150]
    other = ledger("other", lease=3_600.0)
    claimed(other, [one_field], note="x")
    claimed(other, [whole])
    before = ends_of_claims(engine)
    assert slow.renew_all(rows).lost == {one_field, whole}
    after = ends_of_claims(engine)
    theirs = {(one_field, "note"), (whole, "note"), (whole, "value")}
    assert {field: after[field] for field in theirs} == {field: before[field] for field in theirs}
    assert all(after[field] > before[field] for field in after.keys() - theirs)


def test_if_all_were_taken_over_all_are_lost(ledger):
    """And nothing of the other run's claims changes."""
    slow = ledger("slow", lease=-1.0)
    rows = claimed(slow, RECORDS[:5])
    claimed(ledger("other"), RECORDS[:5])
    assert slow.renew_all(rows).lost == set(RECORDS[:5])


@pytest.mark.parametrize("word", [OutcomeWord.UPDATED, OutcomeWord.FAILED])
def test_a_row_that_was_settled_has_no_claim_to_renew(ledger, word):
    """It counts as lost: nothing of it may be sent again under that claim."""
    mine = ledger()
    rows = claimed(mine, RECORDS[:3])
    outcome = Outcome(0, RECORDS[1], word, "CODE", "reason")
    mine.settle([Settlement(rows[1], outcome, rows[1].claim.fields)])
    assert mine.renew_all(rows).lost == {RECORDS[1]}


def test_other_claims_on_a_record_run_out_as_they_would(ledger, engine):
    """Another row of the same run may have claimed other fields of the record: nobody asked to renew these."""
    mine = ledger()
    rows = claimed(mine, RECORDS[:2], note="n")
    claimed(mine, RECORDS[:2], value=1)
    before = ends_of_claims(engine)
    assert mine.renew_all(rows).lost == frozenset()
    after = ends_of_claims(engine)
    assert {field for field in after if after[field] > before[field]} == {(one, "note") for one in RECORDS[:2]}


def test_without_a_row_nothing_is_lost(ledger):
    """An empty batch asks for nothing."""
    assert ledger().renew_all([]).lost == frozenset()


def test_the_number_of_statements_does_not_grow_with_the_rows(ledger, engine):
    """Claiming, renewing, settling and releasing 200 rows takes as many statements as that of two."""
    counts = []
    seen = statements(engine)
    for records in (RECORDS[:2], RECORDS):
        for word in (OutcomeWord.UPDATED, OutcomeWord.REJECTED):
            mine = ledger(account=f"{len(records)} {word}")
            del seen[:]
            rows = claimed(mine, records)
            mine.renew_all(rows)
            outcome = Outcome(0, "", word, "CODE", "reason")
            mine.settle([Settlement(row, outcome) for row in rows])
            mine.release(records)
            counts.append(len(seen))
    assert counts[:2] == counts[2:]


def test_a_renewal_keeps_others_away(ledger, engine):
    """Until the new end of the lease, the record is busy for every other run."""
    holder = ledger(lease=0.0)
    rows = claimed(holder, RECORDS[:2])
    holder._lease = 3_600.0
    assert holder.renew_all(rows).lost == frozenset()
    (claim,) = ledger("other").claim([desired(RECORDS[0], value=5, day=1)])
    assert (claim.verdict, claim.busy_seconds > 3_000) == (Verdict.BUSY, True)
    assert min(ends_of_claims(engine).values()) > dt.datetime.now(dt.UTC) + dt.timedelta(minutes=50)


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("analysed", [False, True])
def test_a_batch_reads_its_own_records_and_not_the_whole_ledger(ledger, engine, analysed):
    """Whether or not PostgreSQL knows how large the table is, it finds the records of a batch by their index."""
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE crm_field_states SET (autovacuum_enabled = false)")
        connection.exec_driver_sql(
            "INSERT INTO crm_field_states (account, record_id, field, known, value, as_of) "
            "SELECT 'close:test:orga', 'oppo_' || number, field, true, '1', '2026-03-01' "
            "FROM generate_series(1, 20000) AS number, unnest(ARRAY['value', 'note', 'confidence']) AS field"
        )
        if analysed:
            connection.exec_driver_sql("ANALYZE crm_field_states")
    mine, before = ledger(), read_so_far(engine)
    rows = claimed(mine, [f"oppo_{number}" for number in range(1, 201)], value=2, note=2, confidence=2)
    mine.renew_all(rows)
    outcome = Outcome(0, "", OutcomeWord.UPDATED)
    mine.settle([Settlement(row, outcome, row.claim.fields, gone=row.record_id == "oppo_7") for row in rows])
    mine.release([row.record_id for row in rows])
    assert read_so_far(engine) - before <= 10 * 3 * len(rows)
