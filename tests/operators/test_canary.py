"""The first rows of a run over HTTP: unless the CRM shows all of them as written, no other row is sent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.database.schema import changes, field_states, tries
from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator

from .conftest import POSTGRESQL_WITH_LONG_PROOFS, Impatient, Run

pytestmark = POSTGRESQL_WITH_LONG_PROOFS

ROWS, CANARY = 12, 5
FEW = Guardrails(canary_rows=CANARY)
DAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


@dataclass
class Account:
    """Twelve opportunities of one vendor, and the rows that change them all.

    Attributes:
        sandbox: The sandbox.
        name: The sandbox's name of the vendor.
        connection: The connection.
        amount: The vendor's key of the deal value.
        text: The vendor's key of a text.
        old: The deal value that each record has.
        unknown: An id that no record has.
        ids: The record ids.
        before: The deal value that each record shows at first.
    """

    sandbox: object
    name: str
    connection: str
    amount: str
    text: str
    old: object
    unknown: str
    ids: list = field(default_factory=list)
    before: list = field(default_factory=list)

    def fill(self):
        """Add the records."""
        for _ in range(ROWS):
            made = self.records.add_opportunity(**{self.amount: self.old, self.text: "old"})
            self.ids.append(made.get("id") or made["Id"])
        self.before = self.values()
        return self

    @property
    def records(self):
        """The vendor's records."""
        return getattr(self.sandbox, self.name)

    def rows(self, texts=(), arr=100):
        """Return a row for each record; only some of them write the text."""
        return [
            {"id": one, "arr": arr + number, "text": "new" if number in texts else None}
            for number, one in enumerate(self.ids)
        ]

    def arguments(self, **arguments):
        """Return the operator's arguments."""
        fields = {"arr": "deal_value", "text": self.text}
        defaults = {"crm_conn_id": self.connection, "id_column": "id", "fields": fields, "guardrails": FEW}
        return {**defaults, **arguments}

    def changed(self):
        """Return the records that no longer have the value that they had, in the order of the rows."""
        return [one for one, old, new in zip(self.ids, self.before, self.values(), strict=True) if new != old]

    def values(self):
        """Return the deal value that each record shows."""
        shown = map(self.records.opportunity, self.ids)
        return [Decimal(str(record.get("properties", record)[self.amount])) for record in shown]

    def written(self):
        """Return the records that were written, call by call, and the calls' numbers."""
        return [(write.record_id, write.number) for write in self.sandbox.audit.writes]


VENDORS = {
    "close": ("close_default", "value", "note", 100, "oppo_unknown"),
    "raze": ("raze_default", "deal_value", "notes", "1.00", "opp_unknown"),
    "hubspot": ("hubspot_default", "amount", "description", "1.00", "987654321"),
    "salesforce": ("crm_salesforce_default", "Amount", "NextStep", 1, "006000000000zzz"),
}


def account_of(sandbox, name):
    """Return the account of a vendor, with its records."""
    return Account(sandbox, name, *VENDORS[name]).fill()


@pytest.fixture(params=VENDORS)
def account(request, crm_sandbox):
    """An account of each vendor."""
    return account_of(crm_sandbox, request.param)


@pytest.fixture
def close(crm_sandbox):
    """An account of Close, which takes one row a call."""
    return account_of(crm_sandbox, "close")


@pytest.fixture
def salesforce(crm_sandbox):
    """An account of Salesforce, which takes many rows a call."""
    return account_of(crm_sandbox, "salesforce")


@pytest.fixture(params=[True, False], ids=["ledger", "no ledger"])
def with_ledger(request):
    """Whether there is a ledger."""
    return request.param


@pytest.fixture
def write(with_ledger, task):
    """Write rows, with a ledger and without one."""
    without = {} if with_ledger else {"ledger_conn_id": None}

    def run(account, rows, **arguments):
        return task(Impatient, data=rows, **account.arguments(**without, **arguments))

    return run


