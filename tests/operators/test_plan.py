"""Plan and apply over HTTP, on both databases: the difference is seen before it is written, and only it is written."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.database.schema import changes, plan_rows, plans
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.plan.stored_plan import PlanDigest, plan_row_of

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CLOSE = {"id_column": "id", "fields": {"arr": "deal_value", "text": "notes"}}
RAZE = {"id_column": "id", "fields": {"arr": "deal_value", "stage": "stage"}, "crm_conn_id": "raze_default"}
TAMPERED = (
    {"rows": {"after": "99900"}},
    {"rows": {"after": "99900"}, "redigested": True},
    {"rows": {"record_id": "oppo_1"}, "redigested": True},
    {"rows": {"as_of": DAY}, "redigested": True},
    {"header": {"rows": 0}},
    {"header": {"account": "close:elsewhere:orga"}, "redigested": True},
)


@pytest.fixture
def plan(task):
    """Plan rows for Close."""

    def run(data, **arguments):
        return task(PlanOpportunityUpdatesOperator, data=data, **{**CLOSE, "task_id": "plan", **arguments})

    return run


@pytest.fixture
def apply(task):
    """Apply a plan to Close."""

    def run(planned, **arguments):
        approved = {"plan": planned, "digest": "any"} if isinstance(planned, str) else approval(planned)
        return task(UpdateOpportunityOperator, **{**approved, "task_id": "apply", **arguments})

    return run


@pytest.fixture
def write(task):
    """Write rows to Close without a plan."""

    def run(data, **arguments):
        return task(UpdateOpportunityOperator, data=data, **{**CLOSE, "task_id": "write", **arguments})

    return run


def approval(planned):
    """The plan as its approver saw it."""
    return {"plan": planned.report["plan_id"], "digest": planned.report["digest"]}


def row(number, arr, text="n"):
    """One row for Close."""
    return {"id": f"oppo_{number}", "arr": arr, "text": text}


def verdicts(found):
    """Verdict by record and field."""
    return {(one["record_id"], one["field"]): one["verdict"] for one in found}


def value(sandbox, number):
    """The value in Close, in cents."""
    return sandbox.close.opportunity(f"oppo_{number}")["value"]


def test_a_plan_lists_each_field_and_writes_nothing(deals, plan, stored):
    """Per record and field there is a before, an after and a verdict; no call that writes is made."""
    run = plan([row(0, 5), row(1, 1, "new"), row(2, "x"), row(9, 1)])
    assert run.error is None
    assert deals.audit.writes == []
    assert verdicts(stored(plan_rows)) == {
        ("oppo_0", "value"): "update",
        ("oppo_0", "note"): "unchanged",
        ("oppo_1", "value"): "unchanged",
        ("oppo_1", "note"): "update",
        ("oppo_2", ""): "invalid",
        ("oppo_9", "value"): "missing",
        ("oppo_9", "note"): "missing",
    }
    changed = next(one for one in stored(plan_rows) if one["record_id"] == "oppo_0" and one["field"] == "value")
    assert (changed["before"], changed["after"]) == ("100", "500")
    assert run.report["counts"] == {
        "update": 2, "unchanged": 2, "stale": 0, "invalid": 1, "missing": 2, "conflict": 0, "skipped": 0,
    }  # fmt: skip
    (header,) = stored(plans)
    assert (header["plan_id"], header["digest"]) == (run.report["plan_id"], run.report["digest"])
    assert run.xcom == {key: run.report[key] for key in ("plan_id", "digest", "counts", "summary")}
    assert (header["account"], header["rows"], header["applied_by"]) == (run.report["account"], 4, None)


def test_older_data_is_stale_in_a_plan(deals, plan, write, stored):
    """A field for which the ledger has newer data is `stale`."""
    write([row(0, 7)], as_of=DAY)
    plan([row(0, 5)], as_of=DAY - dt.timedelta(days=1))
    assert verdicts(stored(plan_rows))["oppo_0", "value"] == "stale"


def test_a_change_by_hand_since_the_last_write_is_a_conflict(deals, plan, apply, write, stored):
    """A field that a person changed after the last acknowledged write is reported, and written only on request."""
    write([row(0, 7), row(1, 8)], as_of=DAY)
    deals.close.add_opportunity("oppo_0", value=4_200, note="n")
    run = plan([row(0, 9), row(1, 9)], as_of=DAY + dt.timedelta(days=1))
    assert verdicts(stored(plan_rows)) == {
        ("oppo_0", "value"): "conflict",
        ("oppo_0", "note"): "unchanged",
        ("oppo_1", "value"): "update",
        ("oppo_1", "note"): "unchanged",
    }
    applied = apply(run)
    assert applied.rejects == {"oppo_0": ("rejected", "CONFLICT")}
    assert applied.outcomes == {"updated": 1, "rejected": 1}
    assert (value(deals, 0), value(deals, 1)) == (4_200, 900)


def test_a_plan_is_applied_as_it_stands(deals, plan, apply):
    """Exactly the planned changes are written: nothing for what was in place, changed fields only."""
    applied = apply(plan([row(0, 5), row(1, 1), row(2, 1, "new")]))
    assert applied.error is None
    assert applied.outcomes == {"updated": 2, "unchanged": 1}
    writes = {write.record_id: write.fields for write in deals.audit.writes}
    assert writes == {"oppo_0": {"value": 500}, "oppo_2": {"note": "new"}}


def test_what_is_not_writable_in_a_plan_fails_its_application(deals, plan, apply):
    """Rows that were invalid or missing are failures of the applying task, as they are without a plan."""
    applied = apply(plan([row(0, 5), row(1, "x"), row(9, 1)]))
    assert isinstance(applied.error, AirflowFailException)
    assert applied.outcomes == {"updated": 1, "invalid": 1, "rejected": 1}
    assert applied.rejects == {"oppo_1": ("invalid", "NOT_A_NUMBER"), "oppo_9": ("rejected", "NOT_FOUND")}


@pytest.mark.parametrize(
    "case",
    [
        ("fail", {"updated": 1, "rejected": 1}, 4_200),
        ("skip", {"updated": 1, "skipped": 1}, 4_200),
        ("overwrite", {"updated": 2}, 500),
    ],
    ids=lambda case: case[0],
)
def test_a_record_that_changed_since_the_plan_is_refused(deals, plan, apply, case):
    """`on_conflict` decides about records that the CRM changed after the plan; others are written."""
    on_conflict, outcomes, left = case
    run = plan([row(0, 5), row(1, 6)])
    deals.close.add_opportunity("oppo_0", value=4_200, note="n")
    applied = apply(run, on_conflict=on_conflict)
    assert (applied.error is None) is (on_conflict != "fail")
    assert applied.outcomes == outcomes
    assert (value(deals, 0), value(deals, 1)) == (left, 600)


def test_a_change_of_a_planned_field_that_was_in_place_is_a_conflict_too(deals, plan, apply):
    """The record that was approved is the whole diff: if a field that needed no change has changed, it is refused."""
    run = plan([row(0, 5)])
    deals.close.add_opportunity("oppo_0", value=100, note="by hand")
    assert apply(run).rejects == {"oppo_0": ("rejected", "CONFLICT")}
    assert deals.audit.writes == []


def test_other_changes_of_a_record_are_no_conflict(deals, plan, apply):
    """A change of a field that the plan is not about does not matter."""
    run = plan([row(0, 5)])
    deals.close.add_opportunity("oppo_0", value=100, note="n", confidence=90)
    assert apply(run).outcomes == {"updated": 1}


def test_a_conflict_is_not_remembered_as_a_refusal(deals, plan, apply, write):
    """The CRM has refused nothing: the same values are sent by the next run without a plan."""
    run = plan([row(0, 5)], as_of=DAY)
    deals.close.add_opportunity("oppo_0", value=4_200, note="n")
    apply(run)
    assert write([row(0, 5)], as_of=DAY).outcomes == {"updated": 1}
    assert value(deals, 0) == 500


def test_an_applied_plan_counts_in_the_ledger(deals, plan, apply, write, stored):
    """Values that a plan wrote or confirmed are on record, so that older data does not overwrite them."""
    apply(plan([row(0, 5), row(1, 1)], as_of=DAY))
    before = dt.timedelta(days=-1)
    assert write([row(0, 3), row(1, 3)], as_of=DAY + before).outcomes == {"stale": 2}
    assert write([row(0, 5), row(1, 1)], as_of=DAY - before).outcomes == {"unchanged": 2}
    (log,) = [one for one in stored(changes) if one["outcome"] == "updated"]
    assert (log["run_key"], log["field"], log["before"], log["after"]) == ("dag/apply/run", "value", "100", "500")


def test_a_plan_is_older_than_what_was_written_since(deals, plan, apply, write):
    """Newer data that lands between plan and application wins, and what was approved is missing: the task is red."""
    run = plan([row(0, 5), row(1, 5, "new")], as_of=DAY)
    later = DAY + dt.timedelta(days=1)
    write([row(0, 8)], as_of=later)
    write([{"id": "oppo_1", "text": "newer"}], fields={"text": "notes"}, as_of=later, run_id="notes")
    applied = apply(run, on_conflict="overwrite")
    assert isinstance(applied.error, AirflowFailException)
    assert applied.rejects == {"oppo_0": ("rejected", "NEWER_DATA"), "oppo_1": ("rejected", "NEWER_DATA")}
    reasons = [reject["reason"] for reject in applied.report["rejects"] if reject["record_id"] == "oppo_1"]
    assert [reason.partition(",")[0] for reason in reasons] == [
        "value landed. Newer data was written or claimed for note"
    ]
    assert [value(deals, number) for number in range(2)] == [800, 500]


def test_rows_that_are_skipped_on_request_are_a_warning(deals, plan, apply):
    """`on_conflict="skip"` is the user's own wish: green, and the report says that nothing landed."""
    run = plan([row(0, 5)])
    deals.close.add_opportunity("oppo_0", value=300, note="n")
    applied = apply(run, on_conflict="skip")
    assert (applied.error, applied.outcomes) == (None, {"skipped": 1})
    assert applied.report["warnings"] == ["All 1 row skipped: the CRM changed since the plan."]


