"""Which day a DAG reads by `{{ ds }}`: one that has ended when its run starts."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

ROOT = Path(__file__).parents[2]
MIDNIGHT = pendulum.datetime(2026, 11, 27, tz="America/New_York")


@pytest.fixture
def first_of_readme(tmp_path):
    """The DAG with which the README begins, read by Airflow from a file."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    (tmp_path / "dag.py").write_text(code)
    return DagBag(str(tmp_path)).dags["deal_values"]


def day_read(dag, moment):
    """`ds` of the scheduled run that is due at a moment, or at the next that the schedule has."""
    info = None
    ask = coerce_to_core_timetable(dag.timetable).next_dagrun_info
    restriction = TimeRestriction(moment.subtract(days=3), None, catchup=True)
    while info is None or info.run_after < moment:
        info = ask(last_automated_data_interval=info and info.data_interval, restriction=restriction)
    return info.logical_date.astimezone(dt.UTC).date(), info.run_after


def test_the_first_example_reads_the_day_that_has_ended(first_of_readme):
    """The run at midnight reads the day before; with `"@daily"` it would read the one that begins."""
    assert day_read(first_of_readme, MIDNIGHT) == (dt.date(2026, 11, 26), MIDNIGHT)
    daily = DAG("d", schedule="@daily", start_date=pendulum.datetime(2026, 1, 1, tz="America/New_York"))
    assert day_read(daily, MIDNIGHT) == (dt.date(2026, 11, 27), MIDNIGHT)


def test_east_of_greenwich_it_is_a_day_earlier():
    """As the manual says: midnight in Berlin is the evening before in UTC."""
    berlin = DAG("d", schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Europe/Berlin"))
    assert day_read(berlin, pendulum.datetime(2026, 11, 27, tz="Europe/Berlin"))[0] == dt.date(2026, 11, 25)


@pytest.mark.parametrize("path", sorted((ROOT / "example_dags").rglob("*.py")), ids=lambda path: path.stem)
def test_examples_read_days_that_have_ended(path):
    """In every example that reads by `ds`."""
    if not re.search(r"\bds\b", path.read_text().split('"""', 2)[2]):
        return
    for dag in DagBag(str(path)).dags.values():
        assert day_read(dag, MIDNIGHT) == (dt.date(2026, 11, 26), MIDNIGHT)
