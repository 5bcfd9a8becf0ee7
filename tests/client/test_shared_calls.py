"""Test one call for several rows: its traces and cost, and what its errors may show, over real HTTP."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import CrmError, RejectedError, TransientError
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.encoding import calls_of_all, writes_of_all
from tests.push.batch_vendor import BatchClose, Crm

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
KEY = "api_secret_of_this_account"
IDS = [f"oppo_{row}" for row in range(5)]


@pytest.fixture
def crm():
    """A server with five opportunities."""
    with Crm(5) as server:
        yield server


@pytest.fixture
def session(crm):
    """A session whose waiting passes no time; the field `note` is hidden."""
    clock = Clock(monotonic=lambda: 0.0, now=lambda: NOW, sleep=lambda _: None, jitter=lambda: 0.0)
    account = Account(
        BatchClose(cost=3, cost_per_row=2), crm.url, Credentials(KEY), timeout=5.0, hidden=frozenset({"note"})
    )
    with Session(account, retry=RetryRules(attempts=2), clock=clock) as made:
        yield made


def calls(session):
    """The calls of five rows, each for itself."""
    updates = [Update(row, one, {"note": f"confidential {row}"}) for row, one in enumerate(IDS)]
    vendor = session.account.vendor
    return calls_of_all(IDS, writes_of_all(updates, vendor, session.catalogue(("note",))))


def written(session, **arguments):
    """What the answer to one call for all rows says."""
    return session.write_batch([one for (one,) in calls(session)], IDS, **arguments)


def test_each_row_has_a_trace_of_its_own_and_the_call_a_cost(crm, session, monkeypatch):
    """The traces of a call differ; what it costs is told to the pacer by the call."""
    seen, group = [], type(session.account.vendor).budget_group
    monkeypatch.setattr(BatchClose, "budget_group", lambda self, call: seen.append(call) or group(self, call))
    assert [answer["id"] for answer in written(session)] == IDS
    assert len({row["trace"] for row in crm.bodies[-1]["rows"]}) == 5
    assert (seen[-1].cost, seen[-1].replayable) == (3 + 5 * 2, True)


def test_an_error_of_a_row_shows_neither_secrets_nor_hidden_values(crm, session):
    """It names its record, and repeats nothing that a vendor quotes of the key or of the row's hidden values."""
    crm.refused, crm.message = {"oppo_1": 400}, f"{KEY} may not write 'confidential 1'"
    answers = written(session)
    assert [isinstance(answer, CrmError) for answer in answers] == [False, True, False, False, False]
    assert (answers[1].record_id, answers[1].maybe_written) == ("oppo_1", False)
    assert str(answers[1]) == "*** may not write '(hidden)'"


def test_an_error_of_the_whole_call_shows_hidden_values_of_no_row(crm, session):
    """Whichever row the vendor quotes."""
    crm.poisoned, crm.message = {"oppo_3": 400}, "'confidential 0' and 'confidential 4' are alike"
    with pytest.raises(RejectedError) as refused:
        written(session)
    assert "'(hidden)' and '(hidden)' are alike" in str(refused.value)
    assert "confidential" not in str(refused.value)
    assert refused.value.record_id is None


@pytest.mark.parametrize(("faults", "maybe_written"), [(["lost"] * 2, True), ([503, "unsent"], True)])
def test_a_call_without_an_answer_may_have_written_its_rows(crm, session, faults, maybe_written):
    """Nobody knows whether it landed, so that none of its rows counts as unchanged."""
    crm.faults = faults
    with pytest.raises(TransientError) as failed:
        written(session)
    assert failed.value.maybe_written is maybe_written


def test_a_row_that_is_refused_after_a_lost_answer_may_be_written(crm, session):
    """The first attempt may have landed, whatever the second is answered."""
    crm.faults, crm.refused = ["lost"], {"oppo_2": 404}
    assert [isinstance(answer, CrmError) and answer.maybe_written for answer in written(session)] == [
        *(False, False, True, False, False)
    ]


def test_rows_that_share_no_call_are_refused(session):
    """That is a mistake of the caller, found before anything is sent."""
    (one,) = calls(session)[0]
    with pytest.raises(ValueError, match="share no call"):
        session.write_batch([one._replace(route=None)], ["oppo_0"])