def test_a_second_try_goes_on_where_the_first_one_stopped(deals, plan, apply):
    """A value that an earlier try of the same run wrote is no conflict: it is in place, and is not written again."""
    run = plan([row(0, 5), row(1, 6)])
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_1/", faults=["http_401"])
    first = apply(run)
    assert first.outcomes == {"updated": 1, "not_sent": 1}
    deals.audit.clear()
    second = apply(run, try_number=2)
    assert second.error is None
    assert second.outcomes == {"updated": 1, "unchanged": 1}
    assert [write.record_id for write in deals.audit.writes] == ["oppo_1"]


def test_half_a_row_of_a_plan_is_finished(deals, plan, apply):
    """If the stage of a Raze row failed after its value landed, the next try sends the stage alone, once."""
    run = plan([{"id": "opp_0", "arr": 10, "stage": "won"}], **RAZE)
    deals.script(vendor="raze", method="PATCH", faults=["http_401"])
    assert apply(run, crm_conn_id="raze_default").outcomes == {"not_sent": 1}
    deals.audit.clear()
    assert apply(run, crm_conn_id="raze_default", try_number=2).outcomes == {"updated": 1}
    assert [write.method for write in deals.audit.writes] == ["PATCH"]


def test_a_plan_is_applied_by_one_run(deals, plan, apply, stored):
    """The error of another run names the run that applied it; that run itself may apply it again."""
    run = plan([row(0, 5)])
    apply(run)
    other = apply(run, run_id="other")
    assert isinstance(other.error, AirflowFailException)
    assert "was applied by dag/apply/run already" in str(other.error)
    assert apply(run).outcomes == {"unchanged": 1}
    (header,) = stored(plans)
    assert header["applied_by"] == "dag/apply/run"
    assert header["applied_at"] is not None


