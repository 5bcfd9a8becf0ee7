"""Send many rows in one call, and know what became of each of them: counted in calls, over real HTTP."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_crm.exceptions import AuthenticationError
from airflow_provider_crm.values.opportunity import OutcomeWord, Update

from .batch_vendor import MANY, BatchClose
from .conftest import NOW


def words(outcomes):
    """How many rows ended in each way."""
    return dict(Counter(outcome.word.value for outcome in outcomes))


def rejects(outcomes):
    """The record, word and reason of each row that failed."""
    return {one.record_id: (one.word.value, one.reason) for one in outcomes if one.word is not OutcomeWord.UPDATED}


def has_landed(crm, count=1_000, but=()):
    """Whether the CRM holds the values of the rows, and the old ones of some."""
    return crm.notes() == {
        f"oppo_{row}": "old" if f"oppo_{row}" in but or row >= count else f"new {row}" for row in range(1_000)
    }


# Calls


@pytest.mark.parametrize("match", ["id", "trace", "position"])
def test_a_hundred_rows_a_call(push, crm, notes, any_ledger, match):
    """1,000 rows are 11 calls: the first row goes alone, by its own call. The answers are matched in any way."""
    assert words(push(BatchClose(match), ledger=any_ledger).run(notes())) == {"updated": 1_000}
    assert has_landed(crm)
    assert (crm.sizes[0], sorted(crm.sizes)) == (1, [1, 99, *[100] * 9])
    assert [path == MANY for _, path, _ in crm.calls] == [False] + [True] * 10


@pytest.mark.parametrize("case", [(1_000, 2), (200, 6), (150, 8), (7, 144), (2, 501)])
def test_the_vendor_says_how_many_rows_a_call_takes(push, crm, notes, any_ledger, case):
    """Rows are claimed by as many as fill calls, so that none but the last are small."""
    largest, calls = case
    assert words(push(BatchClose(largest=largest), ledger=any_ledger).run(notes())) == {"updated": 1_000}
    assert has_landed(crm)
    assert len(crm.calls) == calls
    assert max(crm.sizes) <= largest


def test_one_row_that_is_left_goes_by_its_own_call(push, crm, notes):
    """A call for several rows would only hide its reason."""
    assert words(push().run(notes(102))) == {"updated": 102}
    assert (crm.sizes, crm.calls[-1][1]) == ([1, 100, 1], "/api/v1/opportunity/oppo_101/")


def test_no_call_is_larger_than_the_vendor_allows(push, crm, notes):
    """Rows share a call up to so many bytes; one that is larger by itself goes alone, to the vendor's own verdict."""
    rows = notes(200)
    rows[50].fields["note"] = "x" * 5_000
    seen = []
    vendor = BatchClose(largest_bytes=2_000)
    join = vendor.batch.join
    object.__setattr__(vendor.batch, "join", lambda rows: seen.append((len(rows), len(join(rows)))) or join(rows))
    assert words(push(vendor).run(rows)) == {"updated": 200}
    assert sum(crm.sizes) == 200
    assert ["oppo_50"] in crm.writing
    size = dict(seen)
    assert all(size[count] <= 2_000 for count in crm.sizes if count > 1)
    assert len(crm.sizes) <= 14


def test_rows_that_may_not_be_sent_twice_go_alone(push, crm):
    """A lost answer to them has to be read back, which is done row by row."""

    class Careful(BatchClose):
        def write_calls(self, keys):
            from dataclasses import replace

            return tuple(replace(one, replayable=False) for one in super().write_calls(keys))

    rows = [Update(row, f"oppo_{row}", {"note": f"new {row}"}, NOW) for row in range(20)]
    assert words(push(Careful()).run(rows)) == {"updated": 20}
    assert crm.sizes == [1] * 20


# Lost answers


def test_an_answer_that_is_lost_once(push, crm, notes):
    """The call is sent again as a whole: 12 calls, and all rows have landed."""
    crm.faults = [None, None, "lost"]
    assert words(push().run(notes())) == {"updated": 1_000}
    assert has_landed(crm)
    assert sorted(crm.sizes) == [1, 99, *[100] * 10]


