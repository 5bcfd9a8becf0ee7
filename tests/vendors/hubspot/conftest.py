"""A portal in the sandbox, and runs of rows against it; no test waits."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update

ZONE = "America/New_York"


class Deals:
    """Runs of rows against the portal of the sandbox.

    Attributes:
        portal: The account of the sandbox.
        sandbox: The sandbox.
        session: The session of all runs.
    """

    def __init__(self, sandbox, session, ledger):
        self.portal, self.sandbox, self.session = sandbox.hubspot, sandbox, session
        self._ledger = ledger

    def add(self, count=1, **properties):
        """Add deals, and return their ids."""
        return [self.portal.add_opportunity(**properties)["id"] for _ in range(count)]

    def held(self, record_id):
        """Return the properties that a deal holds."""
        return self.portal.opportunity(record_id)["properties"]

    def push(self, *fields, ledger=False, **rules):
        """Make a run that writes these fields."""
        rules = PushRules(timezone=ZONE, concurrency=1, **{"date_won_default": "server", **rules})
        return Push(self.session, self.session.catalogue(fields), rules, self._ledger() if ledger else None)

    def write(self, rows, *, ledger=False, push=None, as_of=None):
        """Write rows of record id and raw values; return their outcomes in order."""
        push = push or self.push(*rows[0][1], ledger=ledger)
        values = ValueRules(timezone=ZONE)
        updates = [
            Update(
                number,
                record_id,
                {name: values.value(push.catalogue.fields[name], raw) for name, raw in row.items()},
                as_of or self.sandbox.clock.now(),
            )
            for number, (record_id, row) in enumerate(rows)
        ]
        return sorted(push.run(updates), key=lambda outcome: outcome.row)

    def sent(self, method=None):
        """Return the calls that came over the wire."""
        return [call for call in self.sandbox.audit.calls if method in (None, call.method)]


@pytest.fixture
def deals(sandbox, connect, engine):
    """Return runs against the portal."""
    Database(engine).open()
    hook = connect("hubspot", timezone=ZONE)
    numbers = iter(range(100))

    def ledger():
        key, clock = f"run {next(numbers)}", hook.session.clock
        return Ledger(
            Database(engine, clock=clock),
            combine=combined,
            account="hubspot:test:12345678",
            run_key=key,
            lease=1e4,
            clock=clock,
        )

    return Deals(sandbox, hook.session, ledger)


@pytest.fixture
def noon():
    """Return noon of a day in the portal's zone, as HubSpot writes it."""

    def noon(day):
        hour = 16 if dt.date(2026, 3, 8) <= dt.date.fromisoformat(day) < dt.date(2026, 11, 1) else 17
        return f"{day}T{hour}:00:00Z"

    return noon
