"""The origin of an answer: the vendor, which judges the row, or a proxy on the way, whose errors are temporary."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.database.schema import rejects
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
    """409 and 423 of the vendor itself say that another program is writing the record: retried, never remembered."""
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
    """A key that the vendor refuses is reported after one call, whatever the pages of proxies look like."""
    deals.set(fault_rates={"http_401": 1.0}, fault_methods={"PUT"})
    rows = {**arguments(vendor, 1), "data": [{"id": f"x_{number}", "arr": 1} for number in range(10)]}
    run = task(UpdateOpportunityOperator, **rows)
    assert isinstance(run.error, AirflowFailException)
    assert "Check the key in connection" in str(run.error)
    assert (run.outcomes, deals.audit.count(vendor, method="PUT")) == ({"not_sent": 10}, 1)


PATH = {"close": "/api/v1/opportunity/oppo_0/", "raze": "/external/v1/opportunities/opp_0"}


@pytest.mark.parametrize(
    ("vendor", "status", "rests"),
    [
        ("close", 400, True),
        ("close", 413, True),
        ("close", 422, True),
        ("close", 404, False),
        ("close", 410, False),
        ("close", 451, False),
        ("raze", 400, True),
        ("raze", 404, False),
    ],
)
def test_how_long_a_refused_row_rests(deals, update, vendor, status, rests):
    """Values that the CRM refused wait until they change; a missing record, rights and rules are asked about again."""
    deals.script(vendor=vendor, method="PUT", path=PATH[vendor], faults=[f"http_{status}"])
    rows = arguments(vendor, 5)
    first = update(**rows)
    assert [outcome for outcome, _ in first.rejects.values()] == ["rejected"]
    deals.audit.clear()
    following = update(**rows)
    assert following.outcomes == ({"rejected": 1} if rests else {"updated": 1})
    assert deals.audit.count(vendor, method="PUT") == (0 if rests else 1)
    assert update(**arguments(vendor, 6)).outcomes == {"updated": 1}


@pytest.mark.parametrize("vendor", RECORD)
def test_a_deal_that_is_made_later_is_written(deals, update, vendor):
    """A row whose record was missing lands with the same values as soon as there is one."""
    rows = arguments(vendor, 5, "made_later")
    assert update(**rows).rejects == {"made_later": ("rejected", "NOT_FOUND")}
    getattr(deals, vendor).add_opportunity("made_later")
    assert update(**rows).outcomes == {"updated": 1}


@pytest.mark.parametrize("vendor", RECORD)
def test_a_right_that_is_given_later(deals, update, vendor):
    """A 403 about one row, after others have landed, does not rest."""
    rows = arguments(vendor, 5)
    rows["data"] = [{"id": RECORD[vendor].replace("0", str(number)), "arr": 7} for number in (1, 0)]
    deals.script(vendor=vendor, method="PUT", path=PATH[vendor], faults=["http_403"])
    assert update(**rows, concurrency=1).outcomes == {"updated": 1, "rejected": 1}
    assert update(**rows, concurrency=1).outcomes == {"updated": 1, "unchanged": 1}
