"""The examples on HubSpot and Salesforce under a real scheduler: plan, approval, apply, undo, and a backwards backfill.

They are the files that are written for another CRM, with its words replaced: DAG, connection, id column, stage, field.
Their schedule has ended, so that only the runs of the tests are there.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter, defaultdict
from decimal import Decimal
from typing import ClassVar

import pytest

from airflow_provider_crm.sandbox.salesforce.ids import long_id

from .approvals import ApprovedRuns
from .running import Running, load_at_once
from .standalone import standalone

pytestmark = pytest.mark.long

DAGS = ("plan_approve_apply", "crm_undo", "crm_backfill")
ENDED = {"catchup=False": 'catchup=False,\n    end_date=pendulum.datetime(2026, 11, 1, tz="America/New_York")'}
PLANNED, CUT = "2026-10-20", "2026-10-21"
DAYS = [f"2026-10-{day}" for day in range(26, 30)]
DAY_AFTER = "2026-10-30"
DEALS, BACKFILLED = 250, 120
GOING = "SELECT 1 FROM backfill WHERE completed_at IS NULL"


class OnHubSpot:
    """The examples on HubSpot: what is replaced in them, and what a deal has."""

    prefix = "hubspot_"
    words: ClassVar = {
        "close_default": "hubspot_default",
        "close_id": "hubspot_id",
        "custom.cf_health": "segment",
        "Sales/Won": "Sales Pipeline/Closed Won",
    }
    amount, health, as_amount = "amount", "segment", str
    calls = 4
    """Calls that write 250 deals: one for the first, three for the others."""

    @staticmethod
    def id_of(number):
        """Return the id of a deal in the warehouse, and in the CRM."""
        return str(number), str(number)

    @staticmethod
    def add(sandbox, record_id, **fields):
        """Add a deal, or change one by hand."""
        sandbox.hubspot.add_opportunity(record_id, **fields)

    @staticmethod
    def record(sandbox, record_id):
        """Return what a deal has."""
        return sandbox.hubspot.opportunity(record_id)["properties"]

    @classmethod
    def win(cls, sandbox, record_id):
        """Return the stage of a deal, and the day on which it was won."""
        record = cls.record(sandbox, record_id)
        return (record["pipeline"], record["dealstage"]), sandbox.hubspot.date_for_people(record_id, "closedate")

    won = ("default", "closedwon")


class OnSalesforce:
    """The examples on Salesforce."""

    prefix = "salesforce_"
    words: ClassVar = {
        "close_default": "crm_salesforce_default",
        "close_id": "salesforce_id",
        "custom.cf_health": "NextStep",
        "Sales/Won": "Closed Won",
    }
    amount, health, as_amount = "Amount", "NextStep", int
    calls = 3

    @staticmethod
    def id_of(number):
        """Return fifteen characters, as reports have them, and eighteen."""
        short = f"006D{number:011}"
        return short, long_id(short)

    @staticmethod
    def add(sandbox, record_id, **fields):
        """Add an opportunity, or change one by hand."""
        sandbox.salesforce.add_opportunity(record_id, **fields)

    @staticmethod
    def record(sandbox, record_id):
        """Return what an opportunity has."""
        return sandbox.salesforce.opportunity(record_id)

    @classmethod
    def win(cls, sandbox, record_id):
        """Return the stage of an opportunity, and its close date."""
        record = cls.record(sandbox, record_id)
        return record["StageName"], dt.date.fromisoformat(record["CloseDate"])

    won = "Closed Won"


CRMS = (OnHubSpot, OnSalesforce)


def planned(number):
    """The number of a deal that is planned, whatever its day."""
    return 500_000 + number


def backfilled(number):
    """The number of a deal that every day of the backfill writes."""
    return 700_000 + number


def value_of(day, number):
    """What a day says a deal is worth."""
    return f"{day[-2:]}{number:03}.50"


def ids(number):
    """The ids of a deal in the warehouse."""
    return {"hubspot_id": OnHubSpot.id_of(number)[0], "salesforce_id": OnSalesforce.id_of(number)[0]}


def deals(row):
    """A day to plan, the same deals cut short on the next, and some deals about which each later day says more."""
    for number in range(DEALS):
        wanted = {**ids(planned(number)), "arr": f"{1000 + number}.25", "health": "green"}
        yield row(PLANNED, number, **wanted)
        yield row(CUT, number, **wanted | {"arr": None})
    for day in DAYS:
        moment = f"{day}T15:00:00+00:00"
        for number in range(BACKFILLED):
            changes = {"arr": value_of(day, number), "changed_at": moment, **ids(backfilled(number))}
            yield row(day, number, won_at=moment if day == DAYS[-1] else None, **changes)


@pytest.fixture(scope="module")
def airflow(world, row, metadata):
    """A running Airflow with the three DAGs for each CRM, and the CRMs that they write to."""
    dags = {"backfill.py", "plan_approve_apply.py", "undo.py"}
    words = [{**ENDED, **crm.words, **{f'"{dag}"': f'"{crm.prefix}{dag}"' for dag in DAGS}} for crm in CRMS]
    made = world(list(deals(row)), dags=dags, words=words)
    for crm in CRMS:
        for number in range(DEALS):
            crm.add(made.sandbox, crm.id_of(planned(number))[1], **{crm.amount: crm.as_amount(1000), crm.health: "red"})
    root = made.home.root
    shutil.rmtree(root / "logs", ignore_errors=True)
    load_at_once(root)
    with standalone(root, made.home.environment, metadata, parallelism=3) as airflow:
        running = Running(root, airflow, metadata)
        running.wait_until_ready(len(dags) * len(CRMS))
        yield made.sandbox, running


@pytest.fixture(params=CRMS, ids=["hubspot", "salesforce"])
def crm(request):
    """One of the CRMs."""
    return request.param


def values(sandbox, crm):
    """Amount and health of each planned deal."""
    shown = [crm.record(sandbox, crm.id_of(planned(number))[1]) for number in range(DEALS)]
    return [(Decimal(str(one[crm.amount])), one[crm.health]) for one in shown]


def calls(sandbox):
    """Calls that wrote since the last time."""
    numbers = Counter(write.number for write in sandbox.audit.writes)
    sandbox.audit.clear()
    return len(numbers)


def test_a_plan_is_approved_applied_and_undone(airflow, crm):
    """Nothing is written before the answer; then every planned deal is, many a call, and the undo puts all back.

    A deal that a person changes between plan and answer stays as it is, and so does one changed before the undo.
    """
    sandbox, running = airflow
    sandbox.audit.clear()
    before = values(sandbox, crm)
    runs = ApprovedRuns(running, f"{crm.prefix}plan_approve_apply")
    run_id = f"{crm.prefix}yes"  # of its own, as the scheduler's log is searched for it
    question = runs.ask(run_id, f"{PLANNED}T04:00:00Z")
    last = crm.id_of(planned(DEALS - 1))[1]
    assert f"| {last} | deal\\_value | 1,000.00 | 1,249.25 | +249.25 | update |" in question["body"]
    assert sandbox.audit.writes == []
    crm.add(sandbox, crm.id_of(planned(7))[1], **{crm.amount: crm.as_amount(7), crm.health: "by hand"})
    assert runs.answer(run_id, "Approve") == dict.fromkeys(("deals", "plan", "approve", "apply"), "success")
    report = runs.returned(run_id, "apply")
    assert report["outcomes"] == {"updated": DEALS - 1, "skipped": 1}
    assert calls(sandbox) == crm.calls
    after = [(Decimal(f"{1000 + number}.25"), "green") for number in range(DEALS)]
    assert values(sandbox, crm) == [*after[:7], (Decimal(7), "by hand"), *after[8:]]

    crm.add(sandbox, crm.id_of(planned(9))[1], **{crm.amount: crm.as_amount(9), crm.health: "by hand"})
    running.post_run(f"{crm.prefix}crm_undo", "undo", conf={"run_key": report["run_key"]})
    undo = ApprovedRuns(running, f"{crm.prefix}crm_undo")
    assert undo.end("undo") == {"undo": "failed"}  # as one deal of the run could not be taken back
    assert undo.returned("undo", "undo")["outcomes"] == {"updated": DEALS - 2, "rejected": 1}
    by_hand = {7: (Decimal(7), "by hand"), 9: (Decimal(9), "by hand")}
    assert values(sandbox, crm) == [by_hand.get(at, one) for at, one in enumerate(before)]


def test_guardrails_stop_a_plan_before_anybody_is_asked(airflow):
    """A source that has lost its amounts fails the plan; no question is put, and nothing is written."""
    sandbox, running = airflow
    sandbox.audit.clear()
    dag_id = f"{OnHubSpot.prefix}plan_approve_apply"
    running.post_run(dag_id, "cut", logical_date=f"{CUT}T04:00:00Z")
    states = ApprovedRuns(running, dag_id).end("cut")
    assert states == {"deals": "success", "plan": "failed", "approve": "upstream_failed", "apply": "upstream_failed"}
    assert sandbox.audit.writes == []


@pytest.fixture(scope="module")
def backfilled_writes(airflow):
    """What the backfills of both CRMs wrote, which ran beside each other."""
    sandbox, running = airflow
    sandbox.audit.clear()
    for crm in CRMS:
        backfill = ["backfill", "create", "--dag-id", f"{crm.prefix}crm_backfill", "--run-backwards"]
        running.command([*backfill, "--max-active-runs", 3, "--from-date", DAYS[0], "--to-date", DAY_AFTER])
    running.wait("the end of the backfills", lambda: not running.query(GOING))
    return list(sandbox.audit.writes)


def test_a_backwards_backfill_ends_with_the_newest_values(airflow, backfilled_writes, crm):
    """Days run side by side, the latest first, about the same deals: no older value ever replaces a newer one."""
    sandbox, running = airflow
    dag_id = f"{crm.prefix}crm_backfill"
    states = running.query(f"SELECT state FROM dag_run WHERE run_type = 'backfill' AND dag_id = '{dag_id}'")
    assert [state for (state,) in states] == ["success"] * len(DAYS)
    written = defaultdict(list)
    for write in backfilled_writes:
        written[write.record_id] += [write.fields[crm.amount]] if crm.amount in write.fields else []
    for number in range(BACKFILLED):
        record_id = crm.id_of(backfilled(number))[1]
        assert Decimal(str(crm.record(sandbox, record_id)[crm.amount])) == Decimal(value_of(DAYS[-1], number))
        assert crm.win(sandbox, record_id) == (crm.won, dt.date.fromisoformat(DAYS[-1]))
        amounts = [Decimal(str(amount)) for amount in written[record_id]]
        assert amounts == sorted(amounts)
