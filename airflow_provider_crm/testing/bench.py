"""Run one vendor against its sandbox, with one clock for both, so that no test waits."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.hooks.connection import account_of, read_connection
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.push.write import write_update
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Outcome, Update
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

if TYPE_CHECKING:
    import pytest

    from airflow_provider_crm.sandbox import AuditedCall, Json, Sandbox, SandboxAccount
    from airflow_provider_crm.testing.subject import Subject
    from airflow_provider_crm.values.opportunity import FieldValue
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
CONNECTION = "vendor_contract"


class Bench:
    """A running sandbox of one vendor, and a session with it; time stands still until something sleeps.

    Attributes:
        subject: The vendor, described.
        vendor: The vendor.
        sandbox: The sandbox.
        account: The sandbox's account of the vendor.
        session: A session with it, whose zone is that of its people.
    """

    def __init__(self, subject: Subject, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.subject = subject
        self.vendor = subject.vendor
        self.sandbox = sandbox
        self.sandbox.clock.set(NOW)
        self.account: SandboxAccount = sandbox.account(subject.sandbox_api.name)
        self._monkeypatch = monkeypatch
        self.session = self.connect()
        self._catalogue: Catalogue | None = None

    def connect(self, **changes: Json) -> Session:
        """Make a session from the connection to the sandbox, with some of its parts changed."""
        name = f"{self.vendor.name}_default"
        connection = json.loads(self.sandbox.connection_uris(timezone=self.subject.timezone)[name])
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(connection | changes))
        clock, now = self.sandbox.clock, self.sandbox.clock.now

        def sleep(seconds: float) -> None:
            clock.advance(math.ceil(seconds * 1e6) / 1e6)  # it has microseconds; less would not move it

        waiting = Clock(monotonic=lambda: now().timestamp(), now=now, sleep=sleep, jitter=lambda: 0.0)
        return Session(account_of(read_connection(CONNECTION), self.vendor), clock=waiting)

    @property
    def catalogue(self) -> Catalogue:
        """What the account offers; it is fetched once."""
        if self._catalogue is None:
            self._catalogue = self.session.catalogue(tuple(self.subject.values))
        return self._catalogue

    def use(self, catalogue: Catalogue) -> None:
        """Take another catalogue for what the account offers."""
        self._catalogue = catalogue

    def add(self) -> str:
        """Add a record to the sandbox, and return its id."""
        return str(self.account.add_opportunity(**self.subject.record)[self.vendor.id_key])

    def add_many(self, count: int) -> list[str]:
        """Add some records, and return their ids."""
        return [self.add() for _ in range(count)]

    def missing(self) -> str:
        """Return the id of a record that was deleted."""
        record_id = self.add()
        self.account.records.write(record_id, None, self.sandbox.clock.now())
        return record_id

    def update(self, record_id: str, fields: Mapping[str, object], row: int = 0, **arguments: Any) -> Update:
        """Return a row of raw values as a run has it."""
        rules = ValueRules(timezone=self.subject.timezone)
        values = {name: rules.value(self.catalogue.fields[name], raw) for name, raw in fields.items()}
        return Update(row, self.vendor.canonical_id(record_id), values, **arguments)

    def calls(self, record_id: str, fields: Mapping[str, object]) -> tuple[Call, ...]:
        """Return the calls that write a row of raw values."""
        return self.calls_of(self.update(record_id, fields))

    def calls_of(self, update: Update) -> tuple[Call, ...]:
        """Return the calls that write a row."""
        return calls_of(update.record_id, writes_of(update, self.vendor, self.catalogue))

    def write(self, record_id: str, fields: Mapping[str, object]) -> Record:
        """Write a row of raw values, and compare what came back, as a run does."""
        return self.send(record_id, self.calls(record_id, fields))

    def write_values(self, record_id: str, fields: Mapping[str, FieldValue]) -> Record:
        """Write a row whose values are converted already, as an undo does."""
        return self.send(record_id, self.calls_of(Update(0, record_id, fields)))

    def send(self, record_id: str, calls: tuple[Call, ...]) -> Record:
        """Send the calls of one row."""
        return write_update(self.session, calls, record_id, self.rules(), self.catalogue)

    def push(self, updates: Iterable[Update], **rules: Any) -> list[Outcome]:
        """Write rows as a run without a ledger does; outcomes in the order of the rows."""
        push = Push(self.session, self.catalogue, self.rules(**rules))
        return sorted(push.run(updates), key=lambda outcome: outcome.row)

    def rules(self, **rules: Any) -> PushRules:
        """Return rules in the zone of the account's people."""
        return PushRules(timezone=self.subject.timezone, concurrency=1, **{"date_won_default": "server", **rules})

    def held(self, record_id: str) -> dict[str, Any]:
        """Return the record as the sandbox has it."""
        return self.account.opportunity(record_id)

    def set_limit(self, calls: int, seconds: float) -> None:
        """Let the sandbox refuse calls beyond a limit."""
        assert self.subject.limit_switches is not None
        limit, window = self.subject.limit_switches
        self.sandbox.set(**{limit: calls, window: seconds})

    def script(self, *faults: str | None, call: Call | None = None) -> None:
        """Let the next calls meet faults: all calls, or those with the method and path of one."""
        if call is None:
            self.sandbox.script(faults=faults)
        else:
            self.sandbox.script(faults=faults, method=call.method, path=call.path)

    def sent(self, call: Call | None = None) -> list[AuditedCall]:
        """Return the calls that came over the wire: all, or those with the method and path of one."""
        calls = self.sandbox.audit.calls
        return calls if call is None else [c for c in calls if (c.method, c.path) == (call.method, call.path)]

    def refusals(self) -> list[AuditedCall]:
        """Return the calls that the rate limit refused."""
        return [call for call in self.sandbox.audit.calls if call.status == 429]

    def seconds_passed(self) -> float:
        """Return how long was waited since the bench was made."""
        return (self.sandbox.clock.now() - NOW).total_seconds()


def part_of(record: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a record that a shape names, however deep."""
    return {
        key: part_of(record.get(key) or {}, inner) if isinstance(inner, Mapping) else record.get(key)
        for key, inner in shape.items()
    }


def leaves(record: Mapping[str, Any]) -> list[Any]:
    """Return the values in an object and the objects within it."""
    return [leaf for value in record.values() for leaf in (leaves(value) if isinstance(value, Mapping) else [value])]


def routed_keys(calls: Sequence[Call]) -> set[str]:
    """Return the vendor's keys that calls write."""
    return {key for call in calls if call.route is not None for key in call.route.keys}
