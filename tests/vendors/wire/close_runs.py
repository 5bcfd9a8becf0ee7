"""Scenarios for Close: reads, lists, time zones, lost answers, tokens, and runs of operators."""

from __future__ import annotations

import datetime as dt

from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from tests.vendors.wire.crm import DAY, NOW, RECORD

_ZONES = (
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Europe/London",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Marquesas",
)
_MIXED = (
    {"id": "oppo_0", "deal_value": "10.50", "stage": "Sales/Proposal"},
    {"id": "oppo_1", "deal_value": 20, "notes": "größer"},
    {"id": "oppo_2", "stage": "Sales/Won", "date_won": dt.date(2024, 3, 1)},
    {"id": "oppo_3", "notes": None, "deal_value": 30},
    {"id": "oppo_4", "deal_value": 40, "stage": "Sales/Lost", "notes": "all", "date_won": None},
    {"id": "oppo_5", "deal_value": "x"},
    {"id": "oppo_none", "deal_value": 50},
)


def _deals(crm, count=6, **fields):
    for number in range(count):
        crm.account.add_opportunity(f"oppo_{number}", "lead_1", **{"value": 100, "note": "n", **fields})


def close_reads_and_probe(crm):
    """One record, the connection test, the catalogue with and without custom fields, and the bare session."""
    _deals(crm, 2)
    hook = crm.hook()
    crm.step("test_connection", hook.test_connection)
    crm.step("read", lambda: hook.get_opportunity("oppo_1")["id"])
    crm.step("catalogue of own fields", lambda: len(hook.session.catalogue(("note",)).fields))
    crm.step("catalogue of custom fields", lambda: len(hook.session.catalogue(("custom.cf_tier",)).fields))
    crm.step("unknown field", lambda: hook.update_opportunity("oppo_1", {"custom.cf_none": 1}))
    crm.step("get_conn", lambda: hook.get_conn().get(f"{hook.base_url}/api/v1/me/").status_code)
    crm.connect(password="wrong")
    crm.step("test_connection with a wrong key", lambda: crm.hook().test_connection()[0])


def close_list(crm):
    """Lists: filters of each type, and all pages."""
    _deals(crm, 230)
    hook = crm.hook()

    def count(**filters):
        crm.step(f"list {filters!r}", lambda: len(list(hook.list_opportunities(**filters))))

    count()
    count(status_type="won")
    count(lead_id="lead_1", status_id__in=["stat_sales_active", "stat_sales_won"])
    count(note="a b&c=d/é+%", value__gte=5, is_open=True, nothing=None)
    count(_order_by="-date_created", _fields="id,note")


def close_time_zones(crm):
    """`x-tz-offset` is that of the zone at the moment of the call, on both sides of each change of the clocks."""
    _deals(crm, 2)
    for month in (1, 7):
        crm.sandbox.clock.set(NOW.replace(month=month))
        for zone in _ZONES:
            crm.update(crm.hook(), {"note": "x"}, timezone=zone)
    for moment in (dt.datetime(2024, 3, 10, 6, 59, tzinfo=dt.UTC), dt.datetime(2024, 11, 3, 5, 59, tzinfo=dt.UTC)):
        for minute in (0, 1):
            crm.sandbox.clock.set(moment + dt.timedelta(minutes=minute))
            crm.connect(timezone="America/New_York")
            crm.updates({"note": "x"})
    crm.connect(timezone="Asia/Tokyo")
    crm.rows("the zone of the connection", [{"id": "oppo_0", "notes": "a"}])
    crm.rows("the zone of the task", [{"id": "oppo_0", "notes": "b"}], timezone="America/Los_Angeles")


def close_oauth(crm):
    """OAuth: the token is fetched, used, refreshed when it is refused, and stored for the next session."""
    _deals(crm, 2)
    oauth = crm.account.oauth
    extra = {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "refresh_token": oauth.refresh_token}
    crm.connect(password=None, extra=extra)
    crm.updates({"note": "first"}, {"note": "again"})
    oauth.expire()
    hook = crm.hook()
    crm.update(hook, {"note": "refused"})
    crm.step("test_connection", hook.test_connection)
    crm.updates({"note": "stored"})


def close_access_token(crm):
    """A bearer token in place of an API key."""
    _deals(crm, 2)
    crm.connect(password=None, extra={"access_token": crm.account.oauth.access_token})
    crm.updates({"note": "x"})


def close_retries(crm):
    """Temporary errors: the same call again; a call that may not be repeated is read back first."""
    _deals(crm, 2, **{"custom.cf_products": ["Core"]})
    hook = crm.hook()
    crm.step("catalogue", lambda: len(hook.session.catalogue(("custom.cf_products",)).fields))
    for fault in (
        "http_500",
        "http_429",
        "http_409",
        "html_502",
        "html_200",
        "reset_before",
        "reset_after",
        "truncated",
    ):
        crm.sandbox.script(faults=[fault], method="PUT")
        crm.update(hook, {"note": fault})
    for fault in ("reset_before", "reset_after", "truncated", "http_500_after", "http_500"):
        crm.sandbox.script(faults=[fault], method="PUT")
        crm.update(hook, {"custom.cf_products.add": "Support"})
        crm.update(hook, {"custom.cf_products.remove": "Support"})
    crm.sandbox.script(faults=["http_503"] * 9)
    crm.update(hook, {"note": "never"})
    crm.sandbox.script(faults=["ignore"])
    crm.update(hook, {"note": "ignored"})
    crm.sandbox.script(faults=["http_401"])
    crm.update(hook, {"note": "refused"})


