"""A task while it runs: lines in its log, and metrics, through a backend that records them."""

from __future__ import annotations

import re
from collections import Counter
from inspect import signature

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.sync.airflow_versions import stats


class StoredMetrics(NoStatsLogger):
    """A metrics backend in memory."""

    def __init__(self):
        self.counters, self.timings, self.gauges, self.tags = Counter(), {}, {}, []

    def incr(self, stat, count=1, rate=1, *, tags=None):
        """Count."""
        self.counters[stat] += count
        self.tags.append(tags)

    def gauge(self, stat, value, rate=1, delta=False, *, tags=None):  # noqa: FBT002 - Airflow's interface
        """Keep the last value of each group."""
        self.gauges[stat, tags["group"]] = value

    def timing(self, stat, dt, *, tags=None):
        """Add up."""
        self.timings[stat] = self.timings.get(stat, 0) + dt.total_seconds()
        self.tags.append(tags)


@pytest.fixture
def metrics():
    """Airflow's metrics go here for one test."""
    stored = StoredMetrics()
    send_metrics_to(lambda: stored)
    yield stored
    send_metrics_to(NoStatsLogger)


def send_metrics_to(factory):
    """Set Airflow's backend for metrics; Airflow 3.3 also asks whether to send each by its former name."""
    names = {"export_legacy_names": True} if "export_legacy_names" in signature(stats.initialize).parameters else {}
    stats.initialize(factory=factory, **names)


def test_rows_and_calls_are_counted(deals, update, metrics):
    """One counter for each outcome that occurred and one for the calls, tagged with Dag, task and vendor."""
    update([{"id": "oppo_0", "arr": 7}, {"id": "oppo_1", "arr": 8}, {"id": "oppo_2", "arr": "x"}])
    calls = len(deals.audit.calls)
    assert metrics.counters == {"crm.rows.updated": 2, "crm.rows.invalid": 1, "crm.calls": calls}
    assert all(tags == {"dag_id": "dag", "task_id": "task", "vendor": "close"} for tags in metrics.tags)


def test_the_use_of_the_budget_is_a_gauge_by_endpoint_group(deals, update, metrics):
    """Two writes of ten that the vendor allows are a fifth; what it allows is not known without a call."""
    deals.set(close_limit=10, close_window=3600.0)
    update([{"id": "oppo_0", "arr": 7}, {"id": "oppo_1", "arr": 8}])
    assert metrics.gauges["crm.budget.used", "opportunity_write"] == 0.2
    metrics.gauges.clear()
    update([{"id": "oppo_2", "arr": "x"}])
    assert ("crm.budget.used", "opportunity_write") not in metrics.gauges


def test_a_failed_task_is_counted_too(deals, update, metrics):
    """Metrics are sent before the task fails."""
    run = update([{"id": "oppo_gone", "arr": 7}])
    assert run.error is not None
    assert metrics.counters["crm.rows.rejected"] == 1


def test_waits_are_recorded(deals, update, metrics):
    """Seven waits between attempts, each doubled and cut by half at most, are a sum of 16 to 32 seconds."""
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_0/", faults=["http_500"] * 7)
    run = update([{"id": "oppo_0", "arr": 7}])
    assert run.outcomes == {"updated": 1}
    assert 15.8 < metrics.timings["crm.waited"] < 31.8


def test_a_task_that_never_waits_records_zero(deals, update, metrics):
    """No wait is a wait of no seconds: a dashboard sees the difference from a task that did not run."""
    update([{"id": "oppo_0", "arr": 7}], ledger_conn_id=None)
    assert metrics.timings == {"crm.waited": 0.0}


def progress(capsys):
    """The progress lines of a log."""
    return [line for line in capsys.readouterr().out.splitlines() if "rows/s" in line]


def test_the_log_says_how_far_a_list_is(deals, update, capsys):
    """Rows, rate, calls, budget, refused and time left, once the vendor has made the run wait for some seconds."""
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_0/", faults=["http_500"] * 7)
    update([{"id": f"oppo_{number}", "arr": 7} for number in range(3)], concurrency=1)
    lines = progress(capsys)
    assert len(lines) == 1
    assert re.search(
        r"\b1 of 3 rows, 0\.[01] rows/s, 9 calls \(0% of the budget\), 0 refused, about \d\d s left", lines[0]
    )


def test_a_quick_run_logs_no_progress(deals, update, capsys):
    """Three rows without a wait: only the summary at the end."""
    update([{"id": f"oppo_{number}", "arr": 7} for number in range(3)])
    assert progress(capsys) == []


def test_a_batch_has_one_line_at_most(deals, update, capsys, caplog):
    """1,000 rows in five batches, a third of them refused and some tried again: not even a line for each batch.

    Lines of every logger count, from INFO up; a row that is refused, repeated or invalid has none of its own.
    """
    for number in range(3, 700):
        deals.close.add_opportunity(f"oppo_{number}", value=100)
    deals.script(vendor="close", method="PUT", path="/api/v1/opportunity/oppo_7/", faults=["http_500"] * 3)
    rows = [{"id": f"oppo_{number}", "arr": "x" if number % 10 == 0 else 7} for number in range(1_000)]
    with caplog.at_level("INFO"):
        run = update(rows, max_rejected=400, kind=UpdateOpportunityOperator)  # in the sandbox's own time
    assert run.outcomes == {"updated": 630, "invalid": 100, "rejected": 270}
    lines = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\[(info|warning|error)", line)]
    lines = [line for line in lines if "outside of the Task Runner" not in line]
    closing = next(number for number, line in enumerate(lines) if "Verdict: " in line)
    assert closing + len(caplog.records) <= 4
    assert "Rows: 1,000 (630 updated, 100 invalid, 270 rejected)" in lines[closing + 1]
    assert len(lines) - closing == 8  # verdict, counts, two reasons with their cures, next step, page
