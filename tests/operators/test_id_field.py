"""Rows are found by the warehouse's own key: one match, none, several, and what a later run need not ask again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from airflow_provider_crm.database.schema import changes, record_ids
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.vendors.hubspot import paths as hubspot
from airflow_provider_crm.vendors.salesforce import paths as salesforce

from .conftest import POSTGRESQL_WITH_LONG_PROOFS, Impatient

pytestmark = POSTGRESQL_WITH_LONG_PROOFS

STRANGE = "O'Neil \\ 50 % Ümläut/2026"
"""A key that would end a literal, an address or a path if it was not quoted."""


@dataclass(frozen=True)
class Crm:
    """How one vendor's sandbox keeps a key and an amount."""

    conn_id: str
    id_field: str
    account: str
    key: str
    lookups: tuple[str, ...]
    amount: str
    cents: bool = False

    def add(self, sandbox, key):
        """Add an opportunity, and return its id."""
        account = getattr(sandbox, self.account)
        made = account.add_opportunity(**{self.key: key})
        return made.get("id") or made["Id"]

    def amount_of(self, sandbox, record_id):
        """Return the amount that an opportunity has."""
        record = getattr(sandbox, self.account).opportunity(record_id)
        value = record.get("properties", record)[self.amount]
        return None if value is None else float(value) / (100 if self.cents else 1)

    def lookups_in(self, sandbox):
        """Count the calls that looked for keys."""
        return sum(call.path in self.lookups for call in sandbox.audit.calls)

    def arguments(self, **others):
        """Return the arguments of the operator."""
        fields = {"arr": "deal_value"}
        return {"crm_conn_id": self.conn_id, "id_column": "key", "id_field": self.id_field, "fields": fields, **others}


CRMS = {
    "hubspot": Crm(
        "hubspot_default", "warehouse_deal_key", "hubspot", "warehouse_deal_key", (hubspot.BATCH_READ,), "amount"
    ),
    "hubspot, searched": Crm("hubspot_default", "dealname", "hubspot", "dealname", (hubspot.SEARCH,), "amount"),
    "salesforce": Crm(
        "crm_salesforce_default", "Warehouse_Key__c", "salesforce", "Warehouse_Key__c", (salesforce.QUERY,), "Amount"
    ),
    "close": Crm(
        "close_default", "custom.cf_health", "close", "custom.cf_health", ("/api/v1/opportunity/",), "value", cents=True
    ),
    "raze": Crm("raze_default", "company", "raze", "company", ("/external/v1/opportunities",), "deal_value"),
}
WORDS = {"error": "rejected", "skip": "skipped"}
"""The outcome of a row whose key no record has, by the argument."""
CATALOGUE_QUERIES = 2
"""Queries of Salesforce about the org and its stages, which every run asks."""


@pytest.fixture(params=CRMS)
def crm(request):
    """One vendor, and one way to look for keys."""
    return CRMS[request.param]


@pytest.fixture
def lookups(crm, crm_sandbox):
    """Count the lookups since the last count."""
    known = 0

    def count():
        nonlocal known
        before, known = known, crm.lookups_in(crm_sandbox)
        catalogue = CATALOGUE_QUERIES if crm.account == "salesforce" else 0
        return known - before - catalogue

    return count


def test_rows_are_found_by_key(crm, crm_sandbox, task, lookups, stored):
    """Each row lands in the one record that has its key; a later run knows them all, and asks for none."""
    keys = [STRANGE, *(f"D-{number}" for number in range(249))]
    ids = [crm.add(crm_sandbox, key) for key in keys]
    rows = [{"key": key, "arr": 10 + number} for number, key in enumerate(keys)]
    first = task(UpdateOpportunityOperator, data=rows, **crm.arguments())
    assert (first.error, first.outcomes) == (None, {"updated": 250})
    assert [crm.amount_of(crm_sandbox, one) for one in ids] == [10 + number for number in range(250)]
    assert lookups() == 3
    assert {(row["value"], row["record_id"]) for row in stored(record_ids)} == set(zip(keys, ids, strict=True))
    second = task(UpdateOpportunityOperator, data=rows, run_id="second", **crm.arguments())
    assert (second.outcomes, lookups()) == ({"unchanged": 250}, 0)