@pytest.fixture
def tamper(ledger_conn_id):
    """Change rows in the ledger's database, as a person with access to it could."""

    def change(*statements):
        engine = ledger_database(ledger_conn_id).engine
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)
        engine.dispose()

    return change


def test_what_was_not_approved_is_not_applied(deals, plan, apply, tamper, stored):
    """Rows that were changed after the approval; rows and stored digest together; another plan under the same id."""
    for number, change in enumerate(TAMPERED):
        run = plan([row(0, 5)], task_id=f"plan_{number}")
        mine = plans.c.plan_id == run.report["plan_id"]
        tamper(
            sa.update(plan_rows)
            .where(plan_rows.c.plan_id == run.report["plan_id"])
            .values(change.get("rows", {"reason": "x"})),
            sa.update(plans).where(mine).values(change.get("header", {"reverts": None})),
        )
        if change.get("redigested"):
            account = change.get("header", {}).get("account", run.report["account"])
            digest = PlanDigest(account)
            for one in stored(plan_rows):
                if one["plan_id"] == run.report["plan_id"]:
                    digest.add(plan_row_of(SimpleNamespace(**one)))
            tamper(sa.update(plans).where(mine).values(digest=digest.text()))
        applied = apply(run, task_id=f"apply_{number}")
        assert isinstance(applied.error, AirflowFailException)
        assert "is not the one that was approved: its rows have the digest" in str(applied.error)
        assert deals.audit.writes == []


