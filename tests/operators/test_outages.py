"""A vendor that is down: the task gives its worker slot back, asks now and then, and loses no row."""

from __future__ import annotations

import csv

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator

from .conftest import POSTGRESQL_WITH_LONG_PROOFS, Run, Time

pytestmark = POSTGRESQL_WITH_LONG_PROOFS

ROWS = 40
HOUR = 3600.0
ARGUMENTS = {
    "close": {"crm_conn_id": "close_default", "id_column": "id", "fields": {"arr": "deal_value"}},
    "raze": {"crm_conn_id": "raze_default", "id_column": "id", "fields": {"arr": "deal_value", "stage": "stage"}},
}
PATH = "/external/v1/opportunities"
FAULTS = ("http_503", "html_502", "reset_before")


def impatient(operator_class, slot_times):
    """The operator with a clock that does not wait; how long it occupied its worker slot is added to `slot_times`."""

    class Impatient(operator_class):
        def session_for(self, account):
            """Use a clock of the segment's own."""
            time = Time()
            slot_times.append(time)
            clock = Clock(monotonic=lambda: time.seconds, sleep=time.sleep)
            return Session(account, retry=RetryRules(defer_after=self.defer_after), clock=clock)

    return Impatient


class Outage:
    """A task that is woken again and again while the vendor is down for some time."""

    def __init__(self, sandbox, seconds, operator_class=UpdateOpportunityOperator, **arguments):
        self.sandbox, self.seconds = sandbox, seconds
        # With one thread the time that it sleeps is the time that passes.
        self.arguments = {"task_id": "task", "concurrency": 1, **arguments}
        self.slot_times, self.waits, self.run = [], [], Run()
        self.operator_class = impatient(operator_class, self.slot_times)

    def until_done(self):
        """Wake the task when its wait is over; the vendor is up again once its time is over."""
        self.run.of(self.operator_class(**self.arguments).execute)
        while self.run.deferred is not None and len(self.waits) < ROWS:
            deferred, self.run.deferred = self.run.deferred, None
            self.waits.append(deferred.kwargs)
            self.passes()
            operator = self.operator_class(**self.arguments)
            self.run.of(lambda context, kwargs=deferred.kwargs, made=operator: made.resume(context, **kwargs))
        return self.run

    def passes(self):
        """The time that the task had asked for is over."""
        if sum(self.planned()) >= self.seconds:
            self.sandbox.set(fault_rates={})

    def planned(self):
        """The waits so far: 5, 10, 20, then 30 minutes."""
        return [min(300 * 2**number, 1800) for number in range(len(self.waits))]

    @property
    def slot_seconds(self):
        """Seconds in which a worker slot was occupied by waiting."""
        return sum(time.seconds for time in self.slot_times)


@pytest.fixture
def vendor(crm_sandbox):
    """A sandbox with opportunities in both CRMs."""
    for number in range(ROWS):
        crm_sandbox.close.add_opportunity(f"close_{number}", value=100)
        crm_sandbox.raze.add_opportunity(f"raze_{number}", deal_value="1.00", status="new")
    return crm_sandbox


@pytest.fixture
def warm(vendor, task, ledger_conn_id):
    """The same, of accounts that have been written to before."""
    for name, arguments in ARGUMENTS.items():
        end = task(UpdateOpportunityOperator, data=data(name, 1), task_id="before", run_id="before", **arguments)
        assert end.error is None
        assert end.outcomes == {"updated": 1}
    vendor.audit.clear()
    return vendor


def data(name, count=ROWS):
    """Rows for one vendor."""
    return [{"id": f"{name}_{number}", "arr": number + 2, "stage": "proposal"} for number in range(count)]


def has_landed(sandbox, name, count=ROWS):
    """Whether the CRM has the values of the rows."""
    if name == "close":
        return [sandbox.close.opportunity(f"close_{number}")["value"] for number in range(count)] == [
            100 * (number + 2) for number in range(count)
        ]
    records = [sandbox.raze.opportunity(f"raze_{number}") for number in range(count)]
    return [(str(record["deal_value"]), record["status"]) for record in records] == [
        (f"{number + 2}.00", "proposal") for number in range(count)
    ]


