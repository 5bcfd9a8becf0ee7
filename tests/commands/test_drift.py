"""`airflow crm drift` finds to the value what the CRM no longer holds, and changes nothing."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.schema import field_states, metadata
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from tests.operators.conftest import Run

ROWS = 30
VENDORS = {
    "close": ("close_default", "oppo_{}", "value", "note"),
    "raze": ("raze_default", "opp_{}", "deal_value", "notes"),
    "hubspot": ("hubspot_default", "17159100{:04}", "amount", "description"),
    "salesforce": ("crm_salesforce_default", None, "Amount", "Description"),
}


class Deals:
    """Opportunities of one vendor's sandbox that a run writes."""

    def __init__(self, name, sandbox):
        self.conn_id, form, self.amount, self.note = VENDORS[name]
        self.sandbox, self.account = sandbox, getattr(sandbox, name)
        made = [self.account.add_opportunity(*([form.format(number)] if form else [])) for number in range(ROWS)]
        self.ids = [one.get("id") or one["Id"] for one in made]

    def write(self, run_id, **arguments):
        """Write an amount and a note to each."""
        data = [{"id": one, "arr": number, "note": f"Note {number}"} for number, one in enumerate(self.ids)]
        operator = UpdateOpportunityOperator(
            task_id="task",
            data=data,
            crm_conn_id=self.conn_id,
            id_column="id",
            fields={"arr": "deal_value", "note": "notes"},
            ledger_conn_id="ledger",
            max_rejected=0.5,
            **arguments,
        )
        end = Run()
        end.context["ti"].run_id = run_id
        return end.of(operator.execute).outcomes

    def change(self, record_id, key, value):
        """Change a value as a person would."""
        stored = self.account.records.get(record_id)
        inner = next((stored[name] for name in ("properties", "values") if name in stored), None)
        changed = {**stored, key: value} if inner is None else stored | {_inside(stored): {**inner, key: value}}
        self.account.records.write(record_id, changed, self.sandbox.clock.now())


def _inside(stored):
    return next(name for name in ("properties", "values") if name in stored)


@pytest.fixture(params=VENDORS)
def deals(request, crm_sandbox, ledger):
    """Thirty opportunities, whose values the ledger knows."""
    made = Deals(request.param, crm_sandbox)
    assert made.write("first") == {"updated": ROWS}
    return made


def contents(engine):
    """All rows of all tables but those of rate limits."""
    tables = [table for table in metadata.sorted_tables if table.name != "crm_budgets"]
    with engine.connect() as connection:
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)).all())) for table in tables}


def test_no_drift(deals, crm_json):
    """All values are compared, and none differs."""
    found = crm_json("drift", deals.conn_id)
    assert (found["records"], found["gone"], found["examples"]) == (ROWS, 0, [])
    assert {one["key"]: (one["values"], one["differing"]) for one in found["fields"]} == {
        deals.amount: (ROWS, 0),
        deals.note: (ROWS, 0),
    }


def test_what_people_changed_is_found_to_the_value(deals, crm_json, ledger):
    """Each changed value is counted and shown beside the one that was written; neither side is changed."""
    for record_id in deals.ids[3:6]:
        deals.change(record_id, deals.note, "Changed by hand")
    before, calls = contents(ledger), len(deals.sandbox.audit.writes)
    found = crm_json("drift", deals.conn_id)
    by_key = {one["key"]: one for one in found["fields"]}
    assert (by_key[deals.note]["differing"], by_key[deals.note]["percent"]) == (3, 10.0)
    assert by_key[deals.amount]["differing"] == 0
    assert {one["record_id"]: (one["written"], one["shown"]) for one in found["examples"]} == {
        one: (f"Note {number}", "Changed by hand") for number, one in enumerate(deals.ids[3:6], start=3)
    }
    assert (contents(ledger), len(deals.sandbox.audit.writes)) == (before, calls)


def test_forgetting_the_account_cures_it(deals, crm, crm_json):
    """The next run finds nothing to do before, and writes all that differs afterwards."""
    deals.change(deals.ids[0], deals.note, "Changed by hand")
    assert deals.write("second") == {"unchanged": ROWS}
    account = crm_json("drift", deals.conn_id)["account"]
    crm("account", "forget", account)
    assert deals.write("third") == {"updated": ROWS}
    assert [one["differing"] for one in crm_json("drift", deals.conn_id)["fields"]] == [0, 0]


def test_a_sample_reads_no_more(deals, crm_json):
    """Of a sample the numbers are those of its records."""
    found = crm_json("drift", deals.conn_id, "--sample", "7")
    assert (found["records"], [one["values"] for one in found["fields"]]) == (7, [7, 7])


def test_a_record_that_is_gone(crm_sandbox, ledger, crm_json):
    """It is counted apart, and named."""
    made = Deals("salesforce", crm_sandbox)
    made.write("first")
    stored = made.account.records.get(made.ids[4])
    made.account.records.write(made.ids[4], {**stored, "deleted": True}, crm_sandbox.clock.now())
    found = crm_json("drift", made.conn_id)
    assert (found["records"], found["gone"], found["gone_ids"]) == (ROWS, 1, [made.ids[4]])


def test_hidden_values_are_compared_and_not_shown(crm_sandbox, ledger, crm_json, monkeypatch):
    """A hashed field that differs is counted; neither value is printed."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "notes")
    made = Deals("close", crm_sandbox)
    made.write("first")
    assert [one["differing"] for one in crm_json("drift", made.conn_id)["fields"]] == [0, 0]
    made.change(made.ids[1], "note", "Changed by hand")
    found = crm_json("drift", made.conn_id)
    assert {one["key"]: one["differing"] for one in found["fields"]} == {"note": 1, "value": 0}
    assert "Changed by hand" not in json.dumps(found)
    with ledger.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(field_states)).scalar_one() == 2 * ROWS


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["close_default"], "The ledger knows no value of close:"), (["close_default", "--sample", "0"], "--sample is 0")],
)
def test_what_cannot_be_compared(crm_sandbox, ledger, crm, words, sentence):
    """One sentence says why."""
    ended = crm("drift", *words)
    assert (ended.code, sentence in ended.message) == (1, True)