def test_rows_that_are_changed_after_they_were_checked_are_not_written(deals, plan, apply):
    """The rows are read once: what is changed between the check and the first call is not what is written."""
    run = plan([row(0, 5)])
    reads = []

    def change(connection, cursor, statement, parameters, context, many):  # noqa: PLR0917 - SQLAlchemy's
        if "FROM crm_plan_rows" in statement and "SELECT" in statement:
            reads.append(statement)
            if len(reads) > 1:
                cursor.execute("UPDATE crm_plan_rows SET after = '99900' WHERE field = 'value'")

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", change)
    try:
        applied = apply(run)
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", change)
    assert (applied.error, value(deals, 0), len(reads)) == (None, 500, 1)


def test_rows_that_are_changed_all_the_time_are_written_as_approved_or_not_at_all(deals, plan, apply, tamper):
    """While the rows change back and forth, a task writes the approved value, or refuses."""
    ended = threading.Event()

    def back_and_forth():
        for after in itertools.cycle(("99900", "500")):
            if ended.is_set():
                return
            tamper(sa.update(plan_rows).where(plan_rows.c.field == "value").values(after=after))

    run = plan([row(0, 5)])
    thread = threading.Thread(target=back_and_forth)
    thread.start()
    try:
        runs = [apply(run, task_id="apply", try_number=number + 1) for number in range(6)]
    finally:
        ended.set()
        thread.join()
    assert value(deals, 0) in (100, 500)
    assert {str(one.error).partition(":")[0] for one in runs} <= {
        "None",
        f"Plan {run.report['plan_id']} is not the one that was approved",
    }


def test_a_plan_without_a_digest_is_applied_only_if_that_is_asked_for(deals, plan, apply):
    """Without a digest the approved rows are not known; `"any"` says that they do not matter."""
    run = plan([row(0, 5)])
    refused = apply(run, digest=None)
    assert str(refused.error).startswith("plan is given without digest: pass the digest of the plan that was approved")
    other = apply(run, digest="0" * 64)
    assert str(other.error).endswith(
        f"approved was {'0' * 64}. Nothing was written; plan again, and have it approved again."
    )
    assert deals.audit.writes == []
    assert str(apply(run, digest="abc").error).startswith("digest is 'abc'; write the digest of the plan that was")
    assert apply(run, digest="any").outcomes == {"updated": 1}