def landed(sandbox):
    """How often each record was written with each method."""
    return [(write.record_id, write.method) for write in sandbox.audit.writes]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["close", "raze"])
def test_an_hour_before_the_first_row(warm, ledger_conn_id, name, fault):
    """A vendor that is down when the task starts is waited for, without a retry and nearly without a worker slot."""
    warm.set(fault_rates={fault: 1.0})
    outage = Outage(warm, HOUR, data=data(name), ledger_conn_id=ledger_conn_id, **ARGUMENTS[name])
    run = outage.until_done()
    assert run.error is None
    assert run.outcomes == {"updated": ROWS - 1, "unchanged": 1}
    assert has_landed(warm, name)
    assert len(outage.waits) == 4
    assert outage.slot_seconds < HOUR / 10


@pytest.mark.parametrize(
    "case", [(True, 1), (False, 1), (False, 8)], ids=["ledger", "no ledger", "no ledger, some threads"]
)
@pytest.mark.parametrize("name", ["close", "raze"])
def test_an_hour_in_mid_run(vendor, ledger_conn_id, tmp_path, name, case):
    """Rows that landed are not written again, rows that failed are; each is reported once, and none as a reject."""
    (with_ledger, concurrency), path = case, tmp_path / "rejects.csv"
    outage = Outage(
        Begun(vendor, name, 25),
        HOUR,
        data=data(name),
        ledger_conn_id=ledger_conn_id if with_ledger else None,
        concurrency=concurrency,
        rejects_path=str(path),
        **ARGUMENTS[name],
    )
    run = outage.until_done()
    assert run.error is None
    assert run.outcomes == {"updated": ROWS}
    assert has_landed(vendor, name)
    assert len(landed(vendor)) == len(set(landed(vendor)))
    assert len(outage.waits) == 4
    with path.open() as file:
        assert list(csv.DictReader(file)) == []


class Begun:
    """An outage that begins after some calls, and ends on request."""

    def __init__(self, sandbox, name, calls):
        self.script = sandbox.script(vendor=name, faults=[None] * calls + ["http_503"] * 5_000)

    def set(self, **_):
        """The vendor is up again."""
        while self.script.left:
            self.script.take()


def test_a_few_rows(warm, ledger_conn_id):
    """Fewer rows than make an outage by themselves wait as well, once one more call has shown that nothing answers."""
    warm.set(fault_rates={"http_503": 1.0})
    outage = Outage(warm, HOUR, data=data("raze", 3), ledger_conn_id=ledger_conn_id, **ARGUMENTS["raze"])
    run = outage.until_done()
    assert run.error is None
    assert has_landed(warm, "raze", 3)


def test_one_row_is_sent_to_see_whether_the_vendor_is_back(warm, ledger_conn_id):
    """A task that is woken too early finds out by one row, with its usual attempts, and sends no other."""
    warm.set(fault_rates={"http_503": 1.0})
    outage = Outage(warm, 4 * HOUR, data=data("raze"), ledger_conn_id=ledger_conn_id, **ARGUMENTS["raze"])
    outage.run.of(outage.operator_class(**outage.arguments).execute)
    kwargs = outage.run.deferred.kwargs
    warm.audit.clear()
    outage.run.of(lambda context: outage.operator_class(**outage.arguments).resume(context, **kwargs))
    # It may have landed before: it is read first. The last call is the one that any valid key may make.
    assert [call.path for call in warm.audit.calls] == [f"{PATH}/raze_1"] * 8 + [PATH]
    assert outage.run.deferred.kwargs["outages"] == 2


