"""Undo over HTTP, on both databases: the values from before a run come back, and no later change is lost."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.database.schema import budgets, plans
from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator

from .conftest import Impatient

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CLOSE = {"id_column": "id", "fields": {"arr": "deal_value", "text": "notes"}}


@pytest.fixture
def write(task):
    """Write rows to Close; what stood there is read first."""

    def run(data, **arguments):
        defaults = {**CLOSE, "task_id": "write", "capture_before": True}
        return task(Impatient, data=data, **{**defaults, **arguments})

    return run


@pytest.fixture
def revert(task):
    """Undo the run of `write`."""

    def run(run_key="dag/write/run", **arguments):
        return task(RevertOpportunityUpdatesOperator, run_key=run_key, **{"task_id": "undo", **arguments})

    return run


def row(number, arr, text="n"):
    """One row for Close."""
    return {"id": f"oppo_{number}", "arr": arr, "text": text}


def crm_values(sandbox, number):
    """Value in cents and note in Close."""
    record = sandbox.close.opportunity(f"oppo_{number}")
    return record["value"], record["note"]


def test_an_undo_puts_back_what_stood_before(deals, write, revert):
    """Every field that the run wrote has the value from before again, empty ones included."""
    deals.close.add_opportunity("oppo_2", value=None, note="")
    assert write([row(0, 5, "a"), row(1, 6), row(2, 7, "b")]).outcomes == {"updated": 3}
    run = revert()
    assert run.error is None
    assert run.outcomes == {"updated": 3}
    assert [crm_values(deals, number) for number in range(3)] == [(100, "n"), (100, "n"), (None, "")]
    assert run.report["plan_id"]


def test_what_was_changed_since_is_left_alone(deals, write, revert):
    """A record that no longer has the values of the run is a conflict, as a whole; the others are put back."""
    write([row(0, 5, "a"), row(1, 6, "b")])
    deals.close.add_opportunity("oppo_0", value=4_200, note="a")
    run = revert()
    assert isinstance(run.error, AirflowFailException)
    assert run.outcomes == {"updated": 1, "rejected": 1}
    assert run.rejects == {"oppo_0": ("rejected", "CONFLICT")}
    assert (crm_values(deals, 0), crm_values(deals, 1)) == ((4_200, "a"), (100, "n"))


def test_conflicts_of_an_undo_can_be_skipped(deals, write, revert):
    """With "skip" a record that was changed since is no failure."""
    write([row(0, 5), row(1, 6)])
    deals.close.add_opportunity("oppo_0", value=4_200, note="n")
    run = revert(on_conflict="skip")
    assert run.error is None
    assert run.outcomes == {"updated": 1, "skipped": 1}


def test_what_is_not_known_is_not_guessed(deals, write, revert):
    """Without a plan, an earlier write or a read, the earlier value is not known: the row is reported."""
    write([row(0, 5)], capture_before=False)
    run = revert()
    assert run.rejects == {"oppo_0": ("invalid", "BEFORE_UNKNOWN")}
    assert crm_values(deals, 0) == (500, "n")


def test_the_last_acknowledged_value_is_what_stood_before(deals, write, revert):
    """The second run over a record needs no read: the ledger knows what the first one wrote."""
    write([row(0, 5)], capture_before=False, run_id="first", as_of=DAY)
    write([row(0, 6)], capture_before=False, run_id="second", as_of=DAY + dt.timedelta(days=1))
    assert revert("dag/write/second").outcomes == {"updated": 1}
    assert crm_values(deals, 0) == (500, "n")


def test_reading_first_costs_one_call_and_only_the_first_time(deals, write):
    """`capture_before` reads a record that the ledger does not know, and no other."""
    write([row(0, 5), row(1, 6)], as_of=DAY)
    assert deals.audit.count(method="GET", path="/api/v1/opportunity/oppo_0/") == 1
    write([row(0, 7), row(1, 8)], as_of=DAY + dt.timedelta(days=1))
    assert deals.audit.count(method="GET", path="/api/v1/opportunity/oppo_0/") == 1


def test_an_applied_plan_can_be_taken_back(deals, task, revert):
    """A run that applied a plan has read every record before it wrote it."""
    planned = task(PlanOpportunityUpdatesOperator, data=[row(0, 5)], task_id="plan", **CLOSE)
    task(UpdateOpportunityOperator, plan=planned.report["plan_id"], digest=planned.report["digest"], task_id="apply")
    assert crm_values(deals, 0) == (500, "n")
    assert revert("dag/apply/run").outcomes == {"updated": 1}
    assert crm_values(deals, 0) == (100, "n")


def test_an_undo_can_be_approved_first(deals, write, revert, task):
    """With `plan_only` nothing is written until `UpdateOpportunityOperator` applies the plan."""
    write([row(0, 5), row(1, 1)])
    deals.audit.clear()
    planned = revert(plan_only=True)
    assert deals.audit.writes == []
    assert planned.report["counts"]["update"] == 1
    assert "takes back `dag/write/run`" in planned.report["summary"]
    applied = task(
        UpdateOpportunityOperator, plan=planned.report["plan_id"], digest=planned.report["digest"], task_id="apply"
    )
    assert applied.outcomes["updated"] == 1
    assert crm_values(deals, 0) == (100, "n")


def test_an_undo_can_be_undone(deals, write, revert):
    """An undo is a run like any other."""
    write([row(0, 5)])
    revert()
    assert revert("dag/undo/run", task_id="redo").outcomes == {"updated": 1}
    assert crm_values(deals, 0) == (500, "n")


def test_a_second_try_of_an_undo_finds_it_done(deals, write, revert):
    """A value that was restored already is in place, and is not written again."""
    write([row(0, 5), row(1, 6)])
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_1/", faults=["http_401"])
    assert revert().outcomes == {"updated": 1, "not_sent": 1}
    deals.audit.clear()
    assert revert(try_number=2).outcomes == {"updated": 1, "unchanged": 1}
    assert [write.record_id for write in deals.audit.writes] == ["oppo_1"]


def test_an_undo_is_the_newest_will(deals, write, revert):
    """Data from before the undo does not come back by a late run; data from after it does."""
    write([row(0, 5)], as_of=DAY)
    revert()
    assert write([row(0, 5)], run_id="late", as_of=DAY + dt.timedelta(days=1)).outcomes == {"stale": 1}
    assert write([row(0, 6)], run_id="next", as_of=dt.datetime.now(dt.UTC)).outcomes == {"updated": 1}


def test_a_run_of_several_tries_goes_back_to_before_the_first(deals, write, revert):
    """If a run wrote a field twice, what stood before its first write comes back."""
    write([row(0, 5)], as_of=DAY)
    write([row(0, 6)], try_number=2, as_of=DAY)
    assert crm_values(deals, 0) == (600, "n")
    assert revert().outcomes == {"updated": 1}
    assert crm_values(deals, 0) == (100, "n")


def test_stages_and_values_of_raze_are_put_back(deals, write, revert):
    """A Raze row is put back with both of its calls."""
    raze = {"crm_conn_id": "raze_default", "fields": {"arr": "deal_value", "stage": "stage"}}
    write([{"id": "opp_0", "arr": 9, "stage": "proposal"}], **raze)
    assert revert(crm_conn_id="raze_default").outcomes == {"updated": 1}
    record = deals.raze.opportunity("opp_0")
    assert (str(record["deal_value"]), record["status"]) == ("1.00", "new")


def test_a_record_that_is_gone_is_reported(deals, write, revert):
    """A record that the CRM no longer has is a failure of the undo."""
    write([row(0, 5), row(1, 5)])
    deals.close.records.write("oppo_0", None, dt.datetime.now(dt.UTC))
    assert revert().rejects == {"oppo_0": ("rejected", "NOT_FOUND")}


def test_a_hashed_value_cannot_be_put_back(deals, write, revert, monkeypatch):
    """The earlier value of a hashed field is not known: the row is reported."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "email")
    raze = {"crm_conn_id": "raze_default", "fields": {"mail": "email"}}
    write([{"id": "opp_0", "mail": "jane@example.com"}], **raze)
    assert revert(crm_conn_id="raze_default").rejects == {"opp_0": ("invalid", "HASHED")}


