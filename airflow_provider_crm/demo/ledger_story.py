"""Show the ledger act by act: the deals of one day are run again, changed, overtaken, planned and reverted.

Each act is one run of an example DAG. The sandbox counts the writes that arrive, and every deal of the
day is read back afterwards. The warehouse changes between the acts, so a run starts only when the last one was seen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.demo import crm, warehouse
from airflow_provider_crm.demo.expectations import (
    TASKS,
    Expected,
    differences,
    expected,
    plan_differences,
    record_differences,
    write_differences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow_provider_crm.demo.airflow_home import DagProcess, DemoRun
    from airflow_provider_crm.demo.crm import Record
    from airflow_provider_crm.demo.warehouse import Deal
    from airflow_provider_crm.sandbox import Sandbox
    from airflow_provider_crm.sandbox.audit import Write

DAY, OLDER_DAY = "2026-03-09", "2026-03-07"
"""The day whose deals were written before the story starts, and a day for which the warehouse has older values."""

CORRECTED = {"oppo_0309_007": "10000.00"}
PLANNED = {"oppo_0309_003": "900.00", "oppo_0309_010": "-20000.00", "oppo_0309_021": "50000.00"}
"""By how much the warehouse changes deals, in major units; the smallest first, which a plan has to turn round."""

EDITED, EDITED_VALUE = "oppo_0309_021", 7_000_000
"""The deal that a colleague changes in Close before the undo, and its value in cents."""

_OLD_VALUE = "1500.00"
_DAILY = ("close_daily_sql", "deal_values")


@dataclass(frozen=True, kw_only=True)
class Act:
    """One run, and its expected result.

    Attributes:
        title: A short text for a narrow column.
        dag_id: The example DAG.
        task_id: The task of it that is looked at.
        counts: Rows by outcome; for a plan, fields by verdict.
        writes: The fields that Close receives, by record; nothing else may be written anywhere.
        rejects: Record id, outcome and code of the rows that do not land.
        diff: For a plan, the lines of its summary, in order.
        day: The day whose rows are run.
        hour: Of the logical date; runs of one day differ by it.
        until: The last task to run, or None for the whole DAG.
    """

    title: str
    dag_id: str = _DAILY[0]
    task_id: str = _DAILY[1]
    counts: Mapping[str, int]
    writes: Mapping[str, Record] = field(default_factory=dict)
    rejects: Sequence[tuple[str, str, str]] = ()
    diff: Sequence[str] = ()
    day: str = DAY
    hour: int = 0
    until: str | None = None

    def differences(self, run: DemoRun, writes: Sequence[Write]) -> list[str]:
        """Compare a run and its writes with what had to come of them.

        Returns:
            One sentence for each difference; empty if everything came as planned.
        """
        if self.diff:
            problems = plan_differences(run, self.task_id, self.counts, self.diff)
        else:
            wanted = Expected("close", Counter(self.counts), Counter(self.rejects))
            problems = differences(run, {self.task_id: wanted})
        return problems + write_differences(f"{self.dag_id} ({self.title})", writes, self.writes)


@dataclass(frozen=True, kw_only=True)
class Played:
    """An act that was played.

    Attributes:
        act: Which.
        run: The run as Airflow reports it.
        writes: The writes that the sandbox received during the run.
        problems: One sentence for each difference from what was planned.
    """

    act: Act
    run: DemoRun
    writes: Sequence[Write]
    problems: Sequence[str]

    @property
    def report(self) -> Mapping[str, Any]:
        """Return the report or plan of the act's task; empty if it made none."""
        return self.run.reports.get(self.act.task_id, {})


