"""Test the parts of a push by themselves: stops, claims that are kept, the ledger of a run, columns."""

from __future__ import annotations

import datetime as dt
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ClaimLostError,
    ConfigurationError,
    LedgerUnavailableError,
    NotReachedError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.ledger.claims import Claim, ClaimedRow, DesiredRow, DesiredRows, Verdict
from airflow_provider_crm.ledger.states import Renewed
from airflow_provider_crm.push.outage import OutageWatch
from airflow_provider_crm.push.prepare import RowResult, desired_row, desired_rows
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run_ledger import RunLedger
from airflow_provider_crm.push.stops import Stops
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.encoding import writes_of_all

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
CLOSE = VENDORS["close"]
CATALOGUE = CLOSE.catalogue([{"organizations": [{"id": "orga", "currency": "USD"}]}, {"fields": []}], {})
ROW = ClaimedRow(DesiredRow("oppo_1", {"note": '"n"'}, NOW), Claim(Verdict.SEND, fields=frozenset({"note"})))


# Stops


@pytest.mark.parametrize(
    ("err", "ends"),
    [
        (LedgerUnavailableError("x"), True),
        (NotReachedError("x"), True),
        (RateLimitedError("x", retry_after=61.0), True),
        (RateLimitedError("x", retry_after=60.0), False),
        (TransientError("x", code="LEDGER"), False),
        (ClaimLostError("x"), False),
        (ConfigurationError("x"), True),
        (AuthenticationError("x", status=403), True),
        (RejectedError("x", status=404), False),
        (OutcomeUnknownError("x"), False),
    ],
)
def test_the_type_of_an_error_says_whether_it_ends_the_run(err, ends):
    """It is the type, and a long wait, that count; a code never does."""
    assert Stops(60.0).ends_run(err) is ends


def test_a_403_after_a_row_has_landed_is_about_the_row():
    """The key is good then; a 401 ends the run whatever has landed."""
    stops = Stops(60.0)
    stops.note_landed()
    assert not stops.ends_run(AuthenticationError("x", status=403))
    assert stops.ends_run(AuthenticationError("x", status=401))


def test_the_first_reason_stands_and_a_failed_ledger_is_still_known():
    """A database that fails after the run was stopped does not change the reason, and is not asked again."""
    stops = Stops(60.0)
    first = stops.add(AuthenticationError("first"))
    assert stops.add(LedgerUnavailableError("second")) is first
    assert (stops.reason, stops.ledger_failed) == (first, True)