def test_a_part_of_a_list_cannot_be_put_back(deals, write, revert):
    """`.add` changes a part of a list, and the list before is not stored: it is reported."""
    run = write([{"id": "oppo_0", "product": "Core"}], fields={"product": "custom.cf_products.add"})
    assert run.outcomes == {"updated": 1}
    assert revert().rejects == {"oppo_0": ("invalid", "PARTIAL")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"run_key": "dag/nowhere/run"}, "The ledger has no run 'dag/nowhere/run' of account 'close:"),
        ({"on_conflict": "overwrite"}, "write 'fail' or 'skip'"),
        ({"dry_run": True}, "pass plan_only=True"),
        ({"guardrails": Guardrails(max_rows=1)}, "guardrails and as_of have no meaning"),
        ({"ledger_conn_id": None}, "need the ledger, and ledger_conn_id is None"),
    ],
)
def test_wrong_arguments_of_an_undo(deals, write, revert, arguments, message):
    """Each wrong argument is named in one sentence, and nothing is written."""
    write([row(0, 5)])
    deals.audit.clear()
    run = revert(**arguments)
    assert isinstance(run.error, AirflowFailException)
    assert message in str(run.error)
    assert deals.audit.writes == []


def test_a_run_key_of_an_unknown_run_names_the_latest(deals, write, revert):
    """The message names the runs that there are."""
    write([row(0, 5)])
    assert "'dag/write/run'" in str(revert("typo").error)


