"""A value that an answer of the CRM contradicts is written again, over HTTP and through operators."""

from __future__ import annotations

import pytest

from airflow_provider_crm.exceptions import IgnoredError, OutcomeUnknownError, RejectedError, TransientError
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.push.outcomes import is_gone
from airflow_provider_crm.vendors import VENDORS

CLOSE = {"id_column": "id", "fields": {"arr": "deal_value"}}
RAZE = {**CLOSE, "crm_conn_id": "raze_default"}


def rows(value, record_id="oppo_1", **more):
    """One row."""
    return [{"id": record_id, "arr": value, **more}]


def remove(crm, vendor, record_id):
    """Delete a record, as a person does."""
    getattr(crm, vendor).records.write(record_id, None, crm.clock.now())


@pytest.mark.parametrize(("vendor", "record_id", "arguments"), [("close", "oppo_1", CLOSE), ("raze", "opp_1", RAZE)])
def test_a_record_that_was_created_again_is_written_again(deals, task, vendor, record_id, arguments):
    """A run meets a 404; the record is made again with another value; the next run writes the earlier one."""
    account = getattr(deals, vendor)
    money = {"value": 100} if vendor == "close" else {"deal_value": "1.00"}
    assert task(UpdateOpportunityOperator, **arguments, run_id="1", data=rows(5, record_id)).outcomes == {"updated": 1}
    remove(deals, vendor, record_id)
    gone = task(UpdateOpportunityOperator, **arguments, run_id="2", data=rows(6, record_id))
    assert gone.outcomes == {"rejected": 1}
    account.add_opportunity(record_id, **money)
    again = task(UpdateOpportunityOperator, **arguments, run_id="3", data=rows(5, record_id))
    assert again.outcomes == {"updated": 1}
    assert next(iter(account.opportunity(record_id)[name] for name in money)) in (500, 5)


def test_a_record_that_a_plan_did_not_find_is_written_again(deals, task):
    """A plan reads only, and its reads count as well."""
    task(UpdateOpportunityOperator, **CLOSE, run_id="1", data=rows(5))
    remove(deals, "close", "oppo_1")
    assert task(PlanOpportunityUpdatesOperator, **CLOSE, run_id="2", data=rows(6)).report["counts"]["missing"] == 1
    deals.close.add_opportunity("oppo_1", value=100)
    assert task(UpdateOpportunityOperator, **CLOSE, run_id="3", data=rows(5)).outcomes == {"updated": 1}


def test_a_field_that_a_person_changed_is_noticed_in_the_answer_to_another(deals, task):
    """The row sends its note only; the answer shows that the value is no longer what the ledger believed."""
    arguments = {**CLOSE, "fields": {"arr": "deal_value", "note": "notes"}}
    task(UpdateOpportunityOperator, **arguments, run_id="1", data=rows(5, note="a"))
    deals.close.add_opportunity("oppo_1", value=77, note="a")
    sent = task(UpdateOpportunityOperator, **arguments, run_id="2", data=rows(5, note="b"))
    assert sent.outcomes == {"updated": 1}
    assert deals.close.opportunity("oppo_1")["value"] == 77
    assert task(UpdateOpportunityOperator, **arguments, run_id="3", data=rows(5, note="b")).outcomes == {"updated": 1}
    assert deals.close.opportunity("oppo_1")["value"] == 500
    assert task(UpdateOpportunityOperator, **arguments, run_id="4", data=rows(5, note="b")).outcomes == {"unchanged": 1}


def test_a_value_that_was_ignored_is_sent_again(deals, task):
    """The CRM drops what a later run writes, so it is not known whether the earlier value is still there."""
    task(UpdateOpportunityOperator, **CLOSE, run_id="1", data=rows(5))
    deals.set(ignored_fields=["value"])
    assert task(UpdateOpportunityOperator, **CLOSE, run_id="2", data=rows(6)).outcomes == {"ignored": 1}
    deals.set(ignored_fields=[])
    assert task(UpdateOpportunityOperator, **CLOSE, run_id="3", data=rows(5)).outcomes == {"updated": 1}


@pytest.mark.parametrize(
    ("err", "gone"),
    [
        (RejectedError("no", status=404), True),
        (RejectedError("no", status=410), True),
        (RejectedError("no", status=400), False),
        (IgnoredError("no", field_errors={"id": "not written"}), True),
        (IgnoredError("no", field_errors={"value": "not written"}), False),
        (TransientError("no", status=404), False),
        (OutcomeUnknownError("no"), False),
    ],
)
def test_which_answers_take_the_whole_record_along(err, gone):
    """No such record, or another one's id; a page of a proxy says nothing about the record."""
    assert is_gone(err, VENDORS["close"]) is gone


def test_a_read_back_counts_as_well():
    """No answer to the write, and then no such record."""
    err = OutcomeUnknownError("no answer")
    err.__cause__ = RejectedError("no", status=404)
    assert is_gone(err, VENDORS["close"])