def test_an_answer_that_is_lost_in_every_attempt(push, crm, notes, ledger):
    """Its 100 rows have failed, the others land, no outage is declared, and the next run sends just these again."""
    crm.faults = ["unsent", "unsent", "lost"]
    pushing = push(ledger=ledger(), concurrency=1)
    outcomes = list(pushing.run(notes()))
    assert (words(outcomes), pushing.stopped) == ({"updated": 900, "failed": 100}, None)
    assert {reason[0] for reason in rejects(outcomes).values()} == {"failed"}
    assert len(crm.calls) == 13
    crm.records.update({record_id: {"note": "somebody else's"} for record_id in rejects(outcomes)})
    again = push(ledger=ledger("next"), concurrency=1)
    assert words(again.run(notes())) == {"updated": 100, "unchanged": 900}
    assert has_landed(crm)
    assert crm.sizes == [1, 99]


def test_calls_that_fail_are_no_outage_while_the_vendor_answers(push, crm, notes):
    """It is asked after five failed calls in a row; it answers, so the run goes on, and no row is left out."""
    crm.faults = [503] * 3 * 4 + [None] + ["unsent"] * 3 * 5
    pushing = push(concurrency=1)
    assert words(pushing.run(notes())) == {"updated": 101, "failed": 899}
    assert (pushing.stopped, sum(method == "GET" for method, *_ in crm.calls)) == (None, 1)


def test_an_outage_of_a_vendor_with_batches(push, crm, notes):
    """When the vendor answers nothing at all any more, the fifth failed call ends the run."""
    crm.faults = [503] * 10
    pushing = push(concurrency=1, attempts=2)
    run = pushing.run(notes())
    outcomes = [next(run)]
    crm.down = True
    outcomes += run
    assert words(outcomes) == {"updated": 1, "failed": 500, "not_sent": 499}
    assert pushing.stopped.code == "OUTAGE"
    assert "Close failed 5 calls one after another, every attempt" in str(pushing.stopped)


# Refusals


def test_one_poisoned_row(push, crm, notes):
    """A call that is refused as a whole is halved until the row at fault stands alone, with a reason of its own."""
    crm.poisoned = {"oppo_431": 400}
    outcomes = list(push().run(notes()))
    assert rejects(outcomes) == {"oppo_431": ("rejected", "Close answered 400: oppo_431 has a wrong note.")}
    assert has_landed(crm, but={"oppo_431"})
    assert 23 <= len(crm.calls) <= 25


def test_ten_poisoned_rows_in_ten_calls(push, crm, notes):
    """Each costs the halves of its own call."""
    crm.poisoned = {f"oppo_{100 * number + 7 * number}": 422 for number in range(1, 10)} | {"oppo_55": 413}
    outcomes = list(push().run(notes()))
    assert rejects(outcomes).keys() == crm.poisoned.keys()
    assert has_landed(crm, but=crm.poisoned)
    assert len(crm.calls) <= 160


@pytest.mark.parametrize("match", ["id", "trace", "position"])
def test_rows_that_are_refused_beside_others_that_land(push, crm, notes, match):
    """Three ids that the CRM does not know, and two rows that it refuses, are told one by one: no further call."""
    for row in (5, 505, 999):
        del crm.records[f"oppo_{row}"]
    crm.refused = {"oppo_17": 400, "oppo_400": 403}
    outcomes = list(push(BatchClose(match)).run(notes()))
    assert {record_id: word for record_id, (word, _) in rejects(outcomes).items()} == dict.fromkeys(
        ("oppo_5", "oppo_505", "oppo_999", "oppo_17", "oppo_400"), "rejected"
    )
    assert rejects(outcomes)["oppo_17"][1] == "oppo_17 has a wrong note"
    assert len(crm.calls) == 11


@pytest.mark.parametrize("status", [401, 402, 405])
def test_a_key_that_is_refused_on_the_way(push, crm, notes, status):
    """It stops the run: the rows of that call and all others are not sent."""
    crm.faults = [None, status]
    pushing = push(concurrency=1)
    assert words(pushing.run(notes())) == {"updated": 101, "not_sent": 899}
    assert len(crm.calls) == 3
    assert pushing.stopped.status == status


def test_a_key_that_is_refused_at_once(push, crm, notes):
    """The first row goes alone, so that no other is sent."""
    crm.refused = {"oppo_0": 403}
    pushing = push()
    assert words(pushing.run(notes())) == {"not_sent": 1_000}
    assert (len(crm.calls), type(pushing.stopped)) == (1, AuthenticationError)


def test_a_403_of_a_whole_call_is_about_its_rows_once_a_row_has_landed(push, crm, notes):
    """The key is good then, so the call is halved like any that was refused."""
    crm.poisoned = {"oppo_300": 403}
    outcomes = list(push().run(notes()))
    assert {record_id: word for record_id, (word, _) in rejects(outcomes).items()} == {"oppo_300": "rejected"}


