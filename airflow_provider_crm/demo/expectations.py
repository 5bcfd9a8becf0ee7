"""Compute the outcome of every run from the planted deals, and compare it with the real one.

Nothing here asks the provider for the right result: money, dates and outcomes follow from the deals alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.demo.crm import BEFORE
from airflow_provider_crm.demo.warehouse import Flaw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_crm.demo.airflow_home import DemoRun
    from airflow_provider_crm.demo.crm import Record
    from airflow_provider_crm.demo.warehouse import Deal
    from airflow_provider_crm.sandbox.audit import Write

CLOSE_WON = "stat_sales_won"
FAILURES = frozenset({"invalid", "rejected", "ignored", "failed", "unknown", "not_sent"})

_FATES: Mapping[str, Mapping[Flaw, tuple[str, str]]] = {
    "close": {
        Flaw.EMPTY: ("unchanged", ""),
        Flaw.UNKNOWN_ID: ("rejected", "NOT_FOUND"),
        Flaw.DUPLICATE: ("invalid", "DUPLICATE"),
        Flaw.CURRENCY: ("invalid", "CURRENCY"),
        Flaw.NOT_A_NUMBER: ("invalid", "NOT_A_NUMBER"),
    },
    "raze": {
        Flaw.EMPTY: ("unchanged", ""),
        Flaw.UNKNOWN_ID: ("rejected", "NOT_FOUND"),
        Flaw.DUPLICATE: ("invalid", "DUPLICATE"),
        Flaw.NOT_A_NUMBER: ("invalid", "NOT_A_NUMBER"),
        Flaw.STAGE: ("rejected", "INVALID_STATUS"),
    },
    "hubspot": {
        Flaw.EMPTY: ("unchanged", ""),
        Flaw.UNKNOWN_ID: ("rejected", "OBJECT_NOT_FOUND"),
        Flaw.DUPLICATE: ("invalid", "DUPLICATE"),
        Flaw.NOT_A_NUMBER: ("invalid", "NOT_A_NUMBER"),
    },
    "crm_salesforce": {
        Flaw.EMPTY: ("unchanged", ""),
        Flaw.UNKNOWN_ID: ("rejected", "ENTITY_IS_DELETED"),
        Flaw.DUPLICATE: ("invalid", "DUPLICATE"),
        Flaw.NOT_A_NUMBER: ("invalid", "NOT_A_NUMBER"),
    },
}
"""Outcome and code by CRM and flaw; what is not here lands. Euros are wrong only for Close, which keeps one currency;
the stage is written only to Raze."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One writing task of an example DAG.

    Attributes:
        vendor: Connection type of the CRM.
        writes: The vendor's fields that a deal sets, None where it has no value.
    """

    vendor: str
    writes: Callable[[Deal], Record]


def _close_daily(deal: Deal) -> Record:
    return {"value": _cents(deal), "date_won": deal.won_on, "custom.cf_health": deal.health}


def _close_both(deal: Deal) -> Record:
    return {"value": _cents(deal), "date_won": deal.won_on, "note": deal.note}


def _close_backfill(deal: Deal) -> Record:
    won = {"date_won": deal.won_on, "status_id": CLOSE_WON} if deal.won_on else {}
    return {"value": _cents(deal), **won}


def _raze_stages(deal: Deal) -> Record:
    stage = "won" if deal.won_on else deal.stage
    return {"deal_value": _major(deal), "deal_currency": deal.currency, "status": stage}


def _raze_both(deal: Deal) -> Record:
    return {"deal_value": _major(deal), "deal_currency": deal.currency, "notes": deal.note}


def _hubspot_scores(deal: Deal) -> Record:
    return {"amount": _major(deal), "health_score": deal.score and Decimal(deal.score)}


def _salesforce_amounts(deal: Deal) -> Record:
    return {"Amount": _major(deal), "NextStep": deal.note}


TASKS: Mapping[str, Mapping[str, Mapped]] = {
    "close_daily_sql": {"deal_values": Mapped("close", _close_daily)},
    "raze_taskflow_stages": {"stages": Mapped("raze", _raze_stages)},
    "both_crms": {"close": Mapped("close", _close_both), "raze": Mapped("raze", _raze_both)},
    "crm_backfill": {"deal_values": Mapped("close", _close_backfill)},
    "hubspot_scores": {"scores": Mapped("hubspot", _hubspot_scores)},
    "salesforce_amounts": {"amounts": Mapped("crm_salesforce", _salesforce_amounts)},
}
"""The writing tasks by DAG id."""


@dataclass(slots=True)
class Expected:
    """The expected outcome of one task.

    Attributes:
        vendor: The CRM that it writes to.
        outcomes: Rows by outcome.
        rejects: How often each (record id, outcome, code) is reported.
        records: The fields that the CRM has to show afterwards, by record id.
    """

    vendor: str
    outcomes: Counter[str] = field(default_factory=Counter)
    rejects: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Return the state of the task, which is green only if every row landed."""
        return "failed" if self.rejects else "success"


def expected(task: Mapped, deals: Iterable[Deal]) -> Expected:
    """Compute what one task has to do with the deals of its day."""
    expectation = Expected(task.vendor)
    for deal in deals:
        record_id = deal.ids[task.vendor]
        word, code = _FATES[task.vendor].get(deal.flaw, ("updated", "")) if deal.flaw else ("updated", "")
        expectation.outcomes[word] += 1
        if word in FAILURES:
            expectation.rejects[record_id, word, code] += 1
        if deal.flaw is not Flaw.UNKNOWN_ID:
            expectation.records[record_id] = {**BEFORE[task.vendor], **_landed(task, deal, word)}
    return expectation


