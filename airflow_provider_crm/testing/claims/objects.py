"""Claims about the vendor as an object: its names, its connection test and its catalogue."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_crm.exceptions import ConfigurationError, CrmError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.push.rules import check_fields
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS, Field, Kind, Update
from airflow_provider_crm.vendors import API_VERSION
from airflow_provider_crm.vendors.encoding import writes_of
from airflow_provider_crm.vendors.protocol import Vendor

if TYPE_CHECKING:
    from airflow_provider_crm.testing.bench import Bench

OTHER_SERVICES: tuple[Any, ...] = ({}, [], "text", None, {"status": "ok"}, {"data": []}, {"id": "user_1"})


class ObjectClaims(Claims):
    """Claims about the vendor as an object."""

    def test_protocol(self) -> None:
        """A vendor has every attribute and method of the protocol, with the same parameters."""
        vendor = self.subject.vendor
        methods = {
            name: one for name, one in vars(Vendor).items() if inspect.isfunction(one) and not name.startswith("_")
        }
        assert [name for name in Vendor.__annotations__ if not hasattr(vendor, name)] == []
        for name, method in methods.items():
            wanted = list(inspect.signature(method).parameters)[1:]
            assert list(inspect.signature(getattr(vendor, name)).parameters) == wanted, name
        assert vendor.api_version == API_VERSION
        assert (bool(vendor.display_name), bool(vendor.id_key), bool(vendor.api_key_label)) == (True, True, True)
        assert all(address.startswith("https://") for address in (vendor.origin, vendor.documentation))
        assert not vendor.origin.endswith("/")

    def test_one_name(self, bench: Bench) -> None:
        """Vendor, hook, sandbox and connection have one name."""
        vendor, hook = self.subject.vendor, self.subject.hook
        assert issubclass(hook, CrmHook)
        (connection,) = bench.sandbox.connection_uris()
        assert (hook.conn_type, connection) == (vendor.name, f"{vendor.name}_default")
        assert (hook.hook_name, hook.default_conn_name) == (vendor.display_name, f"{vendor.name}_default")
        assert bench.session.account.vendor is vendor

    def test_probe(self, bench: Bench) -> None:
        """The connection test makes one call, which writes nothing, and names the vendor."""
        probe = self.subject.vendor.probe()
        assert (probe.method, probe.body, probe.writes) == ("GET", None, {})
        assert self.subject.vendor.display_name in bench.session.probe()
        assert (len(bench.sent()), len(bench.sent(probe)), bench.sandbox.audit.writes) == (1, 1, [])

    @pytest.mark.parametrize("body", OTHER_SERVICES, ids=repr)
    def test_probe_of_another_service(self, body: Any) -> None:  # noqa: ANN401 - any JSON
        """A 200 with JSON of another service is no connection."""
        with pytest.raises(CrmError):
            self.subject.vendor.check_probe(HandmadeAnswer(200, body))

    def test_fields(self, bench: Bench) -> None:
        """The catalogue lists fields by their names, documented ones among them; each key is a field of that name."""
        fields, vendor = bench.catalogue.fields, self.subject.vendor
        companions = {key for field in fields.values() for key in field.also_writes}
        assert fields.keys() - companions <= self.subject.values.keys() <= fields.keys(), "each field has an example"
        assert all(isinstance(one, Field) and one.name == name and one.target for name, one in fields.items())
        keys = {key for name, field in fields.items() if name in self.writable(bench) for key in field.keys}
        assert [key for key in sorted(keys) if key not in fields or fields[key].target != key] == []
        assert [field.name for field in vendor.documented_fields if fields.get(field.name) != field] == []
        personal = {name for name, example in self.subject.values.items() if example.is_personal}
        assert {name for name, field in fields.items() if field.personal} == personal

    def test_written_keys(self, bench: Bench) -> None:
        """A field writes the keys that it says it does, or none if it is only checked, in calls that carry its name."""
        for name, example in self.subject.values.items():
            update = bench.update("x", {name: example.value})
            writes = writes_of(update, self.subject.vendor, bench.catalogue)
            assert set(writes.names) in (set(), set(bench.catalogue.fields[name].keys)), name
            calls = bench.calls_of(update)
            assert {key for call in calls if call.route for key in call.route.keys} == set(writes.names)
            assert {one for call in calls for one in call.fields} == ({name} if calls else set())

    def test_money(self, bench: Bench) -> None:
        """Every field of money says in which unit it is counted, the same under all its names."""
        fields = bench.catalogue.fields.values()
        assert [one.name for one in fields if one.kind is Kind.MONEY and one.amount_digits is None] == []
        targets = {one.target for one in fields if one.amount_digits is not None}
        assert len({(one.target, one.amount_digits) for one in fields if one.target in targets}) == len(targets)

    def test_canonical_fields(self, bench: Bench) -> None:
        """A canonical field is translated, or refused by a message that names it."""
        catalogue, title = bench.catalogue, self.subject.vendor.display_name
        missing = [name for name in CANONICAL_FIELDS if name not in catalogue.fields]
        assert all(name in catalogue.unknown_field(name, title) for name in missing)

    def test_unknown_field(self, bench: Bench) -> None:
        """The error for an unknown field names it, the vendor, and the fields that may be written."""
        vendor = self.subject.vendor
        with pytest.raises(ConfigurationError) as refused:
            check_fields({"column": "no_such_field"}, vendor, bench.catalogue)
        documented = [field.name for field in vendor.documented_fields]
        assert [
            name for name in ("no_such_field", vendor.display_name, *documented) if name not in str(refused.value)
        ] == []

    def test_calls_never_create(self, bench: Bench) -> None:
        """No row becomes a call that creates or deletes, and a row of nothing becomes no call."""
        routes = [call for name, one in self.subject.values.items() for call in bench.calls("x", {name: one.value})]
        assert {call.method for call in routes} <= {"PUT", "PATCH", "POST"}
        assert bench.calls_of(Update(0, "x", {})) == ()
        record_id, count = bench.missing(), len(bench.account.records.ids())
        with pytest.raises(CrmError):
            bench.write(record_id, dict([next(iter(self.writable(bench).items()))]))
        assert (len(bench.account.records.ids()), bench.sandbox.audit.writes) == (count, [])

    def writable(self, bench: Bench) -> dict[str, object]:
        """Return the examples that are written by a call."""
        examples = self.subject.values.items()
        return {name: one.value for name, one in examples if bench.calls("x", {name: one.value})}