def test_a_wait_that_is_too_long_stops_the_run(push, crm, notes):
    """The rows of that call are not sent; the run goes on after the wait."""
    crm.faults, crm.throttled = [None, 429], 3600
    pushing = push(concurrency=1)
    assert words(pushing.run(notes())) == {"updated": 101, "not_sent": 899}
    assert pushing.wait == 3600


# Answers


def test_answers_in_another_order(push, crm, notes):
    """They are matched by id: what landed is told of the rows that landed."""
    crm.shuffled, crm.refused = True, {f"oppo_{row}": 400 for row in range(3, 1_000, 50)}
    outcomes = list(push().run(notes()))
    assert rejects(outcomes).keys() == crm.refused.keys()
    assert has_landed(crm, but=crm.refused)


def test_a_wrong_number_of_answers_is_not_guessed(push, crm, notes):
    """By position nothing is known then: each row is sent alone, and has an outcome that is its own."""
    crm.surplus, crm.refused = True, {"oppo_7": 400}
    outcomes = list(push(BatchClose("position")).run(notes(101)))
    assert rejects(outcomes).keys() == {"oppo_7"}
    assert sorted(crm.sizes) == [1] * 101 + [100]
    assert has_landed(crm, 101, but={"oppo_7"})


def test_rows_that_an_answer_leaves_out_are_sent_alone(push, crm, notes):
    """Three in each call: 30 more calls, and all rows land."""
    crm.left_out = {f"oppo_{100 * call + row}" for call in range(10) for row in (10, 20, 30)}
    assert words(push().run(notes())) == {"updated": 1_000}
    assert has_landed(crm)
    assert sorted(crm.sizes) == [1] * 31 + [99] + [100] * 9


def test_rows_that_failed_for_now_are_sent_alone(push, crm, notes):
    """Their own call says what becomes of them: here it is refused each time, and they have failed."""
    crm.refused = {"oppo_1": 503, "oppo_2": 500}
    outcomes = list(push(attempts=2).run(notes(201)))
    assert {record_id: word for record_id, (word, _) in rejects(outcomes).items()} == dict.fromkeys(
        crm.refused, "failed"
    )
    assert words(outcomes)["updated"] == 199


def test_another_record_in_an_answer_is_not_taken_for_the_row(push, crm, notes):
    """By position an answer may show the record that one was merged into: the row is `ignored`, as if it went alone."""
    crm.merged = {"oppo_50": "oppo_999"}
    [(record_id, (word, reason))] = rejects(push(BatchClose("position")).run(notes(200))).items()
    assert (record_id, word) == ("oppo_50", "ignored")
    assert "the record 'oppo_999' instead of 'oppo_50'" in reason


def test_answers_that_are_displaced_are_not_taken_for_their_rows(push, crm, notes):
    """As many answers as rows, but one is missing and one too many: the ids that they show give it away."""
    crm.left_out, crm.surplus, crm.refused = {"oppo_20"}, True, {"oppo_60": 400}
    outcomes = list(push(BatchClose("position")).run(notes(101)))
    assert rejects(outcomes).keys() == {"oppo_60"}
    assert has_landed(crm, 101, but={"oppo_60"})
    assert sorted(crm.sizes) == [1] * (1 + 81) + [100]


@pytest.mark.parametrize("shows_values", [True, False])
def test_a_value_that_is_dropped_in_silence(push, crm, notes, shows_values):
    """What the CRM holds is compared for each row: in the answer, or in the record that is read afterwards."""
    crm.dropped, crm.silent = {"oppo_3", "oppo_333"}, not shows_values
    outcomes = list(push(BatchClose(shows_values=shows_values)).run(notes()))
    assert {record_id: word for record_id, (word, _) in rejects(outcomes).items()} == {
        "oppo_3": "ignored",
        "oppo_333": "ignored",
    }
    assert words(outcomes)["updated"] == 998
    assert len(crm.writing) == 11


def test_without_echoes_nothing_is_read_if_nobody_wants_it(push, crm, notes):
    """With `verify_echo=False` a 2xx is taken at its word."""
    crm.silent = True
    assert words(push(BatchClose(shows_values=False), verify_echo=False).run(notes())) == {"updated": 1_000}
    assert len(crm.calls) == 11
