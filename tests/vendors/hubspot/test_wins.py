"""Claims about wins in HubSpot, which may set the close date to now when a deal moves into a closed stage."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.values.opportunity import OutcomeWord

UPDATED, IGNORED, UNCHANGED = OutcomeWord.UPDATED, OutcomeWord.IGNORED, OutcomeWord.UNCHANGED
DAY = "2026-03-01"


def write(deals, record_id, stage, day=DAY, *, ledger=True, **arguments):
    """Write stage and date of one deal."""
    (outcome,) = deals.write([(record_id, {"stage": stage, "date_won": day})], ledger=ledger, **arguments)
    return outcome.word


@pytest.mark.parametrize("rule", ["unless_sent", "never"])
def test_a_date_that_was_written_before_the_win(deals, noon, rule):
    """The date goes with the stage although the deal holds it already, so that the win keeps it."""
    deals.sandbox.set(hubspot_closedate=rule)
    (one,) = deals.add()
    assert write(deals, one, "Contract Sent") is UPDATED
    assert write(deals, one, "Sales Pipeline/Closed Won") is UPDATED
    assert deals.held(one)["closedate"] == noon(DAY)
    bodies = [call.body["properties"] for call in deals.sent("PATCH")]
    assert [sorted(body) for body in bodies] == [["closedate", "dealstage", "pipeline"]] * 2
    assert write(deals, one, "Sales Pipeline/Closed Won") is UNCHANGED


def test_other_changes_leave_the_date_alone(deals, noon):
    """Without a change of the stage only what changed is sent."""
    (one,) = deals.add()
    assert write(deals, one, "Sales Pipeline/Closed Won") is UPDATED
    assert write(deals, one, "Sales Pipeline/Closed Won", "2026-06-01") is UPDATED
    assert deals.held(one)["closedate"] == noon("2026-06-01")
    assert deals.sent("PATCH")[-1].body == {"properties": {"closedate": noon("2026-06-01")}}


def test_newer_data_keeps_the_date_out(deals, noon):
    """An older row whose date is outdated does not send it, not even with its stage."""
    (one,) = deals.add()
    newer, older = deals.sandbox.clock.now(), deals.sandbox.clock.now() - dt.timedelta(hours=3)
    (dated,) = deals.write([(one, {"date_won": "2026-06-01"})], ledger=True, as_of=newer)
    assert dated.word is UPDATED
    deals.sandbox.set(hubspot_closedate="never")
    assert write(deals, one, "Sales Pipeline/Closed Won", as_of=older) is UPDATED
    assert deals.held(one)["closedate"] == noon("2026-06-01")
    assert sorted(deals.sent("PATCH")[-1].body["properties"]) == ["dealstage", "pipeline"]


@pytest.mark.parametrize("count", [1, 5])
def test_a_date_that_hubspot_replaces_is_reported(deals, count):
    """If HubSpot sets the date in spite of the one that was sent, the row is `ignored`, alone and in a batch."""
    deals.sandbox.set(hubspot_closedate="always")
    ids = deals.add(count)
    outcomes = deals.write([(one, {"stage": "Sales Pipeline/Closed Won", "date_won": DAY}) for one in ids])
    assert [(outcome.word, outcome.code) for outcome in outcomes] == [(IGNORED, "NOT_WRITTEN")] * count
    assert all("closedate" in outcome.reason for outcome in outcomes)


def test_a_date_that_people_see_already_is_no_change(deals, session_reads):
    """A close date at any time of the day, as people there see it, is the date; it is not written again."""
    for moment in ("2026-03-01T05:00:00Z", "2026-03-02T04:59:59Z"):
        (one,) = deals.add(closedate=moment)
        assert session_reads(one, "date_won", dt.date(2026, 3, 1))
    for moment in ("2026-03-01T04:59:59Z", "2026-03-02T05:00:00Z"):
        (one,) = deals.add(closedate=moment)
        assert not session_reads(one, "date_won", dt.date(2026, 3, 1))


@pytest.fixture
def session_reads(deals):
    """Return whether a plan would find a value in place."""
    from airflow_provider_crm.values.opportunity import Update
    from airflow_provider_crm.vendors.comparison import matching_keys
    from airflow_provider_crm.vendors.encoding import calls_of, writes_of

    def session_reads(record_id, name, value):
        session, vendor = deals.session, deals.session.account.vendor
        catalogue = session.catalogue((name,))
        calls = calls_of(record_id, writes_of(Update(0, record_id, {name: value}), vendor, catalogue))
        key = catalogue.fields[name].target
        return key in matching_keys(calls, session.read(record_id, [key]), vendor, catalogue)

    return session_reads