def test_a_plan_belongs_to_its_account(deals, plan, apply):
    """A plan for one CRM is not applied to another."""
    run = plan([row(0, 5)])
    applied = apply(run, crm_conn_id="raze_default")
    assert isinstance(applied.error, AirflowFailException)
    assert "is for the account 'close:" in str(applied.error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": [], "fields": {"a": "notes"}}, "plan is given, and so are data, fields: those belong to PlanOpp"),
        ({"id_column": "id"}, "plan is given, and so are id_column"),
        ({"on_conflict": "ignore"}, "on_conflict is 'ignore'; write one of fail, skip, overwrite."),
        ({"date_won_default": "as_of"}, "date_won_default='as_of' would add to the plan"),
        ({"ledger_conn_id": None}, "need the ledger, and ledger_conn_id is None"),
        ({"plan": "nowhere"}, "There is no plan 'nowhere' in the ledger"),
        ({"plan": None}, "data and plan are None; pass rows as data, or the id of a plan"),
    ],
)
def test_wrong_arguments_of_an_application(deals, task, arguments, message):
    """Each wrong argument is named in one sentence, and nothing is written."""
    run = task(UpdateOpportunityOperator, **{"plan": "some", **arguments})
    assert isinstance(run.error, AirflowFailException)
    assert message in str(run.error)
    assert deals.audit.calls == []


def test_the_summary_shows_the_largest_changes_first(crm_sandbox, plan):
    """At most 20 rows, by the money that they change, with amounts in major units, and the plan's digest."""
    for number in range(30):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=100_000)
    run = plan([row(number, 1000 + (-1) ** number * number * 100, "") for number in range(30)])
    summary = run.report["summary"]
    table = [line for line in summary.splitlines() if line.startswith("| oppo")]
    assert len(table) == 20
    assert table[0] == r"| oppo\_29 | deal\_value | 1,000.00 | -1,900.00 | -2,900.00 | update |"
    assert table[1].startswith(r"| oppo\_28 | deal\_value | 1,000.00 | 3,800.00 | +2,800.00")
    assert "9 smaller changes are not shown." in summary
    assert "Change of all amounts: **-1,500.00**" in summary
    assert run.report["digest"] in summary


def test_text_cannot_break_the_summary(deals, plan):
    """Pipes, line breaks and markup of a cell stay text in one cell of the table."""
    run = plan([row(0, 1, "a | b\n| c | [x](http://evil) <b> **d** `e` \\")])
    (line,) = [line for line in run.report["summary"].splitlines() if line.startswith("| oppo")]
    assert line == (
        r"| oppo\_0 | notes | n | a \| b \| c \| \[x\]\(http://evil\) \<b\> \*\*d\*\* \`e\` \\ |  | update |"
    )


def test_a_summary_names_stages_and_hides_people(deals, plan):
    """A stage is shown by its name, the value of a personal field not at all."""
    won = plan([{"id": "oppo_0", "stage": "Sales/Won"}], fields={"stage": "stage"}, as_of=dt.datetime.now(dt.UTC))
    assert "Sales/Won" in won.report["summary"]
    data = [{"id": "opp_0", "mail": "jane@example.com"}]
    run = plan(data, crm_conn_id="raze_default", fields={"mail": "email"})
    assert "jane" not in str(run.report)
    assert "| email | (empty) | (hidden) |" in run.report["summary"].replace(r"\(", "(").replace(r"\)", ")")


def test_many_records_are_read_by_pages(crm_sandbox, plan):
    """250 records of 300 are three list pages, not 250 calls; two of 300 are read one by one."""
    for number in range(300):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=100, note="n")
    assert plan([row(number, 2) for number in range(250)]).report["counts"]["update"] == 250
    assert [call.path for call in crm_sandbox.audit.calls if "opportunity" in call.path] == ["/api/v1/opportunity/"] * 3
    crm_sandbox.audit.clear()
    assert plan([row(7, 2), row(250, 2)]).report["counts"]["update"] == 2
    assert len(crm_sandbox.audit.calls) <= 4


@pytest.mark.parametrize("switches", [{}, {"raze_string_numbers": True, "raze_top_level_pagination": True}])
def test_raze_is_planned_by_pages_and_applied(crm_sandbox, plan, apply, switches):
    """The same in Raze, also as its published server answers; a record that the list lacks is asked for."""
    crm_sandbox.set(**switches)
    for number in range(120):
        crm_sandbox.raze.add_opportunity(f"opp_{number}", deal_value="1.00", status="new")
    data = [{"id": f"opp_{number}", "arr": 2 if number % 2 else 1, "stage": "new"} for number in range(120)]
    run = plan([*data, {"id": "opp_gone", "arr": 1, "stage": "new"}], **RAZE)
    assert run.report["counts"] == {
        "update": 60, "unchanged": 180, "stale": 0, "invalid": 0, "missing": 2, "conflict": 0, "skipped": 0,
    }  # fmt: skip
    assert crm_sandbox.audit.count(vendor="raze") == 3
    assert apply(run, crm_conn_id="raze_default").outcomes == {"updated": 60, "unchanged": 60, "rejected": 1}