def test_the_first_rows_are_read_before_the_others_are_sent(account, write):
    """Five rows are written, the first of them alone; then they are read; then come the others, which are not read."""
    assert write(account, account.rows()).outcomes == {"updated": ROWS}
    written = account.written()
    assert written[0][0] == account.ids[0]
    assert sorted(one for one, _ in written[:CANARY]) == account.ids[:CANARY]
    first, second, last, first_other = (written[at][1] for at in (0, 1, CANARY - 1, CANARY))
    assert first < second <= last < first_other
    calls = {call.number for call in account.sandbox.audit.calls}
    writes = {number for _, number in written}
    assert {number for number in calls - writes if last < number < first_other}
    assert {number for number in calls - writes if number > first_other} == set()


def test_a_row_that_is_refused_ends_the_run(account, write):
    """One of the first five has an unknown id: four records are changed, no other row is sent, and no retry follows."""
    rows = account.rows()
    rows[2]["id"] = account.unknown
    run = write(account, rows, max_rejected=0.5)
    assert type(run.error) is AirflowFailException
    assert run.outcomes == {"updated": 4, "rejected": 1, "not_sent": ROWS - CANARY}
    assert account.changed() == [*account.ids[:2], *account.ids[3:CANARY]]
    rest = {one: run.rejects[one] for one in account.ids[CANARY:]}
    assert rest == dict.fromkeys(account.ids[CANARY:], ("not_sent", "CANARY"))
    assert "The canary failed: 4 of the first 5 rows landed, and no other row was sent." in str(run.error)
    assert f"), such as {account.unknown}" in str(run.error)


def test_a_row_that_is_ignored_ends_the_run(account, write):
    """The CRM drops a text without an error: five records are changed, four of them as they should be."""
    account.sandbox.set(ignored_fields=[account.text])
    run = write(account, account.rows(texts=(3, 7)))
    assert type(run.error) is AirflowFailException
    assert run.outcomes == {"updated": 4, "ignored": 1, "not_sent": ROWS - CANARY}
    assert account.changed() == account.ids[:CANARY]
    assert "1 ignored (NOT_WRITTEN), such as " in str(run.error)


def test_products_hold_an_amount(salesforce, write):
    """An amount that Salesforce keeps without an error ends the run, with the likely cause."""
    salesforce.records.add_opportunity(salesforce.ids[4], Amount=1, HasOpportunityLineItem=True)
    run = write(salesforce, salesforce.rows())
    assert run.outcomes == {"updated": 4, "ignored": 1, "not_sent": ROWS - CANARY}
    assert salesforce.changed() == salesforce.ids[:4]
    assert "products" in str(run.error)


class Workflow(Impatient):
    """The operator, in a CRM whose workflow puts every deal value back after the answer was sent."""

    sandbox = None

    def session_for(self, account):
        """Return a session over whose calls the workflow runs."""
        session = super().session_for(account)
        answered = session.write

        def write(call, record_id, *args, **kwargs):
            record = answered(call, record_id, *args, **kwargs)
            self.sandbox.close.add_opportunity(record_id, value=100)
            return record

        session.write = write
        return session


@pytest.mark.parametrize("verify_echo", [True, False])
def test_the_record_counts_and_not_the_answer(close, task, verify_echo, monkeypatch):
    """A CRM that answers with the values, and changes them at once, is found out by the read, whatever is compared."""
    monkeypatch.setattr(Workflow, "sandbox", close.sandbox)
    arguments = close.arguments(verify_echo=verify_echo)
    run = task(Workflow, data=close.rows(), **arguments)
    assert run.outcomes == {"ignored": CANARY, "not_sent": ROWS - CANARY}
    assert "0 of the first 5 rows landed" in str(run.error)
    assert task(Workflow, run_id="other", data=close.rows(), **{**arguments, "guardrails": None}).error is None