class LedgerStory:
    """The acts, in order; `close_daily_sql` must have run for `DAY` before.

    Args:
        process: Runs the DAGs.
        sandbox: The CRM that they write to.
        path: The warehouse.
        deals: The deals in it.
    """

    def __init__(self, process: DagProcess, sandbox: Sandbox, path: Path, deals: Sequence[Deal]) -> None:
        self._process = process
        self._sandbox = sandbox
        self._path = path
        self._deals = [deal for deal in deals if deal.day == DAY]
        self._amounts = {deal.close_id: Decimal(deal.arr or 0) for deal in self._deals}
        self._expected_records = expected(TASKS[_DAILY[0]][_DAILY[1]], self._deals).records

    def play(self) -> Iterator[Played]:
        """Play all acts; yields each as it ends."""
        rows = len(self._deals)
        yield self._run(Act(title="same data again", counts={"unchanged": rows}, hour=1))
        yield self._corrected(rows)
        yield self._overtaken(rows)
        before = dict(self._amounts)
        self._change(PLANNED)
        yield self._planned(before)
        written = self._written(rows)
        yield written
        yield self._undone(written, before)

    def _corrected(self, rows: int) -> Played:
        self._change(CORRECTED)
        counts = {"updated": len(CORRECTED), "unchanged": rows - len(CORRECTED)}
        return self._run(Act(title="one deal changed", counts=counts, writes=_values(CORRECTED, self._amounts), hour=2))

    def _overtaken(self, rows: int) -> Played:
        """Run the values that the warehouse had of the same deals some days before."""
        older = [replace(deal, day=OLDER_DAY, arr=_OLD_VALUE, won_at=None, won_on=None) for deal in self._deals]
        warehouse.add(self._path, older)
        return self._run(Act(title="older day, late", counts={"stale": rows}, day=OLDER_DAY))

    def _planned(self, before: Mapping[str, Decimal]) -> Played:
        """Run the plan of the changes alone: the next task waits for a person's answer."""
        # Of each deal the DAG plans two fields, its value and its health.
        unchanged = 2 * len(self._deals) - len(PLANNED)
        act = Act(
            title="plan 3 changes",
            dag_id="plan_approve_apply",
            task_id="plan",
            counts={"update": len(PLANNED), "unchanged": unchanged},
            diff=_diff(before, self._amounts),
            hour=3,
            until="plan",
        )
        return self._run(act)

    def _written(self, rows: int) -> Played:
        counts = {"updated": len(PLANNED), "unchanged": rows - len(PLANNED)}
        writes = _values(PLANNED, self._amounts)
        return self._run(Act(title="write the three", counts=counts, writes=writes, hour=4))

    def _undone(self, written: Played, before: Mapping[str, Decimal]) -> Played:
        """Take that run back, after a colleague has changed one of its deals."""
        crm.edit(self._sandbox, EDITED, {"value": EDITED_VALUE})
        self._expected_records[EDITED]["value"] = EDITED_VALUE
        back = [record_id for record_id in PLANNED if record_id != EDITED]
        act = Act(
            title="undo the write",
            dag_id="crm_undo",
            task_id="undo",
            counts={"updated": len(back), "rejected": 1},
            writes=_values(back, before),
            rejects=[(EDITED, "rejected", "CONFLICT")],
            hour=5,
        )
        return self._run(act, conf={"run_key": str(written.report.get("run_key"))})

    def _change(self, by: Mapping[str, str]) -> None:
        """Change deals in the warehouse."""
        for close_id, amount in by.items():
            self._amounts[close_id] += Decimal(amount)
        warehouse.change(self._path, DAY, {close_id: str(self._amounts[close_id]) for close_id in by})

    def _run(self, act: Act, *, conf: Mapping[str, str] | None = None) -> Played:
        """Run the DAG of an act, then look at what was written and at every deal of the day."""
        earlier = len(self._sandbox.audit.writes)
        date = warehouse.logical_date(act.day, act.hour)
        run = self._process.run(act.dag_id, date, conf=conf, until=act.until)
        writes = self._sandbox.audit.writes[earlier:]
        problems = act.differences(run, writes)
        reader = crm.CrmReader(self._sandbox)
        for record_id, fields in act.writes.items():
            self._expected_records[record_id] |= fields
        for record_id, wanted in self._expected_records.items():
            problems += record_differences("close", record_id, wanted, reader.read("close", record_id))
        return Played(act=act, run=run, writes=writes, problems=problems)


def _values(record_ids: Sequence[str] | Mapping[str, str], amounts: Mapping[str, Decimal]) -> dict[str, Record]:
    """Return what Close receives for deals whose value changes: cents, and no other field."""
    return {record_id: {"value": int(amounts[record_id] * 100)} for record_id in record_ids}


def _diff(before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> list[str]:
    """Return the lines of the changes in a plan's summary: the largest amounts first."""
    changes = {record_id: after[record_id] - amount for record_id, amount in before.items()}
    changed = sorted((one for one in changes if changes[one]), key=lambda one: abs(changes[one]), reverse=True)
    return [
        f"| {one} | deal_value | {before[one]:,.2f} | {after[one]:,.2f} | {changes[one]:+,.2f} | update |"
        for one in changed
    ]
