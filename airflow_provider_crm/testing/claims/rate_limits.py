"""Claims about the vendor's rate limits: they are read, kept to the last call, and waited for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from airflow_provider_crm.testing.bench import NOW
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.limits import longest_wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.testing.bench import Bench

CALLS, SECONDS, WINDOWS, UNITS = 12, 10.0, 3, 777


class RateLimitClaims(Claims):
    """Claims about rate limits."""

    @pytest.mark.parametrize("kind", ["read", "write", "list"])
    def test_three_windows(self, bench: Bench, kind: str) -> None:
        """The calls of three windows fit into three windows, and none is refused."""
        make = self._callers(bench)[kind]
        self._limited(bench)
        for number in range(CALLS // self._cost(bench, kind) * WINDOWS):
            make(number)
        assert bench.refusals() == []
        assert bench.seconds_passed() <= SECONDS * WINDOWS

    def test_limits_are_told(self, bench: Bench) -> None:
        """An answer names the limit, the calls left, and when there are more or how long a window lasts.

        Each answer shows the same limits, by their names, in the same order.
        """
        self._callers(bench)
        self._limited(bench)
        path = self.subject.vendor.read_call(bench.add(), ()).path
        names = set()
        for used in (1, 2, 3):
            response = bench.session.http.get(bench.session.account.origin + path)
            reported = self.subject.vendor.limits(response, bench.sandbox.clock.now(), bench.catalogue.timezone)
            limits = [one for one in reported if (one.limit, one.remaining) == (CALLS, CALLS - used)]
            assert limits
            assert any(0 < (one.length or one.reset or 0) <= SECONDS for one in limits)
            assert longest_wait(reported) is None
            names.add(tuple(one.name for one in reported))
        assert len(names) == 1

    def test_a_refusal(self, bench: Bench) -> None:
        """A 429 names its wait, which is waited for, and no longer; the call lands then."""
        record_id = bench.add()
        address = bench.session.account.origin + self.subject.vendor.read_call(record_id, ()).path
        for wait in (7.0, 23.0):
            bench.sandbox.set(throttle_seconds=wait)
            bench.script("http_429")
            response = bench.session.http.get(address)
            named = longest_wait(self.subject.vendor.limits(response, bench.sandbox.clock.now(), None))
            assert named is not None
            assert wait <= named <= wait + 1.5
            before = bench.seconds_passed()
            bench.script("http_429")
            bench.session.read(record_id)
            assert wait <= bench.seconds_passed() - before <= wait + 1.5
        assert len(bench.refusals()) == 4

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

    def test_costs(self, bench: Bench) -> None:
        """A call uses up as many units of the limit as it says."""
        callers, read = self._callers(bench), self.subject.vendor.read_call("x", ())
        if self.subject.limit_switches is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s sandbox has no switch for a limit")
        bench.set_limit(UNITS, SECONDS)
        for call, make in self._costly_calls(bench, callers):
            if self.subject.vendor.budget_group(call) == self.subject.vendor.budget_group(read):
                before = self._remaining(bench)
                make()
                assert before - self._remaining(bench) == call.cost + read.cost

    def test_no_limits(self, bench: Bench) -> None:
        """An answer that names no limit sets none."""
        for status in (200, 404, 500):
            reported = self.subject.vendor.limits(HandmadeAnswer(status, {}), NOW, None)
            assert [one for one in reported if (one.limit, one.remaining, one.reset, one.wait) != (None,) * 4] == []
        assert bench.refusals() == []

    def _costly_calls(
        self, bench: Bench, callers: dict[str, Callable[[int], object]]
    ) -> list[tuple[Call, Callable[[], object]]]:
        """Return calls of each kind with what sends them: reads, writes, and those of several rows."""
        vendor, ids = self.subject.vendor, bench.add_many(5)
        name, value = self._one_call_field(bench)
        calls = [bench.calls(one, {name: value})[0] for one in ids]
        made: list[tuple[Call, Callable[[], object]]] = [
            (vendor.read_call(ids[0], ()), partial(callers["read"], 0)),
            (calls[0], partial(callers["write"], 0)),
        ]
        batch = None if calls[0].route is None else calls[0].route.batch
        if batch is not None:
            shared = Call(batch.method, batch.path, cost=batch.cost + batch.cost_per_row * len(ids))
            made.append((shared, partial(bench.session.write_batch, calls, ids)))
        if vendor.batch_read is not None:
            made.append((vendor.batch_read.call(ids, ()), partial(bench.session.read_many, ids, ())))
        return made

    def _one_call_field(self, bench: Bench) -> tuple[str, object]:
        """Return a field that one call writes, and its example."""
        examples = self.subject.values.items()
        return next((name, one.value) for name, one in examples if len(bench.calls("x", {name: one.value})) == 1)

    def _remaining(self, bench: Bench) -> int:
        """Read a record that is none, and return what is left of the limit then."""
        path = self.subject.vendor.read_call("x", ()).path
        response = bench.session.http.get(bench.session.account.origin + path)
        reported = self.subject.vendor.limits(response, bench.sandbox.clock.now(), bench.catalogue.timezone)
        (remaining,) = [one.remaining for one in reported if one.limit == UNITS]
        assert remaining is not None
        return remaining

    def _limited(self, bench: Bench) -> None:
        """Set a limit; skip the test if the sandbox has no switch for one."""
        if self.subject.limit_switches is None:
            pytest.skip(f"{self.subject.vendor.display_name}'s sandbox has no switch for a limit")
        bench.set_limit(CALLS, SECONDS)

    def _callers(self, bench: Bench) -> dict[str, Callable[[int], object]]:
        """Return ways to make the calls of one kind, each for another record, after all else is read."""
        ids = bench.add_many(CALLS * WINDOWS)
        vendor = self.subject.vendor
        name, value = self._one_call_field(bench)
        calls = [bench.calls(record_id, {name: value})[0] for record_id in ids]
        return {
            "read": lambda number: bench.session.read(ids[number]),
            "write": lambda number: bench.session.write(calls[number], ids[number], bench.catalogue),
            "list": lambda _: bench.session.fetch(vendor.list_call({}, None, ())),
        }

    def _cost(self, bench: Bench, kind: str) -> int:
        """Return the units that one call of a kind costs."""
        vendor = self.subject.vendor
        name, value = self._one_call_field(bench)
        calls = {
            "read": vendor.read_call("x", ()),
            "write": bench.calls("x", {name: value})[0],
            "list": vendor.list_call({}, None, ()),
        }
        return calls[kind].cost

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