def close_rows(crm):
    """Rows of several shapes in one run, with a ledger: each field of a row is sent once."""
    _deals(crm)
    crm.rows("first", _MIXED, nulls={"notes": "clear"}, capture_before=False)
    crm.rows("again", _MIXED, nulls={"notes": "clear"}, run_id="again")
    changed = [{**row, "deal_value": 77} for row in _MIXED]
    crm.rows("one value changed", changed, run_id="changed")
    crm.rows("older data", _MIXED, run_id="older", as_of=NOW - DAY, date_won_default="server")
    crm.rows("all values", changed, run_id="all", changes_only=False)


def close_rows_without_ledger(crm):
    """Rows of several shapes in one run, without a ledger: all are sent."""
    _deals(crm)
    for title in ("first", "again"):
        crm.rows(title, _MIXED, ledger_conn_id=None)
    crm.rows("cleared", _MIXED, ledger_conn_id=None, nulls="clear")
    crm.rows("unverified", _MIXED, ledger_conn_id=None, verify_echo=False)
    crm.rows("dry run", _MIXED, ledger_conn_id=None, dry_run=True)


def close_late_wins(crm):
    """A won stage without a date, in data of last week: refused, left to the vendor, or sent with the data's date."""
    _deals(crm)
    won = [{"id": "oppo_0", "stage": "Sales/Won"}, {"id": "oppo_1", "stage": "Sales/Lost"}]
    week_ago = NOW - 7 * DAY
    for default in (None, "server", "as_of"):
        for ledger in ({}, {"ledger_conn_id": None}):
            arguments = {"run_id": f"{default}", "as_of": week_ago, "date_won_default": default, **ledger}
            crm.rows(f"date_won_default={default!r}, {ledger}", won, **arguments)


def close_resumed_runs(crm):
    """A retry reads what an earlier try may have written, if it may not be written twice."""
    _deals(crm, 3, **{"custom.cf_products": []})
    rows = [{"id": f"oppo_{number}", "custom.cf_products.add": "Core", "notes": "new"} for number in range(3)]
    for ledger in ({}, {"ledger_conn_id": None}):
        name = f"with {ledger or 'a ledger'}"
        crm.sandbox.script(faults=["reset_after", None, "http_503", "http_503", "http_503"], method="PUT")
        crm.sandbox.script(faults=["http_404"], method="GET", path="/api/v1/opportunity/oppo_0/")
        crm.rows(f"first try {name}", rows, **ledger)
        crm.rows(f"second try {name}", rows, try_number=2, **ledger)
        rows = [{**row, "custom.cf_products.add": "Support"} for row in rows]


def close_outage(crm):
    """An outage: each row is tried, then the vendor is asked once, then the run ends."""
    _deals(crm, 12)
    crm.sandbox.set(fault_rates={"http_503": 1.0})
    crm.sandbox.script(faults=[None])
    rows = [{"id": f"oppo_{number}", "notes": f"row {number}"} for number in range(12)]
    crm.rows("outage", rows)


def close_plan_and_apply(crm):
    """A plan reads record by record; applying it reads and writes each; an undo reads and writes again."""
    _deals(crm, 3)
    rows = [{"id": "oppo_0", "deal_value": 5, "notes": "n"}, {"id": "oppo_1", "deal_value": 1, "notes": "new"}]
    rows += [{"id": "oppo_9", "deal_value": 1, "notes": "x"}]
    planned = crm.rows("plan", rows, kind=PlanOpportunityUpdatesOperator, task_id="plan")
    crm.account.add_opportunity("oppo_1", value=4_200, note="n")
    crm.run("apply", plan=planned["plan_id"], digest=planned["digest"], task_id="apply", max_rejected=5)
    crm.run("undo", kind=RevertOpportunityUpdatesOperator, run_key="dag/apply/run", task_id="undo", max_rejected=5)


def close_plan_by_pages(crm):
    """A plan of many records reads the pages of the list, and what they lack one by one."""
    _deals(crm, 130)
    crm.account.add_opportunity("oppo_extra")
    rows = [{"id": f"oppo_{number}", "deal_value": number, "custom.cf_tier": "Gold"} for number in range(120, 131)]
    crm.rows("plan", rows, kind=PlanOpportunityUpdatesOperator, task_id="plan")


def close_capture_before(crm):
    """Each record is read before it is written for the first time, and only then."""
    _deals(crm, 2)
    for value in (5, 6):
        rows = [{"id": f"oppo_{number}", "deal_value": value} for number in range(2)]
        crm.rows(f"value {value}", rows, capture_before=True, run_id=f"run {value}")
    crm.run("undo", kind=RevertOpportunityUpdatesOperator, run_key="dag/task/run 5", task_id="undo", max_rejected=5)
    crm.run("undo", kind=RevertOpportunityUpdatesOperator, run_key="dag/task/run 6", task_id="undo_6")
    assert crm.account.opportunity(RECORD["close"])["value"] == 500
