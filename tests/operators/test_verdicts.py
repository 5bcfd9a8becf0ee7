"""Whose verdict an answer is: the vendor's about the row, or that of something on the way, which passes."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.ledger_schema import rejects
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import Impatient

RECORD = {"close": "oppo_0", "raze": "opp_0"}


def arguments(vendor, value, record_id=None):
    """One row for a vendor."""
    data = [{"id": record_id or RECORD[vendor], "arr": value}]
    return {"data": data, "crm_conn_id": f"{vendor}_default", "id_column": "id", "fields": {"arr": "deal_value"}}


@pytest.mark.parametrize("vendor", RECORD)
def test_a_proxys_page_is_no_verdict(deals, task, stored, vendor):
    """A page of any status is retried, then the row is `failed`; nothing is remembered, and the next run writes it."""
    for number, status in enumerate((400, 403, 404, 407, 423)):
        deals.set(fault_rates={f"html_{status}": 1.0}, fault_methods={"PUT"})
        run = task(Impatient, run_id=f"page {status}", **arguments(vendor, 100 + number))
        assert isinstance(run.error, AirflowException)
        assert not isinstance(run.error, AirflowFailException)
        assert run.rejects == {RECORD[vendor]: ("failed", "FOREIGN_ANSWER")}
        assert deals.audit.count(vendor, method="PUT") == 8
        assert all(text in str(run.error) for text in (deals.url.removeprefix("http://"), str(status), "Sandbox"))
        assert "Check the key" not in str(run.error)
        assert stored(rejects) == []
        deals.reset_switches()
        assert task(Impatient, run_id=f"after {status}", **arguments(vendor, 100 + number)).outcomes == {"updated": 1}
        deals.audit.clear()


@pytest.mark.parametrize("vendor", RECORD)
def test_conflicts_and_locks_pass(deals, task, stored, vendor):
    """409 and 423 of the vendor itself say that somebody else is writing the record: retried, never remembered."""
    for number, status in enumerate((409, 423)):
        deals.script(vendor=vendor, method="PUT", faults=[f"http_{status}"] * 3)
        assert task(Impatient, run_id=f"short {status}", **arguments(vendor, number)).outcomes == {"updated": 1}
        deals.set(fault_rates={f"http_{status}": 1.0}, fault_methods={"PUT"})
        run = task(Impatient, run_id=f"long {status}", **arguments(vendor, 10 + number))
        assert run.outcomes == {"failed": 1}
        assert stored(rejects) == []
        deals.reset_switches()
        assert task(Impatient, run_id=f"after {status}", **arguments(vendor, 10 + number)).outcomes == {"updated": 1}


@pytest.mark.parametrize("vendor", RECORD)
def test_the_vendors_own_401_stops_before_the_second_row(deals, task, vendor):
    """A key that the vendor refuses is told as such after one call, whatever pages look like."""
    deals.set(fault_rates={"http_401": 1.0}, fault_methods={"PUT"})
    rows = {**arguments(vendor, 1), "data": [{"id": f"x_{number}", "arr": 1} for number in range(10)]}
    run = task(UpdateOpportunityOperator, **rows)
    assert isinstance(run.error, AirflowFailException)
    assert "Check the key in connection" in str(run.error)
    assert (run.outcomes, deals.audit.count(vendor, method="PUT")) == ({"not_sent": 10}, 1)