def test_the_calls_of_a_row_are_compared_together(crm_sandbox, task):
    """A row of Raze with a stage has two calls; its record is read once, after both, and compared with both."""
    raze = account_of(crm_sandbox, "raze")
    rows = [{**row, "stage": "proposal"} for row in raze.rows()]
    fields = {"arr": "deal_value", "stage": "stage"}
    crm_sandbox.set(ignored_fields=["status"])
    run = task(Impatient, data=rows, **raze.arguments(fields=fields, ledger_conn_id=None))
    assert run.outcomes == {"ignored": CANARY, "not_sent": ROWS - CANARY}
    assert sorted(opportunity_reads(raze)) == raze.ids[:CANARY]
    assert "deal_value landed" in run.report["rejects"][0]["reason"]


def test_a_failed_canary_is_taken_back(account, task):
    """The error names the undo with the run's key: it restores the records, though no run has written them before."""
    rows = account.rows()
    rows[2]["id"] = account.unknown
    run = task(Impatient, data=rows, **account.arguments())
    assert "run RevertOpportunityUpdatesOperator(run_key='dag/task/run')." in str(run.error)
    undone = task(
        RevertOpportunityUpdatesOperator, task_id="undo", run_key="dag/task/run", crm_conn_id=account.connection
    )
    assert undone.error is None
    assert undone.outcomes == {"updated": 4}
    assert account.changed() == []


def test_without_a_ledger_there_is_no_undo(close, write, with_ledger):
    """The error does not promise what cannot be done."""
    rows = [{"id": close.unknown, "arr": 1}, *close.rows()]
    message = str(write(close, rows).error)
    assert ("RevertOpportunityUpdatesOperator(" in message) == with_ledger
    assert ("cannot be taken back" in message) != with_ledger


def test_rows_that_need_no_write_are_no_canary(close, task, stored):
    """Unchanged and invalid rows are passed over: five others are written and read."""
    task(Impatient, run_id="first", as_of=DAY, data=close.rows()[:3], **close.arguments(guardrails=None))
    close.sandbox.audit.clear()
    rows = [*close.rows()[:3], {"id": close.ids[3], "arr": "x"}, *close.rows()[4:]]
    rows[-1]["id"] = close.unknown
    run = task(Impatient, run_id="second", as_of=DAY + dt.timedelta(days=1), data=rows, **close.arguments())
    assert run.outcomes == {"updated": 7, "unchanged": 3, "invalid": 1, "rejected": 1}
    written = [one for one, _ in close.written()]
    assert sorted(written[:CANARY]) == close.ids[4:9]
    assert set(opportunity_reads(close)) == set(close.ids[4:9])


def test_few_rows_are_all_canary(account, write):
    """A run with fewer rows than the canary is decided by all of them."""
    rows = account.rows(texts=(1,))[:3]
    assert write(account, rows[:1], run_id="one").outcomes == {"updated": 1}
    account.sandbox.set(ignored_fields=[account.text])
    run = write(account, rows)
    assert type(run.error) is AirflowFailException
    assert run.outcomes["ignored"] == 1
    assert f"of the first {run.outcomes['updated'] + 1} rows landed" in str(run.error)
    assert "CANARY" not in str(run.report["rejects"])


def test_claims_are_given_back(account, task, stored):
    """The rows that were not sent are free for other runs at once, and have no line in the change log as written."""
    rows = account.rows()
    rows[0]["id"] = account.unknown
    task(Impatient, data=rows, **account.arguments())
    assert {row["claim_token"] for row in stored(field_states)} <= {None}
    assert {row["record_id"] for row in stored(changes) if row["outcome"] == "updated"} == set(account.ids[1:CANARY])
    rows[0]["id"] = account.ids[0]
    again = task(Impatient, run_id="other", data=rows, **account.arguments())
    assert again.outcomes == {"updated": ROWS - 4, "unchanged": 4}


# Plans.


def applied(task, account, planned, **arguments):
    """Apply a plan."""
    plan = {"plan": planned.report["plan_id"], "digest": planned.report["digest"], "task_id": "apply"}
    return task(Impatient, **{"crm_conn_id": account.connection, "data": None, "guardrails": FEW, **plan, **arguments})


def planned_rows(task, account, rows):
    """Make a plan."""
    arguments = account.arguments(guardrails=None)
    return task(PlanOpportunityUpdatesOperator, task_id="plan", data=rows, **arguments)


