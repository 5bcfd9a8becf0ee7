"""HubSpot at its worst, under the operator: fifty thousand rows, each reported as it is, and hardly a call wasted."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from decimal import Decimal

import pandas as pd
import pytest

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import NOW

LARGEST_BATCH = 100
NO_NUMBER, REJECTED, UNKNOWN, TWICE = 0.01, 0.04, 0.01, 0.01
POISONED = 0.01 / LARGEST_BATCH
LOST = {"reset_after": 0.005, "truncated": 0.005, "http_502_after": 0.005, "http_524_after": 0.005}
LIMIT, SECONDS = 100, 10.0
OLD = "1.00"
RATIO = 1.15
"""Calls at most, as a multiple of those of an ideal client."""
_CATALOGUE_CALLS = 3
_FIRST_ID = 200_000


class HarshRows:
    """Rows of an account in which some of everything goes wrong.

    Of all rows 1% have no number, 4% are refused by a rule, which the answer says, 1% have an id that no deal has, and
    1% come twice, in two spellings. One row in every hundredth call refuses its whole call, and no answer names it.

    Args:
        account: The account.
        count: How many records; those that come twice are further rows.
        names_rows: Whether answers say which rows the rule refuses; else each of them refuses its call, too.
    """

    def __init__(self, account, count, *, names_rows=True):
        rng = random.Random(11)
        self.account = account
        self.ids = [str(_FIRST_ID + number) for number in range(count)]
        rng.shuffle(self.ids)
        picked = iter(rng.sample(self.ids[1:], count // 4))
        self.no_number, self.rejected, self.unknown, self.twice, self.poisoned = (
            frozenset(itertools.islice(picked, round(part * count)))
            for part in (NO_NUMBER, REJECTED, UNKNOWN, TWICE, POISONED)
        )
        self.culprits = self.poisoned if names_rows else self.poisoned | self.rejected
        self.wanted = {one: str(Decimal(rng.randrange(200, 10**9)) / 100) for one in self.ids}
        for one in self.ids:
            if one not in self.unknown:
                account.add_opportunity(one, amount=OLD)

    def frame(self):
        """Return the rows; before one that comes twice there is another one, in another spelling."""
        rows = []
        for one in self.ids:
            rows += [(f"0{one}", "7")] if one in self.twice else []
            rows.append((one, "n/a" if one in self.no_number else self.wanted[one]))
        return pd.DataFrame(rows, columns=["id", "arr"])

    def true_outcomes(self):
        """Return the number of rows by outcome."""
        rejected = sum(map(len, (self.rejected, self.unknown, self.poisoned)))
        landed = len(self.ids) - rejected - len(self.no_number)
        return {"updated": landed, "rejected": rejected, "invalid": len(self.no_number), "stale": len(self.twice)}

    def true_rejects(self):
        """Return outcome and code by record id."""
        return {
            **dict.fromkeys(self.no_number, ("invalid", "NOT_A_NUMBER")),
            **dict.fromkeys(self.rejected, ("rejected", "VALIDATION_RULE")),
            **dict.fromkeys(self.unknown, ("rejected", "OBJECT_NOT_FOUND")),
            **dict.fromkeys(self.poisoned, ("rejected", "VALIDATION_ERROR")),
        }

    def shown(self):
        """Return the amounts in the account."""
        known = [one for one in self.ids if one not in self.unknown]
        return {one: self.account.opportunity(one)["properties"]["amount"] for one in known}

    def true_amounts(self):
        """Return the amounts that the account has to have."""
        refused = self.no_number | self.rejected | self.poisoned
        return {one: OLD if one in refused else self.wanted[one] for one in self.ids if one not in self.unknown}

    def ideal_calls(self):
        """Return the calls of a client that wastes none; which row refuses its call it can only learn by halving.

        It reads what the account offers, sends the first row alone and the others by a hundred, and repeats a call
        whose answer is lost.
        """
        sent = [one for one in self.ids if one not in self.no_number][1:]
        batches = [sent[first : first + LARGEST_BATCH] for first in range(0, len(sent), LARGEST_BATCH)]
        calls = _CATALOGUE_CALLS + 1 + sum(self._halving(batch) for batch in batches)
        return calls / (1 - sum(LOST.values()))

    def _halving(self, rows, *, known=False):
        """Return the calls for some rows; those that are known to be refused are halved without being sent."""
        sent = 0 if known and len(rows) > 1 else 1
        if len(rows) == 1 or self.culprits.isdisjoint(rows):
            return sent
        first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return sent + self._halving(first) + self._halving(second, known=self.culprits.isdisjoint(first))


class DatabaseOnClock(Database):
    """A database whose own time is the test's."""

    def now(self, connection):
        """Return the time of the test's clock."""
        return self.clock.now()


