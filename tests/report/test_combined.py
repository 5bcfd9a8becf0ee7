"""The reports of a run's tries, combined into one."""

from __future__ import annotations

from airflow_provider_crm.report.combined import combined


def report(ended_early=None, **outcomes):
    """What a try reports."""
    return {
        "outcomes": outcomes,
        "rows": sum(outcomes.values()),
        "calls": 2,
        "seconds": 1.5,
        "budget": None,
        "ended_early": ended_early,
    }


def test_refusals_that_a_try_did_not_reach_stay():
    """A try that ended early says nothing of the rows that it did not reach."""
    total = combined([report(updated=56, rejected=5), report("broke", unchanged=10)])
    assert total["outcomes"] == {"updated": 56, "rejected": 5}
    total = combined([report(updated=56, rejected=5), report("broke", unchanged=56, updated=4)])
    assert total["outcomes"] == {"updated": 60, "rejected": 1}


def test_rows_that_landed_and_were_overtaken_are_counted_once():
    """A retry or a cleared run after newer data finds rows `stale` that an earlier try wrote."""
    total = combined([report("killed", updated=2), report(updated=3, stale=169)])
    assert (total["outcomes"], total["rows"]) == ({"updated": 5, "stale": 167}, 172)
    assert combined([report(updated=56, rejected=5), report(stale=61)])["outcomes"] == {"updated": 56, "stale": 5}
    total = combined([report("killed", updated=50), report(updated=2, unchanged=40, stale=60)])
    assert total["outcomes"] == {"updated": 52, "stale": 50}


def test_plans_do_not_add_up():
    """A run that made its plan again has the last one's report."""
    plans = [{"plan_id": "a", "rows": 3}, {"plan_id": "b", "rows": 4}]
    assert combined(plans) == plans[1]
