"""Rows pushed to Batchly over HTTP: whatever its answers do, every row is told truly and the account is right."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.values.opportunity import OutcomeWord, Update
from tests.fake.api import APIS
from tests.fake.fixtures import NOW

every_api = pytest.mark.parametrize("api", [api.name for api in APIS])
ROWS = 300


@pytest.fixture
def deals(batchly_sandbox):
    """Add records to each account; returns the sandbox."""
    for api in APIS:
        for number in range(ROWS):
            batchly_sandbox.account(api.name).add_opportunity(str(number + 1), amount="1.00")
    return batchly_sandbox


@pytest.fixture
def run(deals, connect_fake):
    """Push amounts to records by id; returns the outcome of each record, and the session's calls are audited."""

    def run(api, amounts, *, attempts=3, **rules):
        session = connect_fake(api).session
        session.retry = type(session.retry)(attempts=attempts)
        catalogue = session.catalogue(("deal_value", "c_active"))
        rows = [
            Update(row, record_id, {"deal_value": Decimal(amount), "c_active": True}, NOW)
            for row, (record_id, amount) in enumerate(amounts.items())
        ]
        deals.audit.clear()
        return {one.record_id: one for one in Push(session, catalogue, PushRules(**rules)).run(rows)}

    return run


def amounts_of(count=ROWS):
    """Return an amount for each of the first records."""
    return {str(number + 1): f"{number}.50" for number in range(count)}


def words(outcomes):
    """Count the words of outcomes."""
    return Counter(one.word for one in outcomes.values())


def written(deals, api, outcomes, amounts):
    """Return the records that hold what their row wanted, and check that exactly those are told as written."""
    account = deals.account(api)
    right = {
        one
        for one in amounts
        if Decimal(account.opportunity(one)["properties"]["amount"] or 0) == Decimal(amounts[one])
    }
    assert {one for one, outcome in outcomes.items() if outcome.word is OutcomeWord.UPDATED} == right
    return right


@every_api
def test_plain(deals, run, api):
    """A row goes alone, then a hundred a call; a vendor that shows nothing is read once for each call."""
    outcomes = run(api, amounts_of())
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS
    calls = Counter(one.path.rpartition("/")[2] for one in deals.audit.calls)
    assert (calls["update"], calls["read"]) == (3, 3 if api == "batchly_mute" else 0)
    assert deals.audit.count() == (8 if api == "batchly_mute" else 4)


@every_api
def test_poisoned(deals, run, api):
    """A row that refuses its whole call is found by halves and told alone; all others land."""
    deals.set(**{f"{api}_poisoned_ids": {"50", "150", "151"}})
    outcomes = run(api, amounts_of())
    assert {one for one, outcome in outcomes.items() if outcome.word is OutcomeWord.REJECTED} == {"50", "150", "151"}
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS - 3


@every_api
def test_row_errors(deals, run, api):
    """Errors of single rows are theirs, a lock is tried again, and an error that names no row is cleared up."""
    amounts = amounts_of() | {"9999": "1"}
    switches = {"rejected_ids": {"20", "30"}, "locked_ids": {"40", "41"}, "unnamed_ids": {"30"}}
    deals.set(**{f"{api}_{name}": value for name, value in switches.items()})
    outcomes = run(api, amounts)
    refused = {one: outcome.code for one, outcome in outcomes.items() if outcome.word is OutcomeWord.REJECTED}
    assert refused == {"20": "RULE", "30": "RULE", "9999": "NOT_FOUND"}
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS - 2


@every_api
@pytest.mark.parametrize("results", ["no_results", "no_body"])
def test_answers_that_say_nothing(deals, run, api, results):
    """A batch that is answered with nothing has landed if the records show it, which one call finds out."""
    deals.set(**{f"{api}_results": results})
    outcomes = run(api, amounts_of())
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS
    assert deals.audit.count(api, "POST") == 2 * 3


@every_api
def test_drops(deals, run, api):
    """Rows that are answered with success and not written are told as ignored, all of them and no others."""
    deals.set(seed=5, **{f"{api}_dropped_rate": 0.03})
    outcomes = run(api, amounts_of())
    landed = written(deals, api, outcomes, amounts_of())
    assert words(outcomes) == {OutcomeWord.UPDATED: len(landed), OutcomeWord.IGNORED: ROWS - len(landed)}
    assert 0 < ROWS - len(landed) < 30


@every_api
def test_left_out(deals, run, api):
    """Rows that an answer leaves out are neither taken for landed nor lost, even where their places shift others."""
    deals.set(seed=5, **{f"{api}_left_out_rate": 0.03, "ignored_ids": {"17", "170"}})
    outcomes = run(api, amounts_of())
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS - 2
    assert words(outcomes)[OutcomeWord.IGNORED] == 2


@every_api
def test_faults(deals, run, api):
    """Lost answers, throttling and errors on the way leave no row behind and none that is told wrongly."""
    rates = {"reset_after": 0.1, "reset_before": 0.1, "http_429": 0.1, "http_503": 0.1, "html_502": 0.05}
    deals.set(seed=2, fault_rates=rates)
    outcomes = run(api, amounts_of(), attempts=10, concurrency=1)
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS


@every_api
def test_limits(deals, run, api):
    """A run goes on for as long as the burst needs, and every row lands."""
    deals.set(**{f"{api}_limit": 3 if api != "batchly_mute" else 150, f"{api}_window": 10.0})
    outcomes = run(api, amounts_of(), attempts=10)
    assert len(written(deals, api, outcomes, amounts_of())) == ROWS