def test_a_row_that_always_fails_does_not_look_like_an_outage(warm, ledger_conn_id):
    """If the first row after an outage fails for a reason of its own, the others are still written."""
    warm.set(fault_rates={"http_503": 1.0})
    outage = Outage(warm, HOUR, data=data("raze"), ledger_conn_id=ledger_conn_id, **ARGUMENTS["raze"])
    warm.script(vendor="raze", method="PUT", path=f"{PATH}/raze_1", faults=["http_500"] * 1_000)
    run = outage.until_done()
    assert run.outcomes == {"updated": ROWS - 2, "unchanged": 1, "failed": 1}
    assert len(outage.waits) == 4


def test_after_six_hours_the_task_fails_for_its_retry(warm, ledger_conn_id):
    """The waits are bounded; the task then fails as one that Airflow retries, and reports every row."""
    warm.set(fault_rates={"http_503": 1.0})
    outage = Outage(warm, 100 * HOUR, data=data("raze"), ledger_conn_id=ledger_conn_id, **ARGUMENTS["raze"])
    run = outage.until_done()
    assert isinstance(run.error, AirflowException)
    assert not isinstance(run.error, AirflowFailException)
    assert sum(outage.planned()) <= 6 * HOUR < sum(outage.planned()) + 1800
    assert run.outcomes == {"unchanged": 1, "failed": 1, "not_sent": ROWS - 2}


def test_a_host_that_never_answered_is_not_waited_for(vendor, ledger_conn_id):
    """It may as well be a wrong one, which a person has to correct: the task fails at once."""
    vendor.set(fault_rates={"reset_before": 1.0})
    for name, arguments in ARGUMENTS.items():
        outage = Outage(vendor, HOUR, data=data(name), ledger_conn_id=ledger_conn_id, **arguments)
        run = outage.until_done()
        assert isinstance(run.error, AirflowException)
        assert outage.waits == []


def test_a_lost_answer_does_not_mean_that_the_row_did_not_land(warm, ledger_conn_id):
    """A stage that landed before the vendor went down is found in place afterwards, and not stamped again."""
    warm.script(vendor="raze", method="PATCH", faults=["http_503_after"])
    reading = warm.script(vendor="raze", method="GET", faults=["http_503"] * 5_000)
    arguments = {**ARGUMENTS["raze"], "fields": {"stage": "stage"}}
    outage = Outage(warm, HOUR, data=data("raze", 2), ledger_conn_id=ledger_conn_id, **arguments)
    outage.run.of(outage.operator_class(**outage.arguments).execute)
    while reading.left:
        reading.take()
    kwargs = outage.run.deferred.kwargs
    outage.run.of(lambda context: outage.operator_class(**outage.arguments).resume(context, **kwargs))
    assert outage.run.error is None
    assert landed(warm) == [("raze_1", "PATCH")]


def test_a_plan_is_applied_across_an_outage(warm, task, ledger_conn_id):
    """A plan, whose records are read before they are written, goes on with the rows that are left."""
    planned = task(PlanOpportunityUpdatesOperator, data=data("raze"), task_id="plan", **ARGUMENTS["raze"])
    warm.set(fault_rates={"http_503": 1.0})
    outage = Outage(
        warm,
        HOUR,
        plan=planned.report["plan_id"],
        digest=planned.report["digest"],
        crm_conn_id="raze_default",
        ledger_conn_id=ledger_conn_id,
    )
    run = outage.until_done()
    assert run.error is None
    assert run.outcomes == {"updated": ROWS - 1, "unchanged": 1}
    assert has_landed(warm, "raze")


def test_an_undo_waits_too(warm, task, ledger_conn_id):
    """An undo reads before it writes; both wait."""
    task(UpdateOpportunityOperator, data=data("raze"), task_id="write", capture_before=True, **ARGUMENTS["raze"])
    warm.set(fault_rates={"http_503": 1.0})
    outage = Outage(
        warm,
        HOUR,
        RevertOpportunityUpdatesOperator,
        run_key="dag/write/run",
        crm_conn_id="raze_default",
        ledger_conn_id=ledger_conn_id,
    )
    run = outage.until_done()
    assert run.error is None
    assert run.outcomes == {"updated": ROWS - 1}
    assert str(warm.raze.opportunity(f"raze_{ROWS - 1}")["deal_value"]) == "1.00"
