"""Plan, apply and undo in a CRM with calls for a hundred rows: few calls, right values, conflicts row by row."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.database.schema import plan_rows
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from tests.fake.api import LARGEST_BATCH

CRM = {"crm_conn_id": "batchly_default"}
COLUMNS = {"id_column": "id", "fields": {"arr": "deal_value", "text": "notes"}}
READS = (("GET", "records"), ("POST", "read"))
CATALOGUE = {("GET", "account"): 1, ("GET", "pipelines"): 1}
BY_HAND = "99"


class PlannedDeals:
    """Records of Batchly, and the rows that change every one of them.

    Args:
        sandbox: Serves Batchly.
        count: How many.
    """

    def __init__(self, sandbox, count):
        self.account, self._audit = sandbox.account("batchly"), sandbox.audit
        self.ids = [str(100_000 + number) for number in range(count)]
        self.before = {one: (Decimal(5), "old" if number % 3 else None) for number, one in enumerate(self.ids)}
        for record_id, (amount, text) in self.before.items():
            self.account.add_opportunity(record_id, amount=amount, description=text)
        self.wanted = {one: (Decimal(number) + 1000, f"new {number}") for number, one in enumerate(self.ids)}
        self.rows = [{"id": one, "arr": int(amount), "text": text} for one, (amount, text) in self.wanted.items()]

    def shown(self):
        """Return amount and description of each record."""
        properties = {one: self.account.opportunity(one)["properties"] for one in self.ids}
        return {one: (Decimal(shown["amount"]), shown["description"]) for one, shown in properties.items()}

    def change(self, record_id):
        """Let a person change the amount of a record; return what it shows then."""
        self.account.add_opportunity(record_id, amount=BY_HAND, description="by hand")
        return Decimal(BY_HAND), "by hand"

    def calls(self):
        """Return the reads of records and their writes since the last time; all other calls read the catalogue."""
        found = {}
        for call in self._audit.calls:
            parts = call.path.split("/")
            kind = (call.method, parts[3] if call.method == "GET" else parts[-1] if call.method == "POST" else "")
            found[kind] = found.get(kind, 0) + 1
        self._audit.clear()
        others = {kind: number for kind, number in found.items() if kind[1] in ("account", "pipelines", "schema")}
        assert others.keys() <= CATALOGUE.keys()
        assert all(number <= CATALOGUE[kind] for kind, number in others.items())
        reads = sum(number for kind, number in found.items() if kind in READS)
        return reads, sum(found.values()) - reads - sum(others.values())


def _plain(value):
    """Return a value of a plan as `PlannedDeals` has it."""
    return Decimal(str(value)) if isinstance(value, (int, float)) else value


@pytest.fixture
def planned_fields(ledger_conn_id):
    """Return a verdict, and the values before and after, of each record and field in a plan."""

    def read(plan_id):
        engine = ledger_database(ledger_conn_id).engine
        with engine.connect() as connection:
            found = connection.execute(sa.select(plan_rows).where(plan_rows.c.plan_id == plan_id)).all()
        engine.dispose()
        values = {(row.record_id, row.field): (row.verdict, *map(json.loads, (row.before, row.after))) for row in found}
        return {one: (verdict, *map(_plain, texts)) for one, (verdict, *texts) in values.items()}

    return read


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_plan_apply_and_undo(batchly_sandbox, task, planned_fields, count):
    """Reads go by a hundred, and so do writes; a record that a person changed in between is a conflict of its own."""
    deals = PlannedDeals(batchly_sandbox, count)
    batches = count // LARGEST_BATCH + 1  # the first row goes alone
    planned = task(PlanOpportunityUpdatesOperator, data=deals.rows, **{**CRM, **COLUMNS, "task_id": "plan"})
    assert planned.error is None
    reads, writes = deals.calls()
    assert (reads <= batches, writes) == (True, 0)
    assert deals.shown() == deals.before
    fields = {
        (one, key): ("update", deals.before[one][number], deals.wanted[one][number])
        for one in deals.ids
        for number, key in enumerate(("amount", "description"))
    }
    assert planned_fields(planned.report["plan_id"]) == fields

    early = deals.ids[7 :: count // 3]
    by_hand = {record_id: deals.change(record_id) for record_id in early}
    approval = {"plan": planned.report["plan_id"], "digest": planned.report["digest"]}
    applied = task(UpdateOpportunityOperator, **{**CRM, **approval, "task_id": "apply"})
    applied_calls = deals.calls()
    assert sum(applied_calls) <= 2 * batches
    assert isinstance(applied.error, AirflowFailException)
    assert applied.outcomes == {"updated": count - len(early), "rejected": len(early)}
    assert applied.rejects == dict.fromkeys(early, ("rejected", "CONFLICT"))
    assert deals.shown() == deals.wanted | by_hand

    late = deals.ids[50 :: count // 2]
    by_hand |= {record_id: deals.change(record_id) for record_id in late}
    undone = task(RevertOpportunityUpdatesOperator, run_key="dag/apply/run", **{**CRM, "task_id": "undo"})
    undo_calls = deals.calls()
    assert sum(undo_calls) <= 3 * batches
    assert undone.outcomes == {"updated": count - len(by_hand), "rejected": len(late)}
    assert undone.rejects == dict.fromkeys(late, ("rejected", "CONFLICT"))
    assert deals.shown() == deals.before | by_hand
    size = f"{reads} reads to plan; reads and writes to apply {applied_calls}, to undo {undo_calls}"
    print(f"{count} rows: {size}")  # noqa: T201 - the size of the proof
