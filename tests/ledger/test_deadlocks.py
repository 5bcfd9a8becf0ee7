"""Two workers that write the same rows at the same time wait for each other, and never in a circle."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import field_states, rejects
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement, Verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

from .conftest import DAY, desired

SLOWLY = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.2); RETURN COALESCE(NEW, OLD); END $$;
CREATE TRIGGER slowly BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION slowly();
"""


def settlements(ledger, desired_rows, word):
    """Claim rows, and say how each of them ended."""
    claims = ledger.claim(desired_rows)
    done = {
        one.record_id: frozenset(one.values) if word is OutcomeWord.UPDATED else frozenset() for one in desired_rows
    }
    return [
        Settlement(ClaimedRow(one, claim), Outcome(0, one.record_id, word, "CODE", "reason"), done[one.record_id])
        for one, claim in zip(desired_rows, claims, strict=True)
    ]


def store_at_once(*pairs):
    """Store the rows of several workers at the same time, those of one in one transaction; returns what went wrong."""
    errors, start = [], threading.Barrier(len(pairs))

    def store(ledger, ends):
        start.wait()
        try:
            ledger.settle(ends)
        except Exception as err:  # noqa: BLE001 - told below
            errors.append(err)

    threads = [threading.Thread(target=store, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_a_late_word_and_a_take_over_meet(ledger):
    """A worker settles rows whose leases ran out, in any order, while another takes them over."""
    desired_rows = [desired(f"oppo_{number:03d}", value=1) for number in range(150)]
    for _ in range(60):
        late = ledger("late", lease=-1.0)
        ends = settlements(late, desired_rows, OutcomeWord.FAILED)
        errors = []

        def settle(late=late, ends=ends, errors=errors):
            try:
                late.settle(list(reversed(ends)))
            except Exception as err:  # noqa: BLE001 - told below
                errors.append(err)

        thread = threading.Thread(target=settle)
        thread.start()
        ledger("next", lease=-1.0).claim(desired_rows)
        thread.join()
        assert errors == []


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("word", [OutcomeWord.REJECTED, OutcomeWord.UPDATED], ids=["refused", "healed"])
@pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
def test_a_refusal_and_another_word_on_the_same_records_meet(engine, ledger, word, step):
    """Two workers write two fields of the same two records; one refuses them, the other refuses or heals them.

    A trigger makes every row of `crm_rejects` take its time, so that both hold one record when they ask for the other.
    """
    records = ["oppo_1", "oppo_2"]
    first = ledger("first")
    for end in settlements(first, [desired(record, note="refused") for record in records], OutcomeWord.REJECTED):
        first.settle([end])
    with engine.begin() as connection:
        connection.exec_driver_sql(SLOWLY.format(table=rejects.name))
    one, other = ledger("one"), ledger("other")
    refusals = settlements(one, [desired(record, value=1, day=1) for record in records], OutcomeWord.REJECTED)
    words = settlements(other, [desired(record, note="new", day=1) for record in reversed(records)], word)
    assert all(end.row.claim.refused is not None for end in words)
    assert store_at_once((one, refusals[::step]), (other, words)) == []
    with engine.connect() as connection:
        states = connection.execute(sa.text("SELECT count(*) FROM crm_field_states WHERE claim_token IS NOT NULL"))
        assert states.scalar_one() == 0


@pytest.mark.parametrize("any_database", ["postgresql"], indirect=True)
def test_a_renewal_and_a_take_over_of_a_row_with_two_fields_meet(engine, ledger):
    """Both take the fields in one order, in whatever order the database finds them: here the second one first."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for way in ("indexscan", "bitmapscan", "indexonlyscan"):
            connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET enable_{way} = off")
    engine.dispose()
    holder, both = ledger("holder"), desired(a=1, b=1)
    (own_claim,) = holder.claim([both])
    with engine.begin() as connection:
        for key in ("b", "a"):  # what is updated last lies last
            over = sa.update(field_states).where(field_states.c.field == key).values(claimed_until=DAY)
            connection.execute(over)
        connection.exec_driver_sql(SLOWLY.format(table=field_states.name))
    renewed = []
    renewing = threading.Thread(target=lambda: renewed.append(holder.renew(both, own_claim)))
    renewing.start()
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        while not connection.exec_driver_sql(asleep).scalar_one():
            pass
    (claim,) = ledger("other").claim([desired(a=2, b=2, day=1)])
    renewing.join()
    assert (claim.verdict, renewed[0] is None) == (Verdict.BUSY, False)