@pytest.fixture
def rows_of(crm_sandbox):
    """Return a function that makes the rows, with a sandbox as harsh as it gets beyond the documented contract."""

    def make(count, seconds, *, names_rows=True):
        harsh = HarshRows(crm_sandbox.hubspot, count, names_rows=names_rows)
        crm_sandbox.set(hubspot_names_rows=names_rows)
        crm_sandbox.set(hubspot_poisoned_ids=harsh.poisoned, hubspot_rejected_ids=harsh.rejected, seed=5)
        crm_sandbox.set(fault_rates=LOST, fault_methods={"POST", "PATCH"}, hubspot_limit=LIMIT, hubspot_window=seconds)
        return harsh

    return make


def check(run, rows, rejects_path, sandbox, *, ratio):
    """Every row is reported as it is, the account is right, no call came too early, and few were wasted."""
    assert (run.deferred, run.outcomes) == (None, rows.true_outcomes())
    rejects = pd.read_csv(rejects_path, dtype=str)
    reported = {one.record_id: (one.outcome, one.code) for one in rejects.itertuples() if one.outcome != "stale"}
    true = rows.true_rejects()
    assert {
        one: (reported.get(one), true.get(one)) for one in reported | true if reported.get(one) != true.get(one)
    } == {}
    shown, right = rows.shown(), rows.true_amounts()
    assert {one: (shown[one], amount) for one, amount in right.items() if Decimal(shown[one]) != Decimal(amount)} == {}
    written = {write.record_id for write in sandbox.audit.writes}
    assert written == {one for one, amount in right.items() if amount != OLD}
    calls = sandbox.audit.calls
    assert [call for call in calls if call.status == 429] == []
    assert len(calls) <= ratio * rows.ideal_calls(), Counter((call.method, call.status, call.fault) for call in calls)


@pytest.fixture
def harsh_run(update, crm_sandbox, tmp_path):
    """Return a function that writes the rows, and checks the reports."""

    def run(rows, *, ratio=RATIO, **arguments):
        path = str(tmp_path / "rejects.csv")
        defaults = {"crm_conn_id": "hubspot_default", "on_duplicate": "last", "rejects_path": path}
        check(update(rows.frame(), **defaults, **arguments), rows, path, crm_sandbox, ratio=ratio)

    return run


@pytest.mark.long
def test_no_more_time_than_the_limit_needs(rows_of, harsh_run, crm_sandbox):
    """At a hundred calls in ten seconds 50,000 rows take the time of their calls, by a clock that only waiting moves.

    An ideal client writes nine hundred of these rows a second, as some of its calls are lost, and others find the rows
    that poison a batch.
    """
    rows = rows_of(50_000, SECONDS)
    time = crm_sandbox.clock
    time.set(NOW)

    def now():
        time.advance(1e-5)
        return time.now()

    def sleep(seconds):
        time.advance(math.ceil(seconds * 1e6) / 1e6)

    clock = Clock(monotonic=lambda: now().timestamp(), now=now, sleep=sleep, jitter=lambda: 0.0)

    class OnItsClock(UpdateOpportunityOperator):
        def session_for(self, account):
            """Use the clock of the test."""
            budget, database = self._budget(), DatabaseOnClock(self._segment.ledger.database.engine, clock=clock)
            budget = Budget(budget.share, BudgetStore(database), budget.daily_share)
            return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock, budget=budget)

    harsh_run(rows, as_of=NOW, kind=OnItsClock, concurrency=1, budget_share=1)
    seconds = (time.now() - NOW).total_seconds()
    assert seconds <= RATIO * rows.ideal_calls() * SECONDS / LIMIT, seconds


@pytest.mark.long
@pytest.mark.parametrize(("count", "names_rows", "ratio"), [(20_000, True, RATIO), (2_000, False, 1.3)])
def test_calls_at_the_same_time(rows_of, harsh_run, count, names_rows, ratio):
    """The same holds for calls in flight together, in real time, at a hundred calls a second.

    It holds, too, if traces do not help, and five of a hundred rows refuse their whole call. Of halves the run sends
    both then, also where an ideal client knows from the first one that the second one is refused.
    """
    rows = rows_of(count, 1.0, names_rows=names_rows)
    harsh_run(rows, ratio=ratio, kind=UpdateOpportunityOperator, concurrency=16)
