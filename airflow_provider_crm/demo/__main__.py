"""Run the example DAGs against local CRMs: `python -m airflow_provider_crm.demo`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_crm.demo import crm, warehouse
from airflow_provider_crm.demo.airflow_home import AirflowHome, AirflowHomeError
from airflow_provider_crm.demo.expectations import TASKS, differences, expected, record_differences, total
from airflow_provider_crm.demo.ledger_story import LedgerStory
from airflow_provider_crm.demo.show import CONNECT, Screen
from airflow_provider_crm.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from airflow_provider_crm.demo.airflow_home import DagProcess, DemoRun
    from airflow_provider_crm.demo.expectations import Expected
    from airflow_provider_crm.demo.ledger_story import Played
    from airflow_provider_crm.demo.warehouse import Deal

PLAN = (
    ("close_daily_sql", "2026-03-08"),
    ("close_daily_sql", "2026-03-09"),
    ("close_daily_sql", "2026-11-01"),
    ("raze_taskflow_stages", "2026-03-08"),
    ("raze_taskflow_stages", "2026-03-09"),
    ("both_crms", "2026-03-10"),
    ("crm_backfill", "2026-10-31"),
    ("crm_backfill", "2026-10-30"),
    ("crm_backfill", "2026-10-29"),
    ("crm_backfill", "2026-10-28"),
    ("hubspot_scores", "2026-03-08"),
    ("salesforce_amounts", "2026-03-08"),
)
"""DAG and day of each run; the backfill has the latest day first."""

_CRMS = "a Close, a Raze, a HubSpot and a Salesforce"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if everything came as planned."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_crm.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the throw-away Airflow home and say where it is")
    options = parser.parse_args(arguments)
    screen = Screen()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="crm-demo-"))
        if not options.keep:
            folder.rmdir()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crm-demo-")))
        try:
            return Demo(screen, folder, stack.enter_context(Sandbox())).run()
        except AirflowHomeError as err:
            screen.say_as_is(f"\nThe demo could not run: {err}")
            return 1
        finally:
            if options.keep:
                screen.say_as_is(f"Kept: {folder}")


class Demo:
    """One run of the demo.

    Args:
        screen: The terminal.
        folder: An empty folder for warehouse and Airflow home.
        sandbox: A running sandbox.
    """

    def __init__(self, screen: Screen, folder: Path, sandbox: Sandbox) -> None:
        self._screen = screen
        self._folder = folder
        self._warehouse = folder / "warehouse.db"
        self._sandbox = sandbox
        self._deals = warehouse.deals()
        self._problems: list[str] = []
        self._reports: list[tuple[str, str, Mapping[str, Any]]] = []

    def run(self) -> int:
        """Prepare, run the DAGs, compare, show; 0 if everything came as planned."""
        started = time.monotonic()
        screen = self._screen
        airflow = f"Airflow {version('apache-airflow')}"
        screen.say(f"The example DAGs in {airflow}, with {_CRMS} on this machine.\n")
        home = self._prepare()
        with ExitStack() as stack:
            with screen.timed("Airflow: a process that has read the example DAGs"):
                process = stack.enter_context(home.start())
            self._read_back(self._run_dags(process))
            acts = self._play(process)
        screen.outcomes(self._reports)
        screen.heading("Read back from the CRMs")
        screen.records(self._samples())
        screen.ledger(acts)
        screen.heading("Your own account")
        screen.say_as_is(CONNECT)
        return self._conclude(time.monotonic() - started)

    def _prepare(self) -> AirflowHome:
        dirty = sum(deal.flaw is not None for deal in self._deals)
        planted = f"{len(self._deals)} deals of {len(warehouse.DAYS)} days, {dirty} with a flaw"
        with self._screen.timed(f"warehouse: {planted}"):
            warehouse.write(self._warehouse, self._deals)
        with self._screen.timed(f"sandbox: the four CRMs at {self._sandbox.url}"):
            crm.fill(self._sandbox, self._deals)
        connections = {
            **self._sandbox.connection_uris(timezone=warehouse.TIMEZONE),
            "warehouse": json.dumps({"conn_type": "sqlite", "host": str(self._warehouse)}),
        }
        root = self._folder / "airflow"
        root.mkdir()
        home = AirflowHome(root, connections=connections)
        with self._screen.timed("Airflow: a throw-away home, airflow db migrate"):
            home.migrate()
        return home

    def _run_dags(self, process: DagProcess) -> list[Expected]:
        """Run the plan, compare each run as it ends; returns what was expected of each writing task."""
        wanted: list[Expected] = []
        for dag_id, day in PLAN:
            run = process.run(dag_id, warehouse.logical_date(day))
            deals = [deal for deal in self._deals if deal.day == day]
            tasks = {name: expected(task, deals) for name, task in TASKS[dag_id].items()}
            self._ended(f"{dag_id} of {day}", run, differences(run, tasks))
            wanted += tasks.values()
            self._reports += [(dag_id, day, report) for report in run.reports.values()]
        return wanted

    def _play(self, process: DagProcess) -> list[Played]:
        """Let the ledger show what it is for; returns the acts as they ended."""
        acts = []
        for played in LedgerStory(process, self._sandbox, self._warehouse, self._deals).play():
            self._ended(f"{played.act.dag_id}, {played.act.title}", played.run, played.problems)
            acts.append(played)
        return acts

    def _ended(self, what: str, run: DemoRun, problems: Sequence[str]) -> None:
        self._problems += problems
        self._screen.step(f"{what}: {run.state}, {'NOT as planned' if problems else 'as planned'}", run.seconds)

    def _read_back(self, wanted: list[Expected]) -> None:
        """Compare every record that the plan touches, written or not, with what it has to hold."""
        records = total(wanted)
        reader = crm.CrmReader(self._sandbox)
        with self._screen.timed(f"{len(records)} opportunities read back and compared with the plan"):
            for (vendor, record_id), fields in records.items():
                self._problems += record_differences(vendor, record_id, fields, reader.read(vendor, record_id))
        self._problems += self._created()

    def _created(self) -> list[str]:
        """Report opportunities that were created, such as from an unknown id."""
        known = [deal for deal in self._deals if deal.flaw is not warehouse.Flaw.UNKNOWN_ID]
        filled = {id_ for deal in known for id_ in deal.ids.values()}
        there = {id_ for vendor in crm.BEFORE for id_ in crm.account_of(self._sandbox, vendor).records.ids()}
        return [f"Opportunity {id_} was created, which nothing may do." for id_ in sorted(there - filled)]

    def _samples(self) -> list[tuple[str, str, Any, Any, str]]:
        """Return a few fields of a few records, before and after."""
        by_close_id = {deal.close_id: deal for deal in self._deals}
        spring, summer, autumn = (
            by_close_id[f"oppo_{warehouse.late_win(day)}"] for day in ("2026-03-08", "2026-10-31", "2026-11-01")
        )
        clean = by_close_id["oppo_0310_001"]
        scored = by_close_id["oppo_0308_001"]
        euros, empty = by_close_id["oppo_0308_currency"], by_close_id["oppo_0308_no_value"]
        fields = (
            ("close", spring, "date_won", f"{_moments(spring)}; clocks went forward"),
            ("close", autumn, "date_won", f"{_moments(autumn)}; clocks went back"),
            ("close", summer, "date_won", f"{_moments(summer)}; by the backfill"),
            ("close", clean, "value", f"{clean.arr} in the warehouse; Close counts cents"),
            ("raze", clean, "deal_value", f"{clean.arr} in the warehouse; Raze takes major units"),
            ("close", euros, "value", "refused: euros in a dollar organization"),
            ("raze", euros, "deal_currency", "the same row: in Raze each record has its own"),
            ("close", empty, "value", "no value in the warehouse: left alone, not emptied"),
            ("hubspot", scored, "health_score", "one of the rows that share a call"),
            ("crm_salesforce", scored, "Amount", f"id {scored.salesforce_id} in the warehouse"),
        )
        reader = crm.CrmReader(self._sandbox)
        samples = []
        for vendor, deal, name, remark in fields:
            record_id = deal.ids[vendor]
            after = reader.read(vendor, record_id).get(name)
            samples.append((record_id, name, crm.BEFORE[vendor][name], after, remark))
        return samples

    def _conclude(self, seconds: float) -> int:
        if self._problems:
            self._screen.say(f"{len(self._problems)} things are NOT as planned:")
            for problem in self._problems:
                self._screen.say(f"- {problem}")
            return 1
        self._screen.say("Everything came as planned. Each run that failed had to fail: rows did not land.")
        self._screen.say(f"Done in {seconds:.0f} s.")
        return 0


def _moments(deal: Deal) -> str:
    return f"won 23:30 in New York, {(deal.won_at or '')[:16].replace('T', ' ')} UTC"


if __name__ == "__main__":
    sys.exit(main())