def _landed(task: Mapped, deal: Deal, word: str) -> Record:
    """Return the fields that reach the CRM: none of a refused row, only the provided ones of the others."""
    if word == "updated":
        return {name: value for name, value in task.writes(deal).items() if value is not None}
    if task.vendor == "raze" and deal.flaw is Flaw.STAGE:
        # Raze takes values and stage in two calls: the first has landed when the second is refused; the report says so.
        return {name: value for name, value in task.writes(deal).items() if name != "status"}
    return {}


def differences(run: DemoRun, wanted: Mapping[str, Expected]) -> list[str]:
    """Compare one run with what was expected of its tasks.

    Returns:
        One sentence for each difference; empty if everything came as planned.
    """
    problems: list[str] = []
    for task_id, expectation in wanted.items():
        name = f"{run.dag_id}.{task_id} of {run.logical_date}"
        state = run.states.get(task_id, "missing")
        if state != expectation.state:
            problems.append(f"{name} is {state}, planned was {expectation.state}.")
        report = run.reports.get(task_id)
        if report is None:
            problems.append(f"{name} left no report in XCom.")
            continue
        problems += _report_differences(name, report, expectation)
    return problems


def _report_differences(name: str, report: Mapping[str, Any], expectation: Expected) -> list[str]:
    problems = []
    if report["vendor"] != expectation.vendor:
        problems.append(f"{name} wrote to {report['vendor']}, planned was {expectation.vendor}.")
    outcomes, planned = Counter(report["outcomes"]), expectation.outcomes
    problems += [
        f"{name} has {outcomes[word]} rows {word}, planned were {planned[word]}."
        for word in sorted(outcomes.keys() | planned.keys())
        if outcomes[word] != planned[word]
    ]
    rejects = Counter((reject["record_id"], reject["outcome"], reject["code"]) for reject in report["rejects"])
    surplus, lacking = rejects - expectation.rejects, expectation.rejects - rejects
    problems += [f"{name} reports {_words(reject)}, which was not planned." for reject in sorted(surplus.elements())]
    problems += [
        f"{name} does not report {_words(reject)}, which was planned." for reject in sorted(lacking.elements())
    ]
    return problems


def plan_differences(run: DemoRun, task_id: str, counts: Mapping[str, int], diff: Sequence[str]) -> list[str]:
    """Compare a run that only plans with what had to be planned.

    Args:
        run: The run.
        task_id: Its task that plans.
        counts: Fields by verdict.
        diff: The rows of the summary's table, in order, without Markdown's escapes.
    """
    name = f"{run.dag_id}.{task_id} of {run.logical_date}"
    state, plan = run.states.get(task_id, "missing"), run.reports.get(task_id)
    problems = [] if state == "success" else [f"{name} is {state}, planned was success."]
    if plan is None:
        return [*problems, f"{name} left no plan in XCom."]
    verdicts, planned = Counter(plan["counts"]), Counter(counts)
    problems += [
        f"{name} plans {verdicts[word]} fields as {word}, planned were {planned[word]}."
        for word in sorted(verdicts.keys() | planned.keys())
        if verdicts[word] != planned[word]
    ]
    table = [line for line in plan["summary"].replace("\\", "").splitlines() if line.startswith("| ")][2:]
    if table != list(diff):
        problems.append(f"{name} shows {table}, planned was {list(diff)}.")
    return problems


def write_differences(name: str, seen: Sequence[Write], planned: Mapping[str, Record]) -> list[str]:
    """Compare the writes that the sandbox saw during one run with the planned ones, each of them once.

    Args:
        name: The run, for the sentences.
        seen: The writes that reached any CRM.
        planned: The fields that Close has to receive, by record id; the others are to receive nothing.
    """
    lacking = dict(planned)
    problems = []
    for write in seen:
        if write.vendor == "close" and lacking.get(write.record_id) == write.fields:
            del lacking[write.record_id]
        else:
            problems.append(
                f"{name} wrote {write.vendor} {write.record_id} {dict(write.fields)}, which was not planned."
            )
    return problems + [f"{name} did not write close {one} {lacking[one]}, which was planned." for one in lacking]


def record_differences(vendor: str, record_id: str, wanted: Mapping[str, Any], shown: Mapping[str, Any]) -> list[str]:
    """Compare one record that was read back with what it has to hold."""
    return [
        f"{vendor} {record_id} shows {name} {_value(shown.get(name))}, planned was {_value(value)}."
        for name, value in wanted.items()
        if shown.get(name) != value
    ]


def total(expectations: Sequence[Expected]) -> dict[tuple[str, str], Record]:
    """Return what each record has to hold after all runs, by vendor and id; later runs win."""
    records: dict[tuple[str, str], Record] = {}
    for expectation in expectations:
        for record_id, wanted in expectation.records.items():
            before = BEFORE[expectation.vendor]
            changed = {name: value for name, value in wanted.items() if value != before[name]}
            key = (expectation.vendor, record_id)
            records[key] = {**records.get(key, before), **changed}
    return records


def _cents(deal: Deal) -> int | None:
    return None if deal.arr is None or deal.flaw is Flaw.NOT_A_NUMBER else int(deal.arr.replace(".", ""))


def _major(deal: Deal) -> Decimal | None:
    return None if deal.arr is None or deal.flaw is Flaw.NOT_A_NUMBER else Decimal(deal.arr)


def _words(reject: tuple[str, str, str]) -> str:
    record_id, word, code = reject
    return f"record {record_id} as {word} ({code})"


def _value(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)
