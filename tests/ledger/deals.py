"""Some deals in a sandbox, and runs over all of them in this process."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import contextmanager

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

from .conftest import DAY

CONCURRENCY = 4


class Deals:
    """Opportunities of Close.

    Args:
        sandbox: Where they are.
        count: How many.
        lease: Seconds for which a run claims a row.
        timeout: Seconds that a run waits for the CRM's answer.
    """

    def __init__(self, sandbox, count, *, lease, timeout):
        self.sandbox = sandbox
        self.lease, self.timeout = lease, timeout
        self.records = [f"oppo_{number}" for number in range(count)]
        for record in self.records:
            sandbox.close.add_opportunity(record)

    def run(self, engine, *, value=5, day=0, after=None):
        """Push one value to all of them.

        Args:
            engine: The ledger's database.
            value: What to write, in major units.
            day: Age of the data: days after the first.
            after: Number of outcomes, and what happens to the database then.

        Returns:
            Rows by outcome, and why the run stopped.
        """
        as_of = DAY + dt.timedelta(days=day)
        with self.push(engine, day=day) as push:
            fields = {"deal_value": ValueRules().value(push.catalogue.fields["deal_value"], value)}
            rows = [Update(number, record, fields, as_of) for number, record in enumerate(self.records)]
            words = Counter()
            for number, outcome in enumerate(push.run(rows)):
                if after is not None and number == after[0]:
                    after[1]()
                words[outcome.word.value] += 1
            push.close({})
        assert sum(words.values()) == len(self.records)
        return words, push.stopped

    @contextmanager
    def push(self, engine, *, day=0):
        """A push to this CRM, with its ledger open.

        Args:
            engine: The ledger's database.
            day: Age of the data: days after the first.
        """
        account = Account(
            VENDORS["close"], self.sandbox.url, Credentials(self.sandbox.close.api_key), timeout=self.timeout
        )
        with Session(account, retry=RetryRules(first_wait=0.01)) as session:
            catalogue = session.catalogue(("value",))
            ledger = Ledger(
                Database(engine),
                combine=combined,
                account="close:test",
                run_key=f"day {day}",
                lease=self.lease,
                clock=Clock(),
            )
            ledger.open(DAY + dt.timedelta(days=day))
            yield Push(session, catalogue, PushRules(concurrency=CONCURRENCY), ledger)

    def sent(self):
        """How often each row was sent."""
        return Counter(write.record_id for write in self.sandbox.audit.writes)

    def check_stop(self, words, stopped, cause):
        """The run said why it stopped, and sent nothing afterwards."""
        assert isinstance(stopped, TransientError)
        assert stopped.code == "LEDGER"
        assert cause in str(stopped)
        assert "Nothing is sent that could not be recorded" in str(stopped)
        assert words.keys() <= {"updated", "not_sent"}
        assert words["not_sent"] > 0
        assert self.sent().total() == words["updated"]

    def check_resumption(self, engine):
        """With the database back, the same run writes what is left, and at most what was in flight twice."""
        words, stopped = self.run(engine)
        assert (stopped, words["not_sent"], words["failed"]) == (None, 0, 0), (stopped, words)
        assert self.sent().keys() == set(self.records)
        assert self.sent().total() <= len(self.records) + CONCURRENCY

    def check_values(self, value):
        """The CRM holds one value, in major units, for all of them."""
        values = {record: self.sandbox.close.opportunity(record)["value"] for record in self.records}
        assert values == dict.fromkeys(self.records, value * 100)
