"""An org in the sandbox, and runs of rows against it; no test waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update

ZONE = "America/New_York"
RECORDED = Path(__file__).parent / "recorded"


def recorded(name):
    """Return the body of an answer on record."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


class Opportunities:
    """Runs of rows against the org of the sandbox.

    Attributes:
        org: The account of the sandbox.
        sandbox: The sandbox.
        session: The session of all runs.
    """

    def __init__(self, sandbox, session):
        self.org, self.sandbox, self.session = sandbox.salesforce, sandbox, session

    def add(self, count=1, **fields):
        """Add opportunities, and return their ids."""
        return [self.org.add_opportunity(**fields)["Id"] for _ in range(count)]

    def write(self, rows, **rules):
        """Write rows of record id and raw values; return their outcomes in order."""
        catalogue = self.session.catalogue(tuple(rows[0][1]))
        rules = PushRules(timezone=ZONE, concurrency=1, **{"date_won_default": "server", **rules})
        push = Push(self.session, catalogue, rules, None)
        values = ValueRules(timezone=ZONE)
        updates = [
            Update(
                number,
                self.session.account.vendor.canonical_id(record_id),
                {name: values.value(catalogue.fields[name], raw) for name, raw in row.items()},
                self.sandbox.clock.now(),
            )
            for number, (record_id, row) in enumerate(rows)
        ]
        return sorted(push.run(updates), key=lambda outcome: outcome.row)

    def words(self, rows, **rules):
        """Write rows, and return their outcomes in words."""
        return [str(outcome.word) for outcome in self.write(rows, **rules)]

    def sent(self, method=None):
        """Return the calls that came over the wire."""
        return [call for call in self.sandbox.audit.calls if method in (None, call.method)]


@pytest.fixture
def opportunities(sandbox, connect):
    """Return runs against the org."""
    return Opportunities(sandbox, connect("crm_salesforce", timezone=ZONE).session)
