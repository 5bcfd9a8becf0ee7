"""Read records before and after rows that share calls: in batches, where the vendor reads several records at once."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.write import write_update
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

from .batch_vendor import BatchClose
from .conftest import NOW


def words(outcomes):
    """How many rows ended in each way."""
    return dict(Counter(outcome.word.value for outcome in outcomes))


def nothing(update, record):
    """An inspection that lets every row pass."""


@pytest.mark.parametrize("reads", [100, 40, None])
def test_records_are_read_together_before_rows_are_written(push, crm, notes, reads):
    """Values that are in place are not written, and their rows leave the call; the reads are as few as can be."""
    for row in range(0, 1_000, 2):
        crm.records[f"oppo_{row}"] = {"note": f"new {row}"}
    assert words(push(BatchClose(reads=reads), inspect=nothing).run(notes())) == {"updated": 500, "unchanged": 500}
    assert crm.notes() == {f"oppo_{row}": f"new {row}" for row in range(1_000)}
    assert len(crm.reading) == {100: 11, 40: 1 + 9 * 3 + 3, None: 1_000}[reads]
    assert (len(crm.writing), sum(crm.sizes)) == (10, 500)


def test_a_row_that_an_inspection_refuses_leaves_its_call(push, crm, notes):
    """The others of its call land; a record that the CRM does not have is told so."""
    del crm.records["oppo_70"]

    def inspect(update, record):
        assert record == {"id": update.record_id, "note": "old"}
        if update.row % 10 == 3:
            return Outcome(update.row, update.record_id, OutcomeWord.REJECTED, "CONFLICT", "somebody changed it")
        return None

    outcomes = list(push(BatchClose(reads=100), inspect=inspect).run(notes(201)))
    assert words(outcomes) == {"updated": 180, "rejected": 21}
    assert Counter(one.code for one in outcomes) == {"": 180, "CONFLICT": 20, "NOT_FOUND": 1}
    assert sum(crm.sizes) == 180


def test_a_refused_call_is_halved_without_reading_again(push, crm, notes):
    """Its records were read already."""
    crm.poisoned = {"oppo_50": 400}
    assert words(push(BatchClose(reads=100), inspect=nothing).run(notes(101))) == {"updated": 100, "rejected": 1}
    assert len(crm.reading) == 2
    assert len(crm.writing) in {15, 16}


def test_values_before_are_captured_in_batches(push, crm, notes, ledger, engine):
    """With `capture_before` the change log knows what stood there; a second run reads nothing."""
    assert words(push(BatchClose(reads=100), ledger=ledger(), capture_before=True).run(notes())) == {"updated": 1_000}
    assert (len(crm.reading), len(crm.writing)) == (11, 11)
    with engine.connect() as connection:
        before = connection.execute(sa.select(changes.c.before)).scalars()
        assert set(before) == {'"old"'}
    again = push(BatchClose(reads=100), ledger=ledger("next"), capture_before=True)
    assert words(again.run(notes(text="newer"))) == {"updated": 1_000}
    assert crm.reading == []


def test_records_that_cannot_be_read_now(push, crm, notes):
    """The rows of that call have failed and were not sent; the others land."""
    crm.unreadable = {"oppo_150"}
    outcomes = list(push(BatchClose(reads=100), inspect=nothing, attempts=2).run(notes(301)))
    assert words(outcomes) == {"updated": 201, "failed": 100}
    assert crm.notes()["oppo_150"] == crm.notes()["oppo_101"] == "old"


def test_a_vendor_that_cannot_be_read_costs_few_calls(push, crm, notes):
    """Records are read one by one here; after two that cannot be read the others of their call are not asked for."""
    crm.unreadable = {f"oppo_{row}" for row in range(1, 101)}
    outcomes = list(push(inspect=nothing, attempts=2).run(notes(101)))
    assert words(outcomes) == {"updated": 1, "failed": 100}
    assert len(crm.reading) == 1 + 2 * 2


# After a call whose answer shows no values


def test_what_an_answer_does_not_show_is_read_in_batches(push, crm, notes):
    """1,000 rows are 11 calls that write and 11 that read; a dropped value is `ignored`."""
    crm.silent, crm.dropped = True, {"oppo_5"}
    outcomes = list(push(BatchClose(shows_values=False, reads=100)).run(notes()))
    assert words(outcomes) == {"updated": 999, "ignored": 1}
    assert (len(crm.reading), len(crm.writing)) == (11, 11)


def test_a_record_that_cannot_be_read_afterwards(push, crm, notes, ledger):
    """It was written, but nobody knows what the CRM holds: the row has failed, and the next run writes it again."""
    crm.silent, crm.unreadable = True, {"oppo_150"}
    vendor = BatchClose(shows_values=False, reads=100)
    outcomes = list(push(vendor, ledger=ledger(), attempts=2).run(notes(301)))
    assert words(outcomes) == {"updated": 201, "failed": 100}
    [reason] = {one.reason for one in outcomes if one.word is OutcomeWord.FAILED}
    assert reason.startswith("It was written, and what the CRM holds now could not be read: Close answered 503")
    crm.unreadable = set()
    assert words(push(vendor, ledger=ledger("next")).run(notes(301))) == {"updated": 100, "unchanged": 201}


def test_one_row_whose_answer_shows_nothing_is_read_too(push, crm):
    """A hook's own update compares as well: what the CRM shows afterwards is returned."""
    crm.silent = True
    pushing = push(BatchClose(shows_values=False))
    session, catalogue = pushing._session, pushing.catalogue
    update = Update(0, "oppo_7", {"note": "new"}, NOW)
    calls = calls_of("oppo_7", writes_of(update, session.account.vendor, catalogue))
    assert write_update(session, calls, "oppo_7", PushRules(), catalogue) == {"id": "oppo_7", "note": "new"}
    assert [method for method, *_ in crm.calls] == ["PUT", "GET"]
