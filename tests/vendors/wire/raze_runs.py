"""Scenarios for Raze: reads, lists, lost answers, and runs of operators."""

from __future__ import annotations

from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.sandbox.raze.switches import RAZE_SERVER_2025
from tests.vendors.wire.crm import DAY, NOW

_MIXED = (
    {"id": "opp_0", "deal_value": "10.50", "stage": "proposal"},
    {"id": "opp_1", "deal_value": 20, "notes": "größer"},
    {"id": "opp_2", "stage": "won"},
    {"id": "opp_3", "notes": None, "deal_value": 30},
    {"id": "opp_4", "deal_value": 40, "stage": "lost", "notes": "all", "deal_currency": "USD"},
    {"id": "opp_5", "deal_value": "x"},
    {"id": "opp_none", "deal_value": 50, "stage": "won"},
)


def _deals(crm, count=6, **fields):
    for number in range(count):
        crm.account.add_opportunity(f"opp_{number}", **{"deal_value": "1.00", "notes": "n", **fields})


def raze_reads_and_probe(crm):
    """One record, the connection test with each kind of key, and the bare session."""
    _deals(crm, 2)
    hook = crm.hook()
    crm.step("test_connection", hook.test_connection)
    crm.step("read", lambda: hook.get_opportunity("opp_1")["id"])
    crm.step("catalogue", lambda: len(hook.session.catalogue(("notes", "stage")).fields))
    crm.step("get_conn", lambda: hook.get_conn().get(f"{hook.base_url}/external/v1/opportunities/opp_1").status_code)
    crm.connect(password=crm.account.add_key(["opportunities:write"]), timezone="America/Sao_Paulo")
    hook = crm.hook()
    crm.step("test_connection with a key that may write only", hook.test_connection)
    crm.update(hook, {"notes": "x"})
    crm.connect(password="wrong")
    crm.step("test_connection with a wrong key", lambda: crm.hook().test_connection()[0])


def raze_list(crm):
    """Lists: filters of each type, and all pages, in the documented form and in the published server's."""
    _deals(crm, 230)

    def count(hook, **filters):
        crm.step(f"list {filters!r}", lambda: len(list(hook.list_opportunities(**filters))))

    hook = crm.hook()
    count(hook)
    count(hook, status="won", sort="-updated_at")
    count(hook, search="a b&c=d/é+%", tags=["x", "y"], open=True, least=5)
    crm.sandbox.set(**RAZE_SERVER_2025)
    count(crm.hook())


def raze_retries(crm):
    """Temporary errors: the same call again; a stage that may not be sent twice is read back first."""
    _deals(crm, 2)
    hook = crm.hook()
    faults = ("http_500", "http_429", "http_409", "html_502", "html_200", "reset_before", "reset_after", "truncated")
    for method in ("PUT", "PATCH"):
        for fault in faults:
            crm.sandbox.script(faults=[fault], method=method)
            crm.update(hook, {"notes": fault, "stage": "won"})
            crm.update(hook, {"stage": "lost"})
    crm.sandbox.script(faults=["http_503"] * 9)
    crm.update(hook, {"notes": "never", "stage": "won"})
    crm.sandbox.script(faults=["ignore"])
    crm.update(hook, {"notes": "ignored", "stage": "won"})
    crm.sandbox.script(faults=["http_401"])
    crm.update(hook, {"notes": "refused"})


def raze_rows(crm):
    """Rows of several shapes in one run, with a ledger: each field of a row is sent once, stages by a call apart."""
    _deals(crm)
    crm.rows("first", _MIXED, nulls={"notes": "clear"})
    crm.rows("again", _MIXED, nulls={"notes": "clear"}, run_id="again")
    changed = [{**row, "deal_value": 77} for row in _MIXED]
    crm.rows("one value changed", changed, run_id="changed")
    crm.rows("older data", _MIXED, run_id="older", as_of=NOW - DAY, date_won_default="server")
    crm.rows("all values", changed, run_id="all", changes_only=False)