@pytest.mark.parametrize("on_missing", WORDS)
def test_a_key_that_no_record_has(crm, crm_sandbox, task, stored, on_missing):
    """The row has its outcome, its reason names key and field, and the others land."""
    word, record_id = WORDS[on_missing], crm.add(crm_sandbox, "D-1")
    rows = [{"key": "D-1", "arr": 5}, {"key": "D-2", "arr": 6}]
    ended = task(UpdateOpportunityOperator, data=rows, **crm.arguments(on_missing=on_missing, max_rejected=1))
    assert (ended.error, ended.outcomes) == (None, {"updated": 1, word: 1})
    assert crm.amount_of(crm_sandbox, record_id) == 5
    refused = [row for row in stored(changes) if row["outcome"] == word]
    if word == "rejected":
        (line,) = refused
        assert (line["code"], "No opportunity has 'D-2' in " in line["reason"]) == ("NOT_FOUND", True)
    again = task(UpdateOpportunityOperator, data=rows[1:], run_id="2", **crm.arguments(on_missing=on_missing))
    assert (again.error is None) == (word == "skipped")
    found = crm.add(crm_sandbox, "D-2")
    last = task(UpdateOpportunityOperator, data=rows, run_id="3", **crm.arguments(on_missing=on_missing))
    assert (last.outcomes, crm.amount_of(crm_sandbox, found)) == ({"updated": 1, "unchanged": 1}, 6)


@pytest.mark.parametrize("name", [name for name in CRMS if name not in ("hubspot", "salesforce")])
def test_a_key_of_several_records(name, crm_sandbox, task):
    """None of them is written, and the reason lists the first five."""
    crm = CRMS[name]
    ids = sorted(crm.add(crm_sandbox, "Acme") for _ in range(7))
    before = {crm.amount_of(crm_sandbox, one) for one in ids}
    ended = task(UpdateOpportunityOperator, data=[{"key": "Acme", "arr": 5}], **crm.arguments())
    (reject,) = ended.report["rejects"]
    assert (reject["outcome"], reject["code"]) == ("rejected", "AMBIGUOUS")
    assert reject["reason"].startswith("7 opportunities have 'Acme' in ")
    assert reject["reason"].endswith(" and 2 more.")
    assert sum(one in reject["reason"] for one in ids) == 5
    assert {crm.amount_of(crm_sandbox, one) for one in ids} == before


def test_a_record_that_is_gone_is_looked_for_again(crm_sandbox, task):
    """The run whose record was deleted says so; the next one finds the record that has the key now."""
    crm = CRMS["salesforce"]
    old = crm.add(crm_sandbox, "D-1")
    rows = [{"key": "D-1", "arr": 5}]
    assert task(UpdateOpportunityOperator, data=rows, **crm.arguments()).outcomes == {"updated": 1}
    org = crm_sandbox.salesforce
    org.records.write(old, {**org.records.get(old), "deleted": True}, crm_sandbox.clock.now())
    new = crm.add(crm_sandbox, "D-1")
    rows = [{"key": "D-1", "arr": 6}]
    gone = task(UpdateOpportunityOperator, data=rows, run_id="2", **crm.arguments())
    assert gone.outcomes == {"rejected": 1}
    found = task(UpdateOpportunityOperator, data=rows, run_id="3", **crm.arguments())
    assert (found.outcomes, crm.amount_of(crm_sandbox, new)) == ({"updated": 1}, 6)


def test_salesforce_folds_case(crm_sandbox, task):
    """The external id is one value in any case, as Salesforce keeps it unique."""
    crm = CRMS["salesforce"]
    record_id = crm.add(crm_sandbox, "Deal-1")
    ended = task(UpdateOpportunityOperator, data=[{"key": "DEAL-1", "arr": 5}], **crm.arguments())
    assert (ended.outcomes, crm.amount_of(crm_sandbox, record_id)) == ({"updated": 1}, 5)


def test_a_search_that_folds_case_is_compared_exactly(crm_sandbox, task):
    """HubSpot's search takes values in lower case; a name in another case is another key."""
    crm = CRMS["hubspot, searched"]
    ids = [crm.add(crm_sandbox, key) for key in ("Acme", "ACME")]
    ended = task(UpdateOpportunityOperator, data=[{"key": "ACME", "arr": 5}], **crm.arguments())
    assert ended.outcomes == {"updated": 1}
    assert [crm.amount_of(crm_sandbox, one) == 5 for one in ids] == [False, True]