def test_a_plan_is_applied_by_its_canary_first(account, task):
    """The same rule for an approved plan: a text that the CRM drops ends the apply after five records."""
    planned = planned_rows(task, account, account.rows(texts=(3, 7)))
    account.sandbox.set(ignored_fields=[account.text])
    run = applied(task, account, planned)
    assert type(run.error) is AirflowFailException
    assert run.outcomes == {"updated": 4, "ignored": 1, "not_sent": ROWS - CANARY}
    assert account.changed() == account.ids[:CANARY]
    assert "RevertOpportunityUpdatesOperator(run_key='dag/apply/run')" in str(run.error)


def test_records_that_changed_since_the_plan_are_no_canary(account, task):
    """A conflict, and a record that holds its value by now, are passed over; the apply goes on with its other rows."""
    planned = planned_rows(task, account, account.rows())
    new = {"close": 10_000, "raze": "100.00", "hubspot": "100", "salesforce": 100}[account.name]
    account.records.add_opportunity(account.ids[0], **{account.amount: new, account.text: "old"})
    account.records.add_opportunity(account.ids[1], **{account.amount: new, account.text: "old"})
    account.sandbox.audit.clear()
    run = applied(task, account, planned, max_rejected=1)
    assert run.error is None, run.error
    assert run.outcomes == {"updated": ROWS - 2, "unchanged": 1, "rejected": 1}
    written = account.written()
    assert sorted(one for one, _ in written[:CANARY]) == account.ids[2 : 2 + CANARY]
    assert written[CANARY][1] - max(number for _, number in written[:CANARY]) > 1


def test_the_canary_belongs_to_the_apply(close, task):
    """A plan refuses a canary, and an apply any other limit; the errors say where each belongs."""
    run = task(PlanOpportunityUpdatesOperator, task_id="plan", data=close.rows(), **close.arguments())
    assert "pass Guardrails(canary_rows=...) to the UpdateOpportunityOperator that applies the plan" in str(run.error)
    run = applied(
        task, close, planned_rows(task, close, close.rows()), guardrails=Guardrails(max_rows=3, canary_rows=1)
    )
    assert "limits of guardrails other than canary_rows: those belong to PlanOpportunityUpdates" in str(run.error)
    assert close.sandbox.audit.writes == []


# Tries and deferrals.


def opportunity_reads(account):
    """Return the reads of single opportunities of Close or Raze."""
    return [
        call.path.rstrip("/").rpartition("/")[2]
        for call in account.sandbox.audit.calls
        if call.method == "GET" and call.path.rstrip("/").rpartition("/")[2] in account.ids
    ]


def fails(account, number):
    """Let a row fail in all attempts of a try."""
    path = f"/api/v1/opportunity/{account.ids[number]}/"
    account.sandbox.script(vendor="close", method="PUT", path=path, faults=["http_500"] * 8)


def test_a_retry_does_not_repeat_a_canary_that_has_passed(close, write, with_ledger):
    """Where a ledger knows that the first rows have landed, the second try reads none."""
    fails(close, 9)
    first = write(close, close.rows())
    assert type(first.error) is AirflowException
    assert first.outcomes == {"updated": ROWS - 1, "failed": 1}
    close.sandbox.audit.clear()
    second = write(close, close.rows(), try_number=2)
    assert second.error is None
    assert close.changed() == close.ids
    assert sorted(opportunity_reads(close)) == ([] if with_ledger else close.ids[:CANARY])


@pytest.mark.parametrize("landed", [ROWS - 1, CANARY - 1], ids=["after the canary", "in its midst"])
def test_a_worker_that_dies_leaves_no_report(close, task, ledger_conn_id, landed):
    """The change log knows how many rows have landed: fewer than the canary has are no canary that has passed."""
    fails(close, landed)
    task(Impatient, data=close.rows()[: landed + 1], **close.arguments())
    database = ledger_database(ledger_conn_id)
    with database.engine.begin() as connection:
        connection.execute(sa.update(tries).values(report=None, finished_at=None))
    database.engine.dispose()
    close.sandbox.audit.clear()
    second = task(Impatient, data=close.rows(arr=200), try_number=2, **close.arguments())
    assert second.outcomes == {"updated": ROWS}
    assert set(opportunity_reads(close)) == set([] if landed > CANARY else close.ids[:CANARY])


