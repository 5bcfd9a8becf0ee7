"""The seeded month is what its description says."""

from __future__ import annotations

import datetime as dt
import json

import sqlalchemy as sa

from airflow_provider_crm.database.schema import changes, plans, rejects, runs

from .month import CLOSE, DAGS, NOW, OUTAGE_ROWS, RAZE, Month


def test_the_month_has_two_accounts_three_dags_and_thirty_days(database):
    """It is the same for one `now`, and ends then."""
    month = Month(NOW)
    month.write(database)
    with database.connect() as connection:
        found = connection.execute(sa.select(runs)).all()
        lines = connection.execute(sa.select(sa.func.count()).select_from(changes)).scalar_one()
        waiting = connection.execute(sa.select(plans.c.plan_id).where(plans.c.applied_by.is_(None))).scalars().all()
        refused = connection.execute(sa.select(rejects)).all()
    assert {row.account for row in found} == {CLOSE, RAZE}
    assert {row.run_key.split("/")[0] for row in found} == set(DAGS)
    assert min(row.started_at for row in found) == NOW.replace(hour=2, minute=0) - dt.timedelta(days=29)
    assert max(row.started_at for row in found) <= NOW
    assert waiting == [month.waiting]
    assert {row.attempts for row in refused} == {6}
    assert 3_000 < lines < 10_000
    open_runs = {row.run_key for row in found if row.report is None}
    assert open_runs == {month.running, month.deals(18)}
    (outage,) = [json.loads(row.report) for row in found if row.run_key == month.deals(9)]
    assert sum(outage["outcomes"].values()) == OUTAGE_ROWS


def test_the_pages_show_the_month_at_its_end(month_browser, month):
    """The overview counts from the month's own end, and the question about its plan is known to Airflow."""
    anna = month_browser("anna")
    assert "deal_values" in anna.text("")
    assert "Waiting for an answer" in anna.text("plan", plan_id=month.waiting)
