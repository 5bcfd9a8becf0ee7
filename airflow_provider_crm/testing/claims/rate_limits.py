"""Claims about the vendor's rate limits: they are read, kept to the last call, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.testing.bench import NOW
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.vendors.limits import longest_wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.vendors.calls import Call

CALLS, SECONDS, WINDOWS = 12, 10.0, 3


class RateLimitClaims(Claims):
    """Claims about rate limits."""

    @pytest.mark.parametrize("kind", ["read", "write", "list"])
    def test_three_windows(self, bench: Bench, kind: str) -> None:
        """The calls of three windows fit into three windows, and none is refused."""
        make = self._callers(bench)[kind]
        self._limited(bench)
        for number in range(CALLS * WINDOWS):
            make(number)
        assert bench.refusals() == []
        assert bench.seconds_passed() <= SECONDS * WINDOWS

    def test_limits_are_told(self, bench: Bench) -> None:
        """An answer tells the limit, the calls left, and when there are more or how long a window lasts."""
        self._callers(bench)
        self._limited(bench)
        path = self.subject.vendor.read_call(bench.add(), ()).path
        for used in (1, 2, 3):
            response = bench.session.http.get(bench.session.account.origin + path)
            told = self.subject.vendor.limits(response, bench.sandbox.clock.now())
            limits = [one for one in told if (one.limit, one.remaining) == (CALLS, CALLS - used)]
            assert limits
            assert any(0 < (one.length or one.reset or 0) <= SECONDS for one in limits)
            assert longest_wait(told) is None

    def test_a_refusal(self, bench: Bench) -> None:
        """A 429 is waited for as long as it says, and no longer; the call lands then."""
        record_id = bench.add()
        for wait in (7.0, 23.0):
            bench.sandbox.set(throttle_seconds=wait)
            before = bench.seconds_passed()
            bench.script("http_429")
            bench.session.read(record_id)
            assert wait <= bench.seconds_passed() - before <= wait + 1.5
        assert len(bench.refusals()) == 2

    def test_a_limit_that_others_used_up(self, bench: Bench) -> None:
        """A limit that another program has used up is refused once, and its end is waited for."""
        self._callers(bench)
        self._limited(bench)
        record_id = bench.add()
        path = self.subject.vendor.read_call(record_id, ()).path
        for _ in range(CALLS):
            bench.session.http.get(bench.session.account.origin + path)
        bench.session.read(record_id)
        assert len(bench.refusals()) <= 1
        assert 0 < bench.seconds_passed() <= SECONDS + 1

    def test_groups(self, bench: Bench) -> None:
        """Calls of one kind count against one group, whatever their record; every call has one, and costs something."""
        vendor = self.subject.vendor
        first, second = ("1", "2")
        for one, other in zip(self._all_calls(bench, first), self._all_calls(bench, second), strict=True):
            group = vendor.budget_group(one)
            assert isinstance(group, str)
            assert group == vendor.budget_group(one) == vendor.budget_group(other)
            assert (type(one.cost), one.cost >= 1) == (int, True)

    def test_no_limits(self, bench: Bench) -> None:
        """An answer that tells no limit sets none."""
        from airflow_provider_crm.testing.handmade import HandmadeAnswer

        for status in (200, 404, 500):
            told = self.subject.vendor.limits(HandmadeAnswer(status, {}), NOW)
            assert [one for one in told if (one.limit, one.remaining, one.reset, one.wait) != (None,) * 4] == []
        assert bench.refusals() == []

    def _limited(self, bench: Bench) -> None:
        """Set a limit; skip the test if the sandbox has no switch for one."""
        if self.subject.limit_switches is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s sandbox has no switch for a limit")
        bench.set_limit(CALLS, SECONDS)

    def _callers(self, bench: Bench) -> dict[str, Callable[[int], object]]:
        """Return ways to make the calls of one kind, each for another record, after all else is read."""
        ids = bench.add_many(CALLS * WINDOWS)
        vendor = self.subject.vendor
        name = next(name for name, one in self.subject.values.items() if len(bench.calls("x", {name: one.value})) == 1)
        value = self.subject.values[name].value
        calls = [bench.calls(record_id, {name: value})[0] for record_id in ids]
        return {
            "read": lambda number: bench.session.read(ids[number]),
            "write": lambda number: bench.session.write(calls[number], ids[number], bench.catalogue),
            "list": lambda _: bench.session.fetch(vendor.list_call({}, None, ())),
        }

    def _all_calls(self, bench: Bench, record_id: str) -> list[Call]:
        """Return every kind of call."""
        vendor = self.subject.vendor
        calls = [vendor.probe(), *vendor.catalogue_calls(tuple(self.subject.values))]
        calls += [vendor.read_call(record_id, ()), vendor.list_call({}, None, ())]
        for name, example in self.subject.values.items():
            calls += bench.calls(record_id, {name: example.value})
        if vendor.batch_read is not None:
            calls.append(vendor.batch_read.call([record_id], ()))
        return calls
