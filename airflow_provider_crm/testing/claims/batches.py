"""Claims about calls that carry several rows: each has its true outcome."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.exceptions import CrmError, RejectedError
from airflow_provider_crm.testing.bench import part_of
from airflow_provider_crm.testing.claims.shared_rows import SharedRows
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.values.opportunity import OutcomeWord
from airflow_provider_crm.vendors.calls import BatchRow, Call
from airflow_provider_crm.vendors.comparison import stored_values

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench

UPDATED = OutcomeWord.UPDATED


class BatchClaims(SharedRows):
    """Claims about batches, for vendors that have them."""

    def test_only_safe_rows_share_a_call(self, bench: Bench) -> None:
        """Rows share a call only if it may be sent twice; it takes at least two, and costs at least one unit."""
        for name, example in self.subject.values.items():
            for call in bench.calls("x", {name: example.value}):
                batch = None if call.route is None else call.route.batch
                if batch is not None:
                    assert call.replayable
                    assert batch.largest > 1
                    assert batch.cost >= 1
                    assert batch.cost_per_row >= 0

    def test_batches_land(self, bench: Bench) -> None:
        """Rows that share calls land each in its own record, in as few calls as the vendor's maximum allows."""
        batch, ids = self.shared_call(bench), bench.add_many(2 * self.shared_call(bench).largest + 3)
        self.shuffle_answers(bench)
        outcomes = bench.push(self.text_rows(bench, ids))
        assert [(one.word, one.reason) for one in outcomes] == [(UPDATED, "")] * len(ids)
        assert self.held_texts(bench, ids) == [self.text_of_row(number) for number in range(len(ids))]
        assert len(self.shared_calls_sent(bench)) == math.ceil((len(ids) - 1) / batch.largest)
        alone = [write.record_id for write in bench.sandbox.audit.writes if write.path != batch.path]
        assert (alone, len(bench.sandbox.audit.writes)) == (ids[:1], len(ids))

    def test_every_field_in_a_batch(self, bench: Bench) -> None:
        """Each field is written by a shared call as it is by a single one, and cleared, too."""
        self.shared_call(bench)
        for name, example in self.subject.values.items():
            if example.is_unique:
                continue
            field = bench.catalogue.fields[name]
            for value in (example.value, None) if field.clearable else (example.value,):
                first, second, third = bench.add_many(3)
                calls = bench.calls(first, {name: value})
                if len(calls) != 1 or calls[0].route is None or calls[0].route.batch is None:
                    continue
                bench.send(first, calls)
                rows = [bench.update(one, {name: value}) for one in (second, third)]
                answers = self.write_together(bench, rows)
                assert [answer for answer in answers if not isinstance(answer, dict)] == []
                shape = example.shown
                assert part_of(bench.held(second), shape) == part_of(bench.held(first), shape)
                assert part_of(bench.held(third), shape) == part_of(bench.held(first), shape)

    def test_bytes_of_a_batch(self, bench: Bench) -> None:
        """A call is no larger than the vendor allows, whatever its rows hold."""
        batch = self.shared_call(bench)
        largest = batch.largest_bytes
        if largest is None:
            pytest.skip(f"{self.subject.vendor.display_name} names no maximum size of a call")
        count, name = batch.largest + 1, self.free_text(bench)
        text = "é" * (largest // batch.largest // 2)
        rows = [bench.update(one, {name: text}, number) for number, one in enumerate(bench.add_many(count))]
        assert {outcome.word for outcome in bench.push(rows)} == {UPDATED}
        sizes = [int(call.headers["content-length"]) for call in self.shared_calls_sent(bench)]
        assert max(sizes) <= largest
        assert len(sizes) <= 2 * math.ceil(sum(sizes) / largest)
        assert {call.status for call in self.shared_calls_sent(bench)} <= {200, 201, 202, 204, 207}

    def test_answers_in_any_order(self, bench: Bench) -> None:
        """Answers that name their rows are matched by name, in whatever order they come."""
        self.shared_call(bench)
        if self.switch_name("shuffled") is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s answers have the order of the rows")
        self.shuffle_answers(bench)
        ids = [*bench.add_many(20), bench.missing(), *bench.add_many(20)]
        answers = self.write_together(bench, self.text_rows(bench, ids))
        assert [self.id_or_status(answer) for answer in answers] == [*ids[:20], 404, *ids[21:]]

    def test_a_row_that_is_left_out(self, bench: Bench) -> None:
        """A row of which the answer says nothing is not taken for landed: it is read, or sent alone."""
        self.shared_call(bench)
        switch = self.switch_name("left_out")
        if switch is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s sandbox leaves no rows out")
        ids = bench.add_many(8)
        bench.sandbox.set(**{switch: [ids[2], ids[5]]})
        answers = self.write_together(bench, self.text_rows(bench, ids))
        left_out = [one for one, answer in zip(ids, answers, strict=True) if answer is None]
        assert {ids[2], ids[5]} <= {*left_out}
        assert {self.id_or_status(answer) for answer in answers} <= {None, *ids}
        bench.sandbox.audit.clear()
        outcomes = bench.push(self.text_rows(bench, ids, "again"))
        assert {outcome.word for outcome in outcomes} == {UPDATED}
        written = [write.record_id for write in bench.sandbox.audit.writes]
        counts = (written.count(ids[2]), written.count(ids[5]), written.count(ids[0]))
        if self.subject.vendor.batch_read is None:
            assert counts == (2, 2, 1)
        else:
            assert counts == (1, 1, 1)
            assert bench.sent()[-1].number not in {write.number for write in bench.sandbox.audit.writes}

    def test_a_poisoned_row(self, bench: Bench) -> None:
        """One row that makes the vendor refuse the whole call is rejected alone, with its reason; the others land."""
        self.shared_call(bench)
        switch = self.switch_name("poisoned")
        if switch is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s sandbox refuses no whole call")
        ids = bench.add_many(20)
        bench.sandbox.set(**{switch: [ids[7]]})
        outcomes = bench.push(self.text_rows(bench, ids))
        assert [one.row for one in outcomes if one.word is not UPDATED] == [7]
        assert (outcomes[7].word, bool(outcomes[7].reason)) == (OutcomeWord.REJECTED, True)

    def test_a_refused_row_of_a_batch(self, bench: Bench) -> None:
        """A row that the vendor refuses has its own error, with the fields at fault; the others land."""
        self.shared_call(bench)
        ids = bench.add_many(5)
        rows = self.text_rows(bench, ids)
        refused = bench.update(ids[2], self.subject.refused, 2)
        if self.shared_call_of(bench.calls_of(refused)) is None:
            pytest.skip("the refused row goes alone")
        rows[2] = refused
        outcomes = bench.push(rows)
        assert [one.word for one in outcomes] == [UPDATED, UPDATED, OutcomeWord.REJECTED, UPDATED, UPDATED]
        with pytest.raises(RejectedError) as alone:
            bench.write(ids[2], self.subject.refused)
        assert (outcomes[2].code, bool(outcomes[2].reason)) == (alone.value.code, True)
        bench.sandbox.audit.clear()
        answers = self.write_together(bench, rows[1:])
        assert [type(answer) for answer in answers[1:2]] == [RejectedError]
        assert isinstance(answers[1], CrmError)
        assert (answers[1].field_errors.keys(), answers[1].record_id) == (alone.value.field_errors.keys(), ids[2])
        assert len(self.shared_calls_sent(bench)) == 1

    def test_an_unknown_id(self, bench: Bench) -> None:
        """A record that does not exist is the rejection of its row, with the status 404, as in a call of its own."""
        self.shared_call(bench)
        ids = [*bench.add_many(3), bench.missing(), *bench.add_many(2)]
        answers = self.write_together(bench, self.text_rows(bench, ids))
        assert [self.id_or_status(answer) for answer in answers] == [*ids[:3], 404, *ids[4:]]
        (outcome,) = [one for one in bench.push(self.text_rows(bench, ids)) if one.word is not UPDATED]
        assert (outcome.row, outcome.word) == (3, OutcomeWord.REJECTED)

    def test_one_record_twice(self, bench: Bench) -> None:
        """Two rows of one record never share a call, and the later one lands later."""
        self.shared_call(bench)
        ids = bench.add_many(6)
        rows = self.text_rows(bench, [*ids, *ids])
        assert {outcome.word for outcome in bench.push(rows)} == {UPDATED}
        assert self.held_texts(bench, ids) == [self.text_of_row(number) for number in range(6, 12)]
        once = self.shared_call(bench).join([BatchRow(ids[0], "{}", "0")]).count(f'"{ids[0]}"')
        for call in self.shared_calls_sent(bench):
            text = json.dumps(call.body, default=str)
            assert max(text.count(f'"{one}"') for one in ids) == once

    @pytest.mark.parametrize(
        "fault", ["reset_after", "reset_before", "http_503", "truncated", "html_200", "http_502_after"]
    )
    def test_a_lost_answer_of_a_batch(self, bench: Bench, fault: str) -> None:
        """A call for several rows that is not answered is sent again as a whole, and all of its rows land."""
        batch = self.shared_call(bench)
        ids = bench.add_many(6)
        bench.script(fault, call=Call(batch.method, batch.path))
        assert {outcome.word for outcome in bench.push(self.text_rows(bench, ids))} == {UPDATED}
        first, second = self.shared_calls_sent(bench)
        assert first.body == second.body
        assert self.held_texts(bench, ids) == [self.text_of_row(number) for number in range(6)]

    def test_a_dropped_value_of_a_batch(self, bench: Bench) -> None:
        """A row that is answered with success and was not written is noticed: the row alone is `ignored`."""
        self.shared_call(bench)
        ids = bench.add_many(6)
        bench.sandbox.set(ignored_ids=[ids[3]])
        words = [outcome.word for outcome in bench.push(self.text_rows(bench, ids))]
        assert words == [UPDATED] * 3 + [OutcomeWord.IGNORED] + [UPDATED] * 2

    def test_foreign_answers_to_a_batch(self, bench: Bench) -> None:
        """An answer that is no answer to the batch lands no row."""
        batch = self.shared_call(bench)
        rows = [BatchRow(str(number), "{}", str(number)) for number in range(3)]
        for body in (b"<html>", b"{", b"{}", b"[]", b"null", b'"x"', b"7", b'{"success": true}', b"[null, null, null]"):
            try:
                answers = batch.split(HandmadeAnswer(200, body), rows)
            except CrmError:
                continue
            assert list(answers) == [None] * 3

    def test_the_cost_of_batches(self, bench: Bench) -> None:
        """The cost of a call is what the vendor counts: a limit in its units is used up without a refusal."""
        batch = self.shared_call(bench)
        if self.subject.limit_switches is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s sandbox has no switch for a limit")
        ids = bench.add_many(4 * batch.largest)
        rows = self.text_rows(bench, ids)
        bench.set_limit(2 * (batch.cost + batch.cost_per_row * batch.largest), 10.0)
        assert {outcome.word for outcome in bench.push(rows)} == {UPDATED}
        assert bench.refusals() == []

    def test_reads_of_several_records(self, bench: Bench) -> None:
        """A read of several records shows each as a read of its own does, also that one does not exist."""
        read = self.subject.vendor.batch_read
        if read is None:
            pytest.skip(f"{self.subject.vendor.display_name} reads one record a call")
        ids = bench.add_many(2 * read.largest)
        self.shuffle_answers(bench)
        for number, one in enumerate(ids[:5]):
            bench.write(one, {self.any_text(bench): self.text_of_row(number)})
        ids.insert(3, bench.missing())
        keys = sorted({field.target for field in bench.catalogue.fields.values()})
        alone = {one: bench.session.read(one, keys) for one in ids[:3]}
        sent = len(bench.sent())
        together = bench.session.read_many(ids, keys)
        assert len(bench.sent()) - sent == math.ceil(len(ids) / read.largest)
        assert list(together) == ids
        missing = together[ids[3]]
        assert isinstance(missing, RejectedError)
        assert (type(missing), missing.status, missing.record_id) == (RejectedError, 404, ids[3])
        for one, record in alone.items():
            shown = together[one]
            assert isinstance(shown, dict)
            stored = stored_values(keys, shown, self.subject.vendor, bench.catalogue)
            assert stored == stored_values(keys, record, self.subject.vendor, bench.catalogue)
            assert stored.keys() == set(keys)
        assert {self.id_or_status(shown) for one, shown in together.items() if one != ids[3]} == {*ids} - {ids[3]}
        assert read.call(ids[:2], keys).cost >= 1