def test_what_raze_does_not_show_is_not_compared(deals, plan, apply, stored):
    """If the server names money otherwise, `before` stays open: the row is planned, and its echo compared."""
    deals.set(raze_value_keys=True)
    run = plan([{"id": "opp_0", "arr": 5}], **{**RAZE, "fields": {"arr": "deal_value"}})
    (one,) = stored(plan_rows)
    assert (one["verdict"], one["before"]) == ("update", None)
    assert apply(run, crm_conn_id="raze_default").outcomes == {"ignored": 1}


def test_a_key_that_may_not_read_cannot_plan(deals, plan, monkeypatch):
    """The error for a Raze key that may only write says what a plan needs."""
    key = deals.raze.add_key(permissions=["opportunities:write"])
    uri = deals.connection_uris()["raze_default"].replace(deals.raze.api_key, key)
    monkeypatch.setenv("AIRFLOW_CONN_RAZE_DEFAULT", uri)
    run = plan([{"id": "opp_0", "arr": 5, "stage": "new"}], **RAZE)
    assert isinstance(run.error, AirflowFailException)
    assert "cannot be read: Raze answered 403" in str(run.error)


def test_half_a_plan_is_no_plan(deals, plan, stored, ledger_conn_id):
    """If records cannot be read, the task waits; after hours it fails as Airflow retries it. No plan is stored."""
    plan([{"id": "opp_1", "arr": 5, "stage": "new"}], **RAZE)
    deals.set(fault_rates={"http_503": 1.0}, fault_methods={"GET"})
    arguments = {**RAZE, "data": [{"id": "opp_0", "arr": 5, "stage": "new"}], "task_id": "plan", "defer_after": 0.1}
    run, waits = plan(**arguments), 0
    while run.deferred is not None and waits < 100:
        waits, kwargs, run.deferred = waits + 1, run.deferred.kwargs, None
        operator = PlanOpportunityUpdatesOperator(ledger_conn_id=ledger_conn_id, **arguments)
        run.of(lambda context, kwargs=kwargs, operator=operator: operator.resume(context, **kwargs, event=None))
    assert isinstance(run.error, AirflowException)
    assert not isinstance(run.error, AirflowFailException)
    assert len(stored(plans)) == 1
    assert waits == 13