def test_many_threads_agree_on_one_reason():
    """Each thread gets the same error back."""
    stops, found, start = Stops(60.0), [], threading.Barrier(8)

    def fail(number):
        start.wait()
        found.append(stops.add(TransientError(str(number))))

    threads = [threading.Thread(target=fail, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(map(id, found)) == {id(stops.reason)}


# Claims that are kept


@pytest.mark.parametrize(
    ("word", "cause", "more", "keeps"),
    [
        (OutcomeWord.NOT_SENT, LedgerUnavailableError("x"), {}, True),
        (OutcomeWord.NOT_SENT, LedgerUnavailableError("x"), {"doubtful": True}, False),
        (OutcomeWord.NOT_SENT, TransientError("x", code="LEDGER"), {}, False),
        (OutcomeWord.NOT_SENT, NotReachedError("x"), {}, False),
        (OutcomeWord.UPDATED, None, {}, False),
    ],
)
def test_a_row_keeps_its_claim_only_if_the_ledger_had_failed_before_it_was_sent(word, cause, more, keeps):
    """Its claim runs out by itself; a row that may have landed is recorded as soon as that is possible."""
    assert RowResult(ROW, Outcome(0, "oppo_1", word), cause=cause, **more).keeps_claim is keeps


def test_a_half_applied_row_is_recorded():
    """Its fields that landed are known, whatever stopped the rest."""
    outcome = Outcome(0, "oppo_1", OutcomeWord.NOT_SENT, applied=("notes",))
    assert not RowResult(ROW, outcome, cause=LedgerUnavailableError("x")).keeps_claim


# Outages


def failed(cause):
    """The end of a call of one row, and why."""
    return [(OutcomeWord.FAILED, cause)], "x"


def test_a_lost_claim_and_a_bug_say_nothing_of_the_vendor():
    """They neither count as failed calls nor end a series of them."""
    watch = OutageWatch(SimpleNamespace(account=SimpleNamespace(vendor=CLOSE), is_down=lambda: True), probing=False)
    for _ in range(4):
        assert watch.add(*failed(TransientError("x"))) is None
        assert watch.add(*failed(ClaimLostError("x"))) is None
        assert watch.add(*failed(ValueError("x"))) is None
    assert watch.add(*failed(TransientError("x"))) is not None


def test_an_outage_is_counted_in_calls():
    """A failed call counts once, however many rows it carried; one row that the vendor answered ends the series."""
    watch = OutageWatch(SimpleNamespace(account=SimpleNamespace(vendor=CLOSE), is_down=lambda: True), probing=False)
    call = [(OutcomeWord.FAILED, TransientError("x"))] * 100
    for answered in ([*call, (OutcomeWord.REJECTED, RejectedError("x"))], [*call, (OutcomeWord.UPDATED, None)], []):
        assert [watch.add(call, "gone") for _ in range(4)] == [None] * 4
        assert watch.add(answered, "") is None
    assert [watch.add(call, "gone") for _ in range(4)] == [None] * 4
    assert str(watch.add(call, "gone")) == "Close failed 5 calls one after another, every attempt; gone"


# The ledger of a run


class Failing:
    """A ledger whose database fails, and which counts how often it is asked."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def fail(*_, **__):
            self.calls.append(name)
            raise LedgerUnavailableError("gone")

        return fail


def test_a_failing_database_ends_the_run_and_is_not_asked_again():
    """The error ends the run instead of leaving the push; later claims, notes and reports are not tried."""
    ledger, stops = Failing(), Stops(60.0)
    run_ledger = RunLedger(ledger, PushRules(), stops, changes_only=True)
    assert run_ledger.unchanged(DesiredRows(["oppo_1"], {"note": ['"n"']}, [NOW])) == frozenset()
    assert isinstance(stops.reason, LedgerUnavailableError)
    assert run_ledger.claim([ROW.desired]) == [None]
    run_ledger.note([Outcome(0, "oppo_1", OutcomeWord.INVALID)])
    run_ledger.close({}, deferred=False)
    run_ledger.release(frozenset())
    assert ledger.calls == ["unchanged_rows"]


def test_records_whose_claim_was_interrupted_are_given_back():
    """A claim that failed half-way may be stored: the record is released with the others."""
    released = []
    ledger = Failing()
    ledger.claim = lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
    ledger.release = released.extend
    run_ledger = RunLedger(ledger, PushRules(), Stops(60.0), changes_only=True)
    with pytest.raises(KeyboardInterrupt):
        run_ledger.claim([ROW.desired])
    run_ledger.release(frozenset())
    assert released == ["oppo_1"]


def test_a_claim_is_renewed_only_when_it_would_run_out():
    """Without need the database is not asked; a claim that another run has taken over ends the row."""
    now, answers = [0.0], iter([Renewed(100.0, frozenset()), Renewed(190.0, frozenset({"oppo_1"}))])
    ledger = SimpleNamespace(renew_all=lambda rows: next(answers))
    claimed = ClaimedRow(ROW.desired, Claim(Verdict.SEND, fields=frozenset({"note"}), deadline=50.0))
    renew = RunLedger(ledger, PushRules(), Stops(60.0), changes_only=True).renewer([claimed], lambda: now[0], 20.0)
    for now[0] in (0.0, 40.0, 79.0):
        assert renew() == frozenset()
    now[0] = 90.0
    assert renew() == {"oppo_1"}


# Columns


FIELDS = st.sets(st.sampled_from(["notes", "confidence"]), min_size=1)


@given(st.lists(FIELDS, min_size=1, max_size=6), st.data())
def test_columns_say_what_the_rows_say_one_by_one(rows, data):
    """Rows of any shapes, and any choice of them, are the same by columns as row by row."""
    values = [
        {name: number if name == "confidence" else f"n{number}" for name in row} for number, row in enumerate(rows)
    ]
    updates = [Update(number, f"oppo_{number}", fields, NOW) for number, fields in enumerate(values)]
    prepared = list(zip(updates, writes_of_all(updates, CLOSE, CATALOGUE), strict=True))
    chosen = [prepared[number] for number in sorted(data.draw(st.sets(st.sampled_from(range(len(rows))), min_size=1)))]
    columns = desired_rows(chosen)
    for number, row in enumerate(map(desired_row, chosen)):
        found = {key: column[number] for key, column in columns.values.items() if column[number] is not None}
        assert (columns.record_ids[number], found, columns.as_of[number]) == (row.record_id, row.values, row.as_of)