def raze_rows_without_ledger(crm):
    """Rows of several shapes in one run, without a ledger: all are sent."""
    _deals(crm)
    for title in ("first", "again"):
        crm.rows(title, _MIXED, ledger_conn_id=None)
    crm.rows("cleared", _MIXED, ledger_conn_id=None, nulls={"deal_value": "clear", "notes": "clear"})
    crm.rows("unverified", _MIXED, ledger_conn_id=None, verify_echo=False)
    crm.rows("dry run", _MIXED, ledger_conn_id=None, dry_run=True)


def raze_late_wins(crm):
    """A won stage in data of last week: refused unless the vendor's date is accepted."""
    _deals(crm)
    won = [{"id": "opp_0", "stage": "won", "notes": "x"}, {"id": "opp_1", "stage": "lost"}]
    for default in (None, "server", "as_of"):
        for ledger in ({}, {"ledger_conn_id": None}):
            arguments = {"run_id": f"{default}", "as_of": NOW - 7 * DAY, "date_won_default": default, **ledger}
            crm.rows(f"date_won_default={default!r}, {ledger}", won, **arguments)


def raze_resumed_runs(crm):
    """A retry reads a row whose stage an earlier try may have written, and sends what is missing."""
    _deals(crm, 4)
    for ledger in ({}, {"ledger_conn_id": None}):
        name = f"with {ledger or 'a ledger'}"
        rows = [{"id": f"opp_{number}", "stage": "won", "notes": name} for number in range(4)]
        crm.sandbox.script(faults=["reset_after", None, "http_503", "http_503", "http_503"], method="PATCH")
        crm.sandbox.script(faults=["http_404"], method="GET", path="/external/v1/opportunities/opp_0")
        crm.rows(f"first try {name}", rows, **ledger)
        crm.rows(f"second try {name}", rows, try_number=2, **ledger)
        crm.rows(f"stages back {name}", [{"id": row["id"], "stage": "new"} for row in rows], run_id=name, **ledger)


def raze_outage(crm):
    """An outage: each row is tried, then the vendor is asked once, then the run ends."""
    _deals(crm, 12)
    crm.sandbox.set(fault_rates={"http_503": 1.0})
    rows = [{"id": f"opp_{number}", "notes": f"row {number}", "stage": "won"} for number in range(12)]
    crm.rows("outage", rows)


def raze_plan_and_apply(crm):
    """A plan reads record by record; applying it reads and writes each; an undo reads and writes again."""
    _deals(crm, 3)
    rows = [
        {"id": "opp_0", "deal_value": 5, "stage": "won"},
        {"id": "opp_1", "deal_value": 1, "stage": "lost"},
        {"id": "opp_2", "deal_value": 7, "stage": "new"},
        {"id": "opp_9", "deal_value": 1, "stage": "new"},
    ]
    planned = crm.rows("plan", rows, kind=PlanOpportunityUpdatesOperator, task_id="plan")
    crm.account.add_opportunity("opp_1", deal_value="42.00")
    crm.run("apply", plan=planned["plan_id"], digest=planned["digest"], task_id="apply", max_rejected=5)
    crm.run("undo", kind=RevertOpportunityUpdatesOperator, run_key="dag/apply/run", task_id="undo", max_rejected=5)


def raze_plan_by_pages(crm):
    """A plan of many records reads the pages of the list, and what they lack one by one."""
    _deals(crm, 130)
    rows = [{"id": f"opp_{number}", "deal_value": number, "phone": "1"} for number in range(120, 131)]
    crm.rows("plan", rows, kind=PlanOpportunityUpdatesOperator, task_id="plan")


def raze_capture_before(crm):
    """Each record is read before it is written for the first time, and only then."""
    _deals(crm, 2)
    for value in (5, 6):
        rows = [{"id": f"opp_{number}", "deal_value": value, "stage": "won"} for number in range(2)]
        crm.rows(f"value {value}", rows, capture_before=True, run_id=f"run {value}")
    crm.run("undo", kind=RevertOpportunityUpdatesOperator, run_key="dag/task/run 6", task_id="undo_6", max_rejected=5)