def test_values_that_are_stored_as_hashes_cannot_be_planned(deals, plan, stored, monkeypatch):
    """A changed personal field that the ledger keeps as a hash is `invalid` in a plan, and stands nowhere in it."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "email")
    data = [{"id": "opp_0", "mail": "jane@example.com"}]
    plan(data, crm_conn_id="raze_default", fields={"mail": "email"})
    (one,) = stored(plan_rows)
    assert (one["verdict"], one["code"]) == ("invalid", "HASHED")
    assert "jane" not in str(stored(plan_rows))


def test_the_later_of_two_rows_is_planned(deals, plan, apply):
    """With `on_duplicate="last"` only the last row of a record is in the plan."""
    applied = apply(plan([row(0, 5), row(0, 6)], on_duplicate="last"))
    assert applied.outcomes == {"updated": 1, "stale": 1}
    assert value(deals, 0) == 600


def test_an_empty_plan_is_applied(deals, plan, apply):
    """No rows make a plan without rows, and nothing to write."""
    run = plan([])
    assert (run.report["rows"], sum(run.report["counts"].values())) == (0, 0)
    assert apply(run).outcomes == {}


def test_a_field_that_was_stored_as_a_hash_is_no_conflict_once_it_is_stored_in_clear(deals, plan, write, monkeypatch):
    """A value that was acknowledged as a hash is compared as one, also after `ledger_hash_fields` was changed."""
    raze = {"crm_conn_id": "raze_default", "fields": {"mail": "email"}}
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "email")
    write([{"id": "opp_0", "mail": "jane@example.com"}, {"id": "opp_1", "mail": "a@example.com"}], as_of=DAY, **raze)
    monkeypatch.delenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS")
    deals.raze.add_opportunity("opp_1", email="by@hand.example")
    later = DAY + dt.timedelta(days=1)
    run = plan([{"id": f"opp_{number}", "mail": "new@example.com"} for number in range(2)], as_of=later, **raze)
    assert (run.report["counts"]["update"], run.report["counts"]["conflict"]) == (1, 1)


def test_characters_that_the_database_does_not_store_spoil_no_plan(deals, plan, apply):
    """A record id with a NUL is one invalid row; a note with one is planned and written as it is."""
    run = plan([{"id": "a\0b", "arr": 1, "text": "n"}, row(0, 1, "a\0b")])
    assert run.error is None
    applied = apply(run)
    assert applied.outcomes == {"updated": 1, "invalid": 1}
    assert deals.close.opportunity("oppo_0")["note"] == "a\0b"


@pytest.mark.parametrize("case", [("fail", "rejected", 200), ("skip", "skipped", 200), ("overwrite", "updated", 100)])
def test_what_was_in_place_and_was_written_over_since_is_a_conflict(deals, plan, apply, write, case):
    """An older run may write between plan and application what the plan had found in place: that is not forgotten."""
    on_conflict, word, left = case
    run = plan([row(0, 1)], as_of=DAY)
    assert run.report["counts"]["unchanged"] == 2
    assert write([row(0, 2)], as_of=DAY - dt.timedelta(days=1)).outcomes == {"updated": 1}
    assert apply(run, on_conflict=on_conflict).outcomes == {word: 1}
    assert value(deals, 0) == left
    write([row(0, 1)], run_id="next", as_of=DAY + dt.timedelta(days=1))
    assert value(deals, 0) == 100


def test_what_was_in_place_is_stale_once_newer_data_was_written(deals, plan, apply, write):
    """Newer data that lands between plan and application is reported, also where nothing was to be written."""
    run = plan([row(0, 1)], as_of=DAY)
    write([row(0, 2)], as_of=DAY + dt.timedelta(days=1))
    assert apply(run).outcomes == {"stale": 1}
    assert value(deals, 0) == 200


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_another_hash_key_makes_a_plan_no_conflict(deals, task, monkeypatch):
    """Under a new key the last written value is not known: a plan shows no change in the CRM, a write confirms it."""
    raze = {"crm_conn_id": "raze_default", "id_column": "id", "fields": {"mail": "email", "arr": "deal_value"}}
    deals.raze.add_opportunity("opp_0", deal_value="1.00", status="new", email="jane@example.com")
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "email")
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_KEY", "the key of the first day")
    data = [{"id": "opp_0", "mail": "joan@example.com", "arr": 2}]
    assert task(UpdateOpportunityOperator, data=data, task_id="write", **raze).outcomes == {"updated": 1}
    again = [{**data[0], "arr": 3}]
    old = task(PlanOpportunityUpdatesOperator, data=again, task_id="plan", **raze)
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_KEY", "the key of another day")
    new = task(PlanOpportunityUpdatesOperator, data=again, task_id="other", **raze)
    assert (new.error, new.report["counts"]["conflict"], new.report["counts"]["unchanged"]) == (None, 0, 1)
    applied = task(UpdateOpportunityOperator, task_id="late", crm_conn_id="raze_default", **approval(old))
    assert "email was hashed with another key" in str(applied.error)
    assert task(UpdateOpportunityOperator, task_id="apply", crm_conn_id="raze_default", **approval(new)).error is None
    assert task(UpdateOpportunityOperator, data=again, task_id="write", run_id="b", **raze).outcomes == {"updated": 1}
    assert task(UpdateOpportunityOperator, data=again, task_id="write", run_id="c", **raze).outcomes == {"unchanged": 1}