def test_a_cleared_task_has_a_new_canary(close, task):
    """Neither a canary that failed nor a run that came to its end spares the next try its canary."""
    rows = close.rows()
    rows[2]["id"] = close.unknown
    assert task(Impatient, data=rows, **close.arguments()).error is not None
    close.sandbox.audit.clear()
    lower = Guardrails(canary_rows=2)
    second = task(Impatient, data=close.rows(), try_number=2, **close.arguments(guardrails=lower))
    assert second.outcomes == {"updated": 8, "unchanged": 4}
    assert set(opportunity_reads(close)) == {close.ids[2], close.ids[5]}
    close.sandbox.audit.clear()
    third = task(Impatient, data=close.rows(arr=500), try_number=3, **close.arguments(guardrails=lower))
    assert third.outcomes == {"updated": ROWS}
    assert sorted(opportunity_reads(close)) == close.ids[:2]


def to_the_end(account, make, seconds=3_600):
    """Run a task through its deferrals; returns the run and the reads of each segment."""
    run, reads = Run(), []
    run.of(make().execute)
    reads.append(opportunity_reads(account))
    while run.deferred is not None and len(reads) < ROWS:
        state, run.deferred = run.deferred.kwargs, None
        account.sandbox.clock.advance(seconds)
        account.sandbox.audit.clear()
        run.of(lambda context, state=state: make().resume(context, **state))
        reads.append(opportunity_reads(account))
    return run, reads


@pytest.mark.parametrize("calls", [16, 8], ids=["after the canary", "in its midst"])
def test_a_deferred_task_goes_on_after_its_canary(crm_sandbox, ledger_conn_id, with_ledger, calls):
    """A canary that has passed is not repeated; one that a deferral has interrupted is decided by five other rows."""
    raze = account_of(crm_sandbox, "raze")
    crm_sandbox.set(raze_limit=calls)
    ledger = ledger_conn_id if with_ledger else None
    arguments = raze.arguments(ledger_conn_id=ledger, budget_share=1.0)
    run, reads = to_the_end(raze, lambda: Impatient(task_id="task", data=raze.rows(), **arguments))
    assert run.error is None, run.error
    assert run.outcomes == {"updated": ROWS}
    assert len(reads) > 1
    assert (reads[1] == []) == (calls == 16)


def test_a_failed_canary_waits_for_nothing(crm_sandbox, write, with_ledger):
    """A rate limit that ends the run in the midst of a failed canary is no reason to try the other rows later."""
    raze = account_of(crm_sandbox, "raze")
    rows = raze.rows()
    rows[1]["id"] = raze.unknown
    crm_sandbox.set(raze_limit=9 if with_ledger else 7)
    run = write(raze, rows, budget_share=1.0)
    assert run.deferred is None
    assert type(run.error) is AirflowFailException
    assert run.outcomes.get("updated", 0) < CANARY - 1
    assert sum(run.outcomes.values()) == ROWS
    assert (run.outcomes["rejected"], run.outcomes.get("failed")) == (1, None)
    assert run.report["ended_early"].startswith("The canary failed: ")


def test_no_row_of_the_canary_is_uploaded(salesforce, ledger_conn_id):
    """The first rows go by calls, and are decided before a file is sent with the others."""
    salesforce.ids += [salesforce.records.add_opportunity(Amount=1)["Id"] for _ in range(2_300)]
    arguments = salesforce.arguments(ledger_conn_id=ledger_conn_id, upload_after=0)
    rows = salesforce.rows()
    run = Run().of(Impatient(task_id="task", data=rows, **arguments).execute)
    assert run.deferred is not None
    files = [call.number for call in salesforce.sandbox.audit.calls if call.path.endswith("/batches")]
    assert len(files) == 1
    by_calls = {one: number for one, number in salesforce.written() if number < files[0]}
    assert sorted(by_calls) == salesforce.ids[:CANARY]
    state = run.deferred.kwargs
    end = Run().of(lambda context: Impatient(task_id="task", data=rows, **arguments).resume(context, **state))
    assert (end.error, end.outcomes) == (None, {"updated": len(rows)})


