"""A threshold that warns: some rows may fail without the task, and from another number on the run says so."""

from __future__ import annotations

import pytest

from airflow_provider_crm.demo.crm import edit
from airflow_provider_crm.operators.plan import RevertOpportunityUpdatesOperator

from .test_assets import events
from .test_assets import run as run_with_outlet
from .test_metrics import metrics

__all__ = ["metrics"]

WARNING = "2 of 4 rows did not land: more than warn_rejected=1, within max_rejected=3."


def rows(*values):
    """One row per value, of opportunities that exist from the first three on."""
    return [{"id": f"oppo_{number}", "arr": value} for number, value in enumerate(values)]


FOUR = rows(1, 2, "x", 4)
"""One value that is no number, and one record that does not exist."""


def test_the_task_is_green_and_warns_in_report_and_log(deals, update, capsys):
    """Two rows of four fail: fewer than may, more than should. The sentence is in XCom, and in the log as a warning."""
    run = update(FOUR, max_rejected=3, warn_rejected=1)
    assert run.error is None
    assert run.outcomes == {"updated": 2, "invalid": 1, "rejected": 1}
    assert run.report["warnings"] == [WARNING]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "warn_rejected" in line]
    assert "warning" in line
    assert WARNING in line


@pytest.mark.parametrize(
    ("allowed", "warns"), [(0, True), (1, True), (2, False), (0.0, True), (0.49, True), (0.5, False), (None, False)]
)
def test_it_is_a_count_or_a_fraction(deals, update, allowed, warns):
    """The threshold is the number that is still fine, as that of `max_rejected` is; None warns of nothing."""
    run = update(FOUR, max_rejected=3, warn_rejected=allowed)
    assert run.error is None
    assert bool(run.report["warnings"]) is warns


def test_a_task_that_fails_does_not_warn(deals, update):
    """More rows fail than may: the failure says so, and the threshold below it has nothing to add."""
    run = update(FOUR, max_rejected=0.3, warn_rejected=1)
    assert run.error is not None
    assert run.report["warnings"] == []


def test_metric_and_asset_event_show_it(deals, metrics):
    """Dashboards count warnings, and what waits for the asset can read them in its event."""
    run = run_with_outlet(FOUR, max_rejected=3, warn_rejected=1)
    assert metrics.counters["crm.warnings"] == 1
    ((_, extra),) = events(run)
    assert extra["warnings"] == [WARNING]


def test_a_run_without_warnings_counts_none(deals, metrics):
    """A run as it should be has no such metric."""
    run = run_with_outlet(rows(1, 2, 3), max_rejected=3, warn_rejected=1)
    assert "crm.warnings" not in metrics.counters
    ((_, extra),) = events(run)
    assert extra["warnings"] == []


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_an_undo_warns_too(deals, task):
    """A record that changed since is left alone and counts: within what may fail, beyond what is fine."""
    from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

    data = {"data": rows(5, 6, 7), "id_column": "id", "fields": {"arr": "deal_value"}, "capture_before": True}
    written = task(UpdateOpportunityOperator, **data)
    edit(deals, "oppo_1", {"value": 7_700})
    run = task(
        RevertOpportunityUpdatesOperator,
        task_id="undo",
        run_key=written.report["run_key"],
        max_rejected=2,
        warn_rejected=0,
    )
    assert run.outcomes == {"updated": 2, "rejected": 1}
    assert run.report["warnings"] == ["1 of 3 rows did not land: more than warn_rejected=0, within max_rejected=2."]


GRAMMAR = "write a count such as 10 (a whole number: 1 is one row), or a fraction below 1 such as 0.01."
TOO_HIGH = "so the task fails before it can warn; write a warn_rejected below max_rejected."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_rejected": 5, "warn_rejected": 1.0}, f"warn_rejected is 1.0; {GRAMMAR}"),
        (
            {"max_rejected": -1, "warn_rejected": True},
            f"max_rejected is -1; {GRAMMAR} warn_rejected is True; {GRAMMAR}",
        ),
        ({"warn_rejected": 0}, f"warn_rejected is 0 and max_rejected 0, {TOO_HIGH}"),
        ({"max_rejected": 0.1, "warn_rejected": 0.1}, f"warn_rejected is 0.1 and max_rejected 0.1, {TOO_HIGH}"),
    ],
)
def test_a_wrong_threshold_is_refused(deals, update, arguments, message):
    """A number that is neither count nor fraction, or a threshold that could never warn, stops the task at once."""
    run = update(FOUR, **arguments)
    assert str(run.error) == message
    assert deals.audit.calls == []
