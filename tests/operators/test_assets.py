"""Which tasks announce to Airflow that opportunities were written, and with which extra."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset

from airflow_provider_crm.assets import OPPORTUNITIES, create_asset
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

from .conftest import Run


def run(data, **arguments):
    """A task of three deals in Close."""
    operator = UpdateOpportunityOperator(
        task_id="task", crm_conn_id="close_default", id_column="id", fields={"arr": "deal_value"}, data=data,
        ledger_conn_id=None, **{"outlets": [OPPORTUNITIES], **arguments},
    )  # fmt: skip
    return Run().of(operator.execute)


def events(run):
    """URI and extra of what came through the alias."""
    accessor = run.context["outlet_events"][OPPORTUNITIES]
    return [(event.dest_asset_key.uri, event.extra) for event in accessor.asset_alias_events]


def rows(*values):
    """One row per value."""
    return [{"id": f"oppo_{number}", "arr": value} for number, value in enumerate(values)]


def test_a_green_task_emits_an_event_with_its_counts(deals):
    """One event of the account's asset with run key, rows and outcomes."""
    done = run(rows(1, 2, "x"), max_rejected=1)
    uri = f"crm://{done.report['account']}/opportunity"
    outcomes = {"updated": 2, "invalid": 1}
    extra = {"run_key": "dag/task/run", "rows": 3, "outcomes": outcomes, "warnings": []}
    assert events(done) == [(uri, extra)]


@pytest.mark.parametrize("arguments", [{"dry_run": True}, {"data": "x"}], ids=["dry run", "failed"])
def test_a_task_that_wrote_nothing_or_failed_emits_no_event(deals, arguments):
    """Neither a rehearsal nor a red task sets off what waits for the asset."""
    done = run(rows(arguments.pop("data", 1)), **arguments)
    assert events(done) == []


def test_an_outlet_that_names_the_asset_gets_the_counts(deals):
    """A task with the asset in its `outlets` has one event, not two."""
    asset = create_asset(account=f"close:{deals.url.removeprefix('http://')}:orga_sandbox")
    named = Asset(uri=asset.uri, name="our deals")
    done = run(rows(1), outlets=[named, OPPORTUNITIES])
    assert events(done) == []
    assert done.context["outlet_events"][named].extra["outcomes"] == {"updated": 1}


def test_without_an_outlet_there_is_no_event(deals):
    """A task that names neither the asset nor the alias leaves Airflow's assets alone."""
    done = run(rows(1), outlets=[])
    assert done.error is None
    assert events(done) == []
