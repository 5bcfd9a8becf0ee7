"""A run's use of the vendor's budget: learned from real answers, and added up over deferrals."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.budget.usage import BudgetUse, DayUse, GroupUse
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock


@pytest.fixture
def session_for(crm_sandbox):
    """Return sessions of a vendor's sandbox, each with a clock that a test moves on."""
    from airflow_provider_crm.hooks.crm import CrmHook

    made = []

    def make(vendor, *, now, share=0.5):
        account = CrmHook.for_connection(f"{vendor}_default", ledger_conn_id=None).account()
        clock = Clock(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
        session = Session(account, clock=clock, budget=Budget(share))
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


def test_no_answer_named_a_limit():
    """Calls are counted nevertheless; values that are not known are not made up."""
    use = GroupUse.over_time("x", 7, limit=0, window=0.0, seconds=9.0)
    assert (use, use.used) == (GroupUse("x", 7), None)


@pytest.mark.parametrize(
    ("seconds", "allowed", "used"), [(0.2, 40, 0.5), (1.0, 40, 0.5), (10.0, 400, 0.05), (2.51, 100, 0.2)]
)
def test_what_the_vendor_allows_in_that_time(seconds, allowed, used):
    """At least one window's calls, else as many as fit into the time."""
    use = GroupUse.over_time("x", 20, limit=40, window=1.0, seconds=seconds)
    assert (use.allowed, use.used) == (allowed, used)


def test_segments_of_one_run_add_up():
    """Calls, waits and what was allowed are sums; a group that only one segment used stays as it was."""
    first = BudgetUse("k", 0.5, 2.0, (GroupUse("w", 10, 40, 1.0, 40), GroupUse("r", 1)))
    last = BudgetUse("k", 0.5, 3.5, (GroupUse("w", 30, 40, 0.9, 80), GroupUse("n", 2, 5, 60.0, 5)))
    whole = last.after(json.loads(json.dumps(first.to_dict())))
    assert whole == BudgetUse(
        "k", 0.5, 5.5, (GroupUse("w", 40, 40, 1.0, 120), GroupUse("n", 2, 5, 60.0, 5), GroupUse("r", 1))
    )
    assert last.after(None) == last
    assert whole.used == 0.4


def written(group):
    """Return the use of one group as a report has it in XCom."""
    return json.loads(json.dumps(BudgetUse("k", 0.5, 0.0, (group,)).to_dict()))


def test_kind_and_day_survive_xcom():
    """A report that was read back says the same of the kind of limit and of the day."""
    group = GroupUse("w", 3, 10, 1.0, 10, kind="sliding", day=DayUse(5000, 3, 4210, "2026-11-30T05:00:00Z", 0.5))
    assert BudgetUse.from_dict(written(group)).groups == (group,)


def test_reports_of_an_earlier_version_name_neither():
    """A report without the two keys is read as one of which nothing is known."""
    values = written(GroupUse("w", 3, 10, 1.0, 10))
    for key in ("kind", "day"):
        del values["groups"][0][key]
    assert BudgetUse.from_dict(values).groups == (GroupUse("w", 3, 10, 1.0, 10),)


@pytest.mark.parametrize(
    ("earlier_end", "later_end", "end", "used"),
    [
        ("2026-11-30T05:00:02+00:00", "2026-11-30T05:00:00Z", "2026-11-30T05:00:00Z", 42),
        ("2026-11-30T05:00:00Z", "2026-11-30T05:00:02Z", "2026-11-30T05:00:00Z", 42),
        ("2026-11-29T05:00:00Z", "2026-11-30T05:00:00Z", "2026-11-30T05:00:00Z", 2),
        ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", "2026-11-02T05:00:00Z", 2),
        (None, None, None, 42),
    ],
    ids=[
        "one day, its end computed twice",
        "the other way round",
        "the next day",
        "the day that clocks are set back",
        "the last 24 hours",
    ],
)
def test_days_of_two_segments(earlier_end, later_end, end, used):
    """Calls of one day are summed; those of a day that has ended are left out. The earlier end is nearer."""
    earlier = GroupUse("w", 40, kind="aligned", day=DayUse(5000, 40, 100, earlier_end, 0.5))
    later = GroupUse("w", 2, day=DayUse(6000, 2, 98, later_end, 0.4))
    whole = later.after(earlier)
    assert (whole.kind, whole.day) == ("aligned", DayUse(6000, used, 98, end, 0.4))


def test_a_segment_that_met_no_daily_limit_keeps_the_earlier_day():
    """A segment that ends before its first answer takes nothing away."""
    day = DayUse(5000, 40, None, None, 0.5)
    assert GroupUse("w", 0).after(GroupUse("w", 40, day=day)).day == day
    assert DayUse(5000, 1, None, None, 0.5).after(DayUse(5000, 1, 70, None, 0.5)).left == 70


def test_a_session_reports_the_limits_that_close_names(crm_sandbox, session_for):
    """Limit, window and calls by endpoint group, as the answers have them; a digest of the key, and never the key."""
    crm_sandbox.close.add_opportunity("oppo_1")
    crm_sandbox.clock.set(dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC))
    crm_sandbox.set(close_limit=8, close_window=60.0)
    now = [100.0]
    session = session_for("close", now=now)
    for _ in range(3):
        session.read("oppo_1")
    session.clock.sleep(1.5)
    use = session.used()
    (group,) = use.groups
    assert (group.group, group.calls, group.limit, group.allowed) == ("opportunity read", 3, 8, 8)
    assert 50 < group.window <= 60
    assert (use.share, use.waited) == (0.5, 1.5)
    assert session.account.budget_name("opportunity read").split(":")[-2].startswith(use.key)
    assert crm_sandbox.close.api_key not in json.dumps(use.to_dict())


def test_raze_has_one_limit_for_everything(crm_sandbox, session_for):
    """Of a key with one limit the group has no name."""
    crm_sandbox.raze.add_opportunity("opp_1")
    crm_sandbox.set(raze_limit=1000)
    session = session_for("raze", now=[0.0])
    session.read("opp_1")
    (group,) = session.used().groups
    assert (group.group, group.calls, group.limit) == ("", 1, 1000)
    assert 0 < group.window <= 3600
