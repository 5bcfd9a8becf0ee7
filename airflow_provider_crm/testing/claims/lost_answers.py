"""Claims about calls that get no answer: they land once, or are reported as not landed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.testing.bench import part_of
from airflow_provider_crm.testing.claims.bench_fixture import Claims

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.vendors.calls import Call


class LostAnswerClaims(Claims):
    """Claims about calls that get no answer."""

    def test_a_lost_answer(self, bench: Bench, field_name: str) -> None:
        """A write whose answer is lost lands: sent again if that does no harm, else read back and not sent again."""
        example, record_id = self.subject.values[field_name], bench.add()
        for call in self.example_calls(bench, record_id, field_name):
            sent = len(bench.sent(call))
            bench.script("reset_after", call=call)
            bench.send(record_id, (call,))
            assert len(bench.sent(call)) - sent == (2 if call.replayable else 1)
        assert part_of(bench.held(record_id), example.shown) == example.shown

    def test_a_lost_call(self, bench: Bench, field_name: str) -> None:
        """A write that never arrived is not taken for landed: it is sent again."""
        example, record_id = self.subject.values[field_name], bench.add()
        for call in self.example_calls(bench, record_id, field_name):
            sent = len(bench.sent(call))
            bench.script("reset_before", call=call)
            bench.send(record_id, (call,))
            assert len(bench.sent(call)) - sent == 2
        assert part_of(bench.held(record_id), example.shown) == example.shown

    def test_a_call_that_is_sent_twice(self, bench: Bench, field_name: str) -> None:
        """A call that may be sent twice leaves the record as it was after the first time, days later, too."""
        example, record_id = self.subject.values[field_name], bench.add()
        self._send_twice(bench, record_id, self.example_calls(bench, record_id, field_name))
        assert part_of(bench.held(record_id), example.shown) == example.shown

    def test_a_win_that_is_sent_twice(self, bench: Bench) -> None:
        """A won stage that may be sent twice keeps the date of the first call."""
        if self.subject.won_on is None:
            pytest.skip(f"{self.subject.vendor.display_name} has no stages")
        record_id = bench.add()
        calls = bench.calls(record_id, {"stage": self.subject.stages["won"]})
        day = bench.sandbox.clock.now().date()
        self._send_twice(bench, record_id, calls)
        assert self.subject.won_on(bench.account, record_id) in (None, day)

    def _send_twice(self, bench: Bench, record_id: str, calls: tuple[Call, ...]) -> None:
        """Send calls, and those that may be sent twice again after two days."""
        bench.send(record_id, calls)
        bench.sandbox.clock.advance(dt.timedelta(days=2).total_seconds())
        for call in calls:
            if call.replayable:
                bench.send(record_id, (call,))
