"""Rows that share calls, while they are on their way: one record twice, lost claims, ends in mid-run, crashes."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.schema import changes, field_states
from airflow_provider_crm.exceptions import LedgerUnavailableError
from airflow_provider_crm.values.opportunity import OutcomeWord, Update

from .batch_vendor import BatchClose
from .conftest import NOW


def words(outcomes):
    """How many rows ended in each way."""
    return dict(Counter(outcome.word.value for outcome in outcomes))


# One record twice


@pytest.mark.parametrize("rows_of_a_record", [2, 3])
@pytest.mark.parametrize("order", ["beside each other", "far apart"])
def test_rows_of_one_record_end_in_their_order(push, crm, any_ledger, order, rows_of_a_record):
    """They never share a call, are never on their way at once, and the later value stays."""
    count = 120
    record_of = [row // rows_of_a_record for row in range(count * rows_of_a_record)]
    if order == "far apart":
        record_of = [row % count for row in range(count * rows_of_a_record)]
    crm.seconds = 0.005
    rows = [Update(row, f"oppo_{record}", {"note": f"{row}"}, NOW) for row, record in enumerate(record_of)]
    outcomes = list(push(ledger=any_ledger).run(rows))
    assert sorted(outcome.row for outcome in outcomes) == list(range(len(rows)))
    assert words(outcomes) == {"updated": len(rows)}
    assert crm.overlapping == set()
    last = {f"oppo_{record}": f"{row}" for row, record in enumerate(record_of)}
    assert {record_id: crm.records[record_id]["note"] for record_id in last} == last
    assert all(len(set(ids)) == len(ids) for ids in crm.writing)
    assert len(crm.calls) <= 4 * rows_of_a_record + 4


def test_rows_of_one_record_that_go_alone_wait_for_those_that_share_a_call(push, crm):
    """A row that may not be sent twice is sent after the earlier row of its record, which shares a call."""
    rows = [Update(row, f"oppo_{row}", {"note": f"first {row}"}, NOW) for row in range(10)]
    rows += [Update(10 + row, f"oppo_{row}", {"confidence": row}, NOW) for row in range(10)]
    rows += [Update(20 + row, f"oppo_{row}", {"note": f"last {row}"}, NOW) for row in range(10)]
    assert words(push(_OnlyNotes(), fields=("note", "confidence")).run(rows)) == {"updated": 30}
    for row in range(10):
        of_record = [len(ids) > 1 for ids in crm.writing if f"oppo_{row}" in ids]
        assert len(of_record) == 3
        assert of_record[1] is False
    assert {crm.records[f"oppo_{row}"]["note"] for row in range(10)} == {f"last {row}" for row in range(10)}
    assert crm.overlapping == set()


class _OnlyNotes(BatchClose):
    """A vendor that takes only notes in calls for many rows."""

    def write_calls(self, keys):
        """Let rows with another key go alone."""
        made = super().write_calls(keys)
        return made if keys == ("note",) else tuple(replace(one, batch=None) for one in made)


def test_no_more_calls_at_once_than_concurrency(push, crm, notes):
    """`concurrency` counts calls: so many, with all their rows, are on their way."""
    at_once, lock, most = [0], threading.Lock(), [0]
    answer = crm.answer

    def counted(*call):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        try:
            return answer(*call)
        finally:
            with lock:
                at_once[0] -= 1

    crm.answer, crm.seconds = counted, 0.02
    assert words(push(concurrency=3, clock=Clock()).run(notes())) == {"updated": 1_000}
    assert 1 < most[0] <= 3


# Claims


def test_rows_whose_claim_is_lost_leave_their_call(push, crm, notes, ledger, engine, time):  # noqa: PLR0917 - fixtures
    """Another run takes two rows over while the call waits to be repeated: these have failed, the others land."""
    crm.faults = [503]
    taken = ["oppo_50", "oppo_60"]
    of_them = sa.update(field_states).where(field_states.c.record_id.in_(taken))

    def take_over():
        time.seconds += 1.0  # now the claims do not outlast another call
        with engine.begin() as connection:
            connection.execute(of_them.values(claim_token="another run"))

    time.before_sleep = take_over
    outcomes = list(push(ledger=ledger(lease=20.5), concurrency=1).run(notes()))
    lost = {one.record_id: (one.word.value, one.code) for one in outcomes if one.word is not OutcomeWord.UPDATED}
    assert lost == dict.fromkeys(taken, ("failed", "TAKEN_OVER"))
    assert {record_id: crm.records[record_id]["note"] for record_id in taken} == dict.fromkeys(taken, "old")
    assert words(outcomes)["updated"] == 998
    assert sorted(crm.sizes) == [1, 98, 99, *[100] * 9]


def test_a_ledger_that_fails_before_a_call_ends_the_run(push, crm, notes, ledger):
    """No row of the call is sent, as it could not be recorded."""
    one = ledger(lease=15.0)  # a claim that does not outlast a call is renewed before it
    pushing = push(ledger=one)

    def gone(_rows):
        raise LedgerUnavailableError("gone")

    one.renew_all = gone
    assert words(pushing.run(notes())) == {"not_sent": 1_000}
    assert (crm.calls, pushing.stopped.code) == ([], "LEDGER")


# Ends in mid-run


def test_an_end_while_a_call_waits_for_its_answer(push, crm, notes, ledger, claimed):
    """Its rows are unknown and keep their claims; rows that were not sent are given back; each is reported once."""
    answering = threading.Event()
    crm.faults = [None, answering]
    pushing = push(ledger=ledger())
    run = pushing.run(notes())
    seen = [next(run) for _ in range(101)]
    assert crm.arrived.wait(10)
    with pytest.raises(KeyboardInterrupt):
        run.throw(KeyboardInterrupt)
    answering.set()
    assert {one.record_id for one in seen} == {f"oppo_{row}" for row in range(101)}
    assert Counter((one.record_id, one.word.value) for one in pushing.unreported) == {
        (f"oppo_{row}", "unknown"): 1 for row in range(101, 201)
    }
    assert claimed() == {one.record_id for one in pushing.unreported}


def test_an_end_while_a_call_is_answered(push, crm, notes, ledger, claimed, engine):  # noqa: PLR0917 - fixtures
    """A call that is answered soon after the end is waited for: its rows have landed, and are on record."""
    answering = threading.Event()
    crm.faults = [answering]
    pushing = push(ledger=ledger())
    run = pushing.run(notes())
    seen = [next(run)]
    assert crm.arrived.wait(10)
    threading.Timer(0.1, answering.set).start()
    with pytest.raises(KeyboardInterrupt):
        run.throw(KeyboardInterrupt)
    assert words([*seen, *pushing.unreported]) == {"updated": 101}
    assert claimed() == set()
    with engine.connect() as connection:
        logged = connection.execute(sa.select(changes.c.record_id).where(changes.c.outcome == "updated")).scalars()
        assert sorted(logged) == sorted(f"oppo_{row}" for row in range(101))


def test_an_end_while_halves_wait(push, crm, notes, ledger, claimed):
    """A call that was refused as a whole has written nothing: its rows are given back when the run ends."""
    crm.poisoned = {"oppo_50": 400}
    pushing = push(ledger=ledger(), concurrency=1)
    run = pushing.run(notes())
    seen = [next(run) for _ in range(1)]
    run.close()
    told = [*seen, *pushing.unreported]
    assert max(Counter(one.record_id for one in told).values()) == 1
    assert {one.word for one in told} <= {OutcomeWord.UPDATED}
    assert claimed() == set()
    landed = {one.record_id for one in told}
    assert {record_id for record_id, note in crm.notes().items() if note != "old"} == landed