def test_a_failed_canary_sends_no_file(salesforce, task):
    """No file is opened for rows that are not sent."""
    salesforce.ids += [salesforce.records.add_opportunity(Amount=1)["Id"] for _ in range(2_300)]
    salesforce.records.add_opportunity(salesforce.ids[4], Amount=1, HasOpportunityLineItem=True)
    run = task(Impatient, data=salesforce.rows(), **salesforce.arguments(upload_after=0))
    assert run.outcomes == {"updated": 4, "ignored": 1, "not_sent": len(salesforce.ids) - CANARY}
    assert [call for call in salesforce.sandbox.audit.calls if "/jobs" in call.path] == []


# Failures of the vendor.


def test_a_row_that_fails_for_the_moment_fails_the_canary(close, write):
    """The CRM answers one of the first rows with errors only: no other row is sent, and no retry follows."""
    fails(close, 1)
    run = write(close, close.rows())
    assert type(run.error) is AirflowFailException
    assert run.outcomes == {"updated": 4, "failed": 1, "not_sent": ROWS - CANARY}


def test_an_outage_is_no_failed_canary(account, write):
    """A CRM that answers nothing has said nothing about the rows: the task fails for its retry, or waits."""
    account.sandbox.set(fault_rates={"http_503": 1.0}, fault_methods={"POST", "PATCH", "PUT", "GET"})
    run = write(account, account.rows(), guardrails=Guardrails(canary_rows=2))
    assert type(run.error) is AirflowException
    account.sandbox.set(fault_rates={})
    assert write(account, account.rows(), try_number=2).outcomes == {"updated": ROWS}


def test_a_record_that_cannot_be_read_back(close, write):
    """A row that was written, and whose record cannot be read, has not been seen to land."""
    write(close, close.rows(arr=50)[1:2], run_id="before")
    path = f"/api/v1/opportunity/{close.ids[1]}/"
    close.sandbox.script(vendor="close", method="GET", path=path, faults=["http_404"])
    run = write(close, close.rows())
    assert run.outcomes == {"updated": 4, "rejected": 1, "not_sent": ROWS - CANARY}
    assert "It was written, and what the CRM holds now could not be read" in str(run.error)


# The report.


def test_page_log_and_commands_show_the_end(close, task, crm_command, capsys):
    """The verdict is `ended early`, with the sentence of the canary; the log says what to do next."""
    rows = close.rows()
    rows[2]["id"] = close.unknown
    run = task(Impatient, data=rows, **close.arguments())
    sentence = "The canary failed: 4 of the first 5 rows landed, and no other row was sent."
    assert run.report["ended_early"].startswith(sentence)
    logged = capsys.readouterr().out
    assert f"Verdict: ended early. {sentence}" in logged
    assert "    Correct why the first rows did not land, then clear the task: nothing was sent for this row." in logged
    assert "Next: Correct why the first rows did not land, or take back those that did, then clear" in logged
    assert sentence in crm_command("runs", "--output", "json")


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "25"])
def test_a_wrong_number_is_refused(close, task, rows):
    """The error says what to write, and no row was sent."""
    run = task(Impatient, data=close.rows(), **close.arguments(guardrails=Guardrails(canary_rows=rows)))
    assert type(run.error) is AirflowFailException
    assert f"guardrails: canary_rows is {rows!r}; write a" in str(run.error)
    assert close.sandbox.audit.writes == []


def test_a_dry_run_sends_no_canary(close, task):
    """A dry run makes its checks, and sends nothing."""
    run = task(Impatient, data=close.rows(), dry_run=True, **close.arguments())
    assert run.outcomes == {"not_sent": ROWS}
    assert close.sandbox.audit.writes == []
