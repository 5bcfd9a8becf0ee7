"""Claims about each field: its value is written, read, compared, cleared and taken back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_crm.exceptions import IgnoredError, InvalidValueError
from airflow_provider_crm.push.prepare import shown_payload
from airflow_provider_crm.testing.bench import leaves, part_of, routed_keys
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.values.opportunity import Kind, Update
from airflow_provider_crm.vendors.amounts import amount_of, money_fields
from airflow_provider_crm.vendors.comparison import field_value, is_written, matching_keys, stored_values
from airflow_provider_crm.vendors.encoding import written_values

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.records import Record

NOTHING: tuple[Any, ...] = (None, "", [])


class FieldClaims(Claims):
    """Claims about each field."""

    def test_value_arrives(self, bench: Bench, field_name: str) -> None:
        """A value is stored as the vendor's documents say, and a read or a plan afterwards finds it in place."""
        example, record_id = self.subject.values[field_name], bench.add()
        calls = self.example_calls(bench, record_id, field_name)
        before = self._read(bench, record_id, calls)
        assert matching_keys(calls, before, self.subject.vendor, bench.catalogue) == set()
        assert not any(self._written(bench, calls, before)), "the example differs from the record"
        bench.send(record_id, calls)
        assert part_of(bench.held(record_id), example.shown) == example.shown
        after = self._read(bench, record_id, calls)
        assert matching_keys(calls, after, self.subject.vendor, bench.catalogue) == routed_keys(calls)
        assert all(self._written(bench, calls, after))

    def test_undo(self, bench: Bench, field_name: str) -> None:
        """What a read showed before is written back under the vendor's own keys, and stands there as it was."""
        if bench.catalogue.fields[field_name].partial:
            pytest.skip(f"{field_name} writes a part of a list, which cannot be taken back")
        example, record_id = self.subject.values[field_name], bench.add()
        held = part_of(bench.held(record_id), example.shown)
        calls = self.example_calls(bench, record_id, field_name)
        keys = routed_keys(calls)
        before = stored_values(keys, self._read(bench, record_id, calls), self.subject.vendor, bench.catalogue)
        assert before.keys() == keys
        bench.send(record_id, calls)
        after = stored_values(keys, self._read(bench, record_id, calls), self.subject.vendor, bench.catalogue)
        assert {key for key in keys if after[key] == before[key]} < keys
        values = {key: field_value(key, text, bench.catalogue) for key, text in before.items()}
        undo = bench.calls_of(Update(0, record_id, values))
        assert routed_keys(undo) == keys
        bench.send(record_id, undo)
        assert part_of(bench.held(record_id), example.shown) == held
        undone = self._read(bench, record_id, calls)
        assert stored_values(keys, undone, self.subject.vendor, bench.catalogue) == before

    def test_clear(self, bench: Bench, field_name: str) -> None:
        """A field that may be cleared holds nothing afterwards; of any other a missing value is refused here."""
        example, record_id = self.subject.values[field_name], bench.add()
        if not bench.catalogue.fields[field_name].clearable:
            with pytest.raises(InvalidValueError):
                bench.update(record_id, {field_name: None})
            return
        bench.write(record_id, {field_name: example.value})
        calls = bench.calls(record_id, {field_name: None})
        full = self._read(bench, record_id, calls)
        assert not any(self._written(bench, calls, full)), "a value does not show that it was cleared"
        bench.send(record_id, calls)
        assert [one for one in leaves(part_of(bench.held(record_id), example.shown)) if one not in NOTHING] == []
        empty = self._read(bench, record_id, calls)
        assert matching_keys(calls, empty, self.subject.vendor, bench.catalogue) == routed_keys(calls)
        stored = stored_values(routed_keys(calls), empty, self.subject.vendor, bench.catalogue)
        assert stored.keys() == routed_keys(calls)
        assert set(stored.values()) <= {"null", '""', "[]"}

    def test_a_value_that_is_dropped(self, bench: Bench, field_name: str) -> None:
        """A 2xx without the value is an error that names the field, unless its answers never show the field."""
        example, record_id = self.subject.values[field_name], bench.add()
        calls = self.example_calls(bench, record_id, field_name)
        bench.sandbox.set(ignored_ids=[record_id])
        if all(call.route is not None and call.route.shows_values for call in calls) and not example.is_echoed:
            bench.send(record_id, calls)
            assert not any(self._written(bench, calls, self._read(bench, record_id, calls)))
        else:
            with pytest.raises(IgnoredError) as dropped:
                bench.send(record_id, calls)
            error = dropped.value
            assert (error.code, error.vendor, error.record_id) == ("NOT_WRITTEN", self.subject.vendor.name, record_id)
            assert bench.catalogue.fields[field_name].target in error.field_errors
            assert error.field_errors.keys() <= routed_keys(calls)
        bench.sandbox.reset_switches()
        bench.send(record_id, calls)

    def test_a_value_that_is_not_shown(self, bench: Bench, field_name: str) -> None:
        """A record that was read and lacks a key does not show that a value was written to it."""
        if bench.catalogue.fields[field_name].partial:
            pytest.skip(f"{field_name} may be written by taking a value away")
        vendor, record_id = self.subject.vendor, bench.add()
        bare: Record = {vendor.id_key: record_id}
        calls = self.example_calls(bench, record_id, field_name)
        assert not any(self._written(bench, calls, bare))
        if self.subject.values[field_name].is_echoed:
            echoed = [(key, sent) for call in calls for key, sent in written_values(call, vendor)]
            assert not any(vendor.shows(key, sent, bare, bench.catalogue, echo=True) for key, sent in echoed)
        assert matching_keys(calls, bare, vendor, bench.catalogue) == set()

    def test_personal_values(self, bench: Bench, field_name: str) -> None:
        """The log of a dry run shows the values of a row, but no personal one."""
        example = self.subject.values[field_name]
        shown = "".join(shown_payload(call, bench.catalogue) for call in bench.calls("x", {field_name: example.value}))
        if example.is_personal:
            assert "(hidden)" in shown
            assert str(example.value) not in shown
        else:
            assert "(hidden)" not in shown

    @pytest.mark.parametrize("amount", ["1234.56", "0.29", "0", "98765432.10"])
    def test_amounts(self, bench: Bench, amount: str) -> None:
        """An amount is the same number of major units before it is sent, and when it is read."""
        names = [name for name, field in bench.catalogue.fields.items() if field.kind is Kind.MONEY]
        if not names:
            pytest.skip(f"{self.subject.vendor.display_name} has no field of money")
        money = money_fields(bench.catalogue.fields.values())
        for name in names:
            record_id = bench.add()
            calls = bench.calls(record_id, {name: amount})
            bench.send(record_id, calls)
            record, key = self._read(bench, record_id, calls), bench.catalogue.fields[name].target
            (stored,) = self.subject.vendor.stored_value(key, record, bench.catalogue)
            (sent,) = [call.writes[key] for call in calls if key in call.writes]
            assert [amount_of(key, value, money) for value in (sent, stored)] == [Decimal(amount)] * 2  # type: ignore[arg-type]

    def test_another_currency(self, bench: Bench) -> None:
        """An account of one currency refuses a row in another one before a call, and takes its own."""
        currency = bench.catalogue.currency
        if currency is None:
            pytest.skip(f"{self.subject.vendor.display_name} has a currency for each record")
        for name, field in bench.catalogue.fields.items():
            if field.kind is Kind.CURRENCY:
                bench.calls("x", {name: currency})
                with pytest.raises(InvalidValueError):
                    bench.calls("x", {name: "EUR" if currency != "EUR" else "USD"})

    def test_a_row_of_all_fields(self, bench: Bench) -> None:
        """A row of many fields lands as a whole, whichever calls it takes."""
        taken: set[str] = set()
        row = {}
        for name, example in self.subject.values.items():
            field = bench.catalogue.fields[name]
            if not field.partial and taken.isdisjoint(field.keys):
                row[name] = example.value
                taken |= set(field.keys)
        record_id = bench.add()
        bench.write(record_id, row)
        held = bench.held(record_id)
        wrong = [
            name for name in row if part_of(held, self.subject.values[name].shown) != self.subject.values[name].shown
        ]
        assert wrong == []

    def _read(self, bench: Bench, record_id: str, calls: tuple[Call, ...]) -> Record:
        """Read the keys that calls write."""
        return bench.session.read(record_id, sorted(routed_keys(calls)))

    def _written(self, bench: Bench, calls: tuple[Call, ...], record: Record) -> list[bool]:
        """Return of each call whether a record shows that it has landed."""
        return [is_written(call, record, self.subject.vendor, bench.catalogue) for call in calls]