def test_capture_before_needs_a_ledger(deals, write):
    """Without a ledger there is nowhere to keep what stood there."""
    run = write([row(0, 5)], ledger_conn_id=None)
    assert isinstance(run.error, AirflowFailException)
    assert "capture_before" in str(run.error)


def test_an_undo_that_had_to_wait_goes_on_with_its_plan(deals, write, revert, ledger_conn_id):
    """A long wait defers the undo; afterwards the same plan is finished, and no second one is made."""
    raze = {"crm_conn_id": "raze_default", "fields": {"arr": "deal_value"}}
    write([{"id": f"opp_{number}", "arr": 9} for number in range(3)], **raze)
    deals.clock.set(dt.datetime.now(dt.UTC).replace(minute=15))
    deals.set(raze_limit=4)
    arguments = {"crm_conn_id": "raze_default", "concurrency": 1}
    run = revert(**arguments)
    assert run.deferred is not None
    deals.clock.advance(2_700)
    deals.set(raze_limit=None)
    engine = ledger_database(ledger_conn_id).engine
    with engine.begin() as connection:  # the same time passes for the shared budget
        connection.execute(sa.delete(budgets))
    operator = RevertOpportunityUpdatesOperator(
        task_id="undo", run_key="dag/write/run", ledger_conn_id=ledger_conn_id, **arguments
    )
    run.of(lambda context: operator.resume(context, **run.deferred.kwargs, event=None))
    assert run.outcomes == {"updated": 3}
    assert [str(deals.raze.opportunity(f"opp_{number}")["deal_value"]) for number in range(3)] == ["1.00"] * 3
    with engine.connect() as connection:
        (plan,) = connection.execute(sa.select(plans)).all()
    engine.dispose()
    assert plan.applied_at is not None


def test_what_was_seen_after_a_failed_attempt_is_what_stood_before(deals, write, revert):
    """If the first try could not even read the record, the second one has: that is put back."""
    path = "/api/v1/opportunity/oppo_0/"
    deals.script(vendor="close", method="GET", path=path, faults=["http_503"] * 8)
    assert write([row(0, 5)]).outcomes == {"failed": 1}
    assert write([row(0, 5)], try_number=2).outcomes == {"updated": 1}
    assert revert().outcomes == {"updated": 1}
    assert crm_values(deals, 0) == (100, "n")


def test_a_value_that_an_attempt_may_have_left_is_not_what_stood_before(deals, write, revert):
    """A first try that landed without an answer, and whose value the second one saw: what stood before is not known."""
    path = "/api/v1/opportunity/oppo_0/"
    deals.script(vendor="close", method="PUT", path=path, faults=["http_503_after"] * 8)
    assert write([row(0, 5)], capture_before=False).outcomes == {"failed": 1}
    assert write([row(0, 6)], try_number=2).outcomes == {"updated": 1}
    assert revert().rejects == {"oppo_0": ("invalid", "BEFORE_UNKNOWN")}
