"""Push and plan records of a vendor that knows no stages."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.field_hashes import FieldHashes, HashKey
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.plan.planner import Planner
from airflow_provider_crm.plan.reads import PlanReads
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.plan.store import PlanStore
from airflow_provider_crm.plan.summary import PlanSummary
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

OLD = dt.datetime(2020, 3, 1, tzinfo=dt.UTC)


class Stageless(type(VENDORS["close"])):
    """Close without stages."""

    wins = None

    def catalogue(self, answers, settings):
        """Leave out the stages and their fields."""
        full = super().catalogue(answers, settings)
        fields = {name: field for name, field in full.fields.items() if field.target != "status_id"}
        return dataclasses.replace(full, fields=fields, stages=())


@pytest.fixture
def session(crm_sandbox):
    """Return a session with records that have no stage for us."""
    for number in range(3):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", note="before")
    with Session(Account(Stageless(), crm_sandbox.url, Credentials(crm_sandbox.close.api_key))) as opened:
        yield opened


@pytest.fixture
def ledger(engine):
    """Return an empty ledger in the hands of a run."""
    database = Database(engine)
    database.open()
    hashes = FieldHashes(frozenset(), HashKey(b"key"))
    made = Ledger(
        database, combine=combined, account="close:x:orga", run_key="run", lease=600.0, clock=Clock(), hashes=hashes
    )
    made.open(OLD)
    return made


ROWS = [Update(number, f"oppo_{number}", {"notes": f"row {number}"}, OLD) for number in range(3)]


@pytest.mark.parametrize("default", [None, "server", "as_of"])
def test_old_rows_are_written(session, ledger, crm_sandbox, default):
    """Old data of a record without stages is written, whatever the default date of wins, with a ledger and without."""
    catalogue, rules = session.catalogue(("notes",)), PushRules(date_won_default=default)
    assert (catalogue.stage_key, catalogue.stages) == (None, ())
    for one in (ledger, None):
        outcomes = list(Push(session, catalogue, rules, one).run(ROWS))
        assert [(outcome.word.value, outcome.reason) for outcome in outcomes] == [("updated", "")] * 3
    assert crm_sandbox.close.opportunity("oppo_2")["note"] == "row 2"


def test_old_rows_are_planned(session, ledger, engine):
    """The plan of such rows is made and summarized."""
    catalogue = session.catalogue(("notes",))
    planner, summary = Planner(session, catalogue, PushRules(), ledger, PlanReads.temporary()), PlanSummary(catalogue)
    with Spool(ROWS) as rows:
        planned = list(planner.updates(rows))
    for row in planned:
        summary.add(row)
    plan = PlanStore(Database(engine)).save(planned, account="close:x:orga", run_key="run", now=OLD)
    assert [(row.verdict.value, row.before, row.after) for row in planned] == [
        ("update", '"before"', f'"row {number}"') for number in range(3)
    ]
    assert "| notes | before | row 1 |" in summary.text(plan)