@pytest.mark.parametrize("on_missing", WORDS)
def test_a_plan_by_key(crm, crm_sandbox, task, on_missing):
    """The plan names the records, and the row without one; its application has the same outcome."""
    record_id = crm.add(crm_sandbox, "D-1")
    rows = [{"key": "D-1", "arr": 5}, {"key": "D-2", "arr": 6}]
    planned = task(PlanOpportunityUpdatesOperator, task_id="plan", data=rows, **crm.arguments(on_missing=on_missing))
    counts = {name: number for name, number in planned.report["counts"].items() if number}
    assert counts == {"update": 1, "skipped" if on_missing == "skip" else "missing": 1}
    applied = task(
        UpdateOpportunityOperator,
        task_id="apply",
        crm_conn_id=crm.conn_id,
        plan=planned.report["plan_id"],
        digest=planned.report["digest"],
        max_rejected=1,
    )
    assert (applied.error, applied.outcomes) == (None, {"updated": 1, WORDS[on_missing]: 1})
    assert crm.amount_of(crm_sandbox, record_id) == 5


def test_without_a_ledger_keys_are_looked_up_in_each_run(crm, crm_sandbox, task, lookups):
    """Nothing is remembered, and nothing is needed."""
    crm.add(crm_sandbox, "D-1")
    for number in range(2):
        ended = task(
            UpdateOpportunityOperator, data=[{"key": "D-1", "arr": number}], **crm.arguments(ledger_conn_id=None)
        )
        assert (ended.outcomes, lookups()) == ({"updated": 1}, 1)


def test_a_dry_run_looks_up_and_remembers_nothing(crm_sandbox, task):
    """A dry run says what it would send, to the record of the key; the next run looks the key up."""
    crm = CRMS["hubspot"]
    crm.add(crm_sandbox, "D-1")
    rows = [{"key": "D-1", "arr": 5}, {"key": "D-2", "arr": 5}]
    ended = task(UpdateOpportunityOperator, data=rows, **crm.arguments(dry_run=True, max_rejected=1))
    assert (ended.outcomes, crm_sandbox.audit.writes) == ({"not_sent": 1, "rejected": 1}, [])
    crm_sandbox.audit.clear()
    written = task(UpdateOpportunityOperator, data=rows[:1], run_id="2", **crm.arguments())
    assert (written.outcomes, crm.lookups_in(crm_sandbox)) == ({"updated": 1}, 1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"id_field": "deal_kye"}, "id_field: HubSpot has no writable field 'deal_kye'"),
        ({"id_field": "stage"}, "whose value is no single text or number"),
        ({"id_field": ""}, "id_field is ''; write the name of the field"),
        ({"on_missing": "create"}, "on_missing is 'create'; write one of error, skip"),
    ],
)
def test_wrong_arguments(crm_sandbox, task, arguments, problem):
    """Each is one sentence before anything is written."""
    ended = task(UpdateOpportunityOperator, data=[{"key": "D-1", "arr": 5}], **CRMS["hubspot"].arguments(**arguments))
    assert problem in str(ended.error)
    assert crm_sandbox.audit.writes == []


def test_a_day_that_is_used_up_among_lookups(crm_sandbox, task, stored):
    """The task is deferred until the day has ended; the keys that were found until then are remembered."""
    crm = CRMS["hubspot"]
    rows = [{"key": f"D-{number}", "arr": number} for number in range(3_000)]
    for row in rows:
        crm.add(crm_sandbox, row["key"])
    crm_sandbox.set(hubspot_daily_limit=30)  # three calls about the portal, and some of thirty lookups
    waiting = task(UpdateOpportunityOperator, data=rows, daily_share=1.0, **crm.arguments())
    assert (waiting.error, waiting.deferred is not None) == (None, True)
    assert len(stored(record_ids)) in (1_000, 2_000)


def test_a_search_that_is_refused_in_the_middle(crm_sandbox, task):
    """The rows before it have landed; the task fails with a sentence about keys, not about the source."""
    crm = CRMS["salesforce"]
    rows = [{"key": f"D-{number}", "arr": number} for number in range(1_100)]
    ids = [crm.add(crm_sandbox, row["key"]) for row in rows]
    passed = [None] * (CATALOGUE_QUERIES + 10)
    crm_sandbox.script(path=salesforce.QUERY, faults=[*passed, *["http_500"] * 20])
    broken = task(Impatient, data=rows, **crm.arguments())
    assert "The keys of the rows could not be looked up after the first 1,000" in str(broken.error)
    assert [crm.amount_of(crm_sandbox, one) for one in ids[:1_000]] == [row["arr"] for row in rows[:1_000]]
