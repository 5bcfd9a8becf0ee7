"""The tries of a run: each keeps its own report, and the run's report is what they come to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.budget.usage import BudgetUse
from airflow_provider_crm.database.schema import changes, runs, tries
from airflow_provider_crm.ledger.statements import begin_run
from airflow_provider_crm.values.opportunity import FAILURES, OutcomeWord

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy.engine import Connection

_SEEN_AGAIN = tuple(word.value for word in OutcomeWord if not word.is_failure and word is not OutcomeWord.UPDATED)
_KILLED = "This try ended without a report, as by a kill; the rows that it wrote are counted from the change log."


def begin_try(
    connection: Connection,
    run_key: str,
    account: str,
    *,
    as_of: dt.datetime | None,
    now: dt.datetime,
    resumed: bool,
) -> int:
    """Note that a try of a run begins, or goes on after a deferral; return its number, from 1.

    A try before it that left no report gets one of the rows that it wrote.
    """
    row = {"run_key": run_key, "account": account, "as_of": as_of, "tries": 1, "started_at": now}
    number: int = connection.execute(begin_run(connection.dialect.name, resumed=resumed), row).scalar_one()
    mine = (tries.c.run_key == run_key) & (tries.c.account == account)
    known = {row.number: row for row in connection.execute(sa.select(tries).where(mine))}
    for earlier in (one for one in known.values() if one.number < number and one.report is None):
        report = _from_change_log(connection, run_key, account, earlier.started_at)
        connection.execute(sa.update(tries).where(mine, tries.c.number == earlier.number).values(report=report))
    if number not in known:
        connection.execute(
            sa.insert(tries), {"run_key": run_key, "account": account, "number": number, "started_at": now}
        )
    return number


def end_try(
    connection: Connection,
    run_key: str,
    account: str,
    number: int,
    *,
    report: Mapping[str, Any],
    now: dt.datetime | None,
) -> None:
    """Store the report of a try, and what all tries of the run come to.

    Args:
        connection: In a transaction.
        run_key: The run.
        account: Its account.
        number: Of the try.
        report: What it reported.
        now: When it ended; None for a try that is only deferred.
    """
    mine = (tries.c.run_key == run_key) & (tries.c.account == account)
    stored = {"finished_at": now, "report": json.dumps(report)}
    connection.execute(sa.update(tries).where(mine, tries.c.number == number).values(stored))
    found = connection.execute(sa.select(tries.c.report).where(mine).order_by(tries.c.number)).scalars()
    reports = [json.loads(text) for text in found if text is not None]
    connection.execute(
        sa.update(runs)
        .where(runs.c.run_key == run_key, runs.c.account == account)
        .values(finished_at=now, report=json.dumps(total(reports or [report])))
    )


def total(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the tries of a run come to.

    `updated` is the sum over all tries. Everything else is what the last try found: a row that was refused and then
    landed is not refused any more, and one that an earlier try wrote is not `unchanged` as well, nor left alone, such
    as `stale` where newer data has overtaken it since. Of rows that a try ended too early to reach, refusals of the
    tries before it stay. Calls and seconds are summed.

    Args:
        reports: Of all tries, in order; of a try that made a plan, what that returned.
    """
    return reduce(_after, map(dict, reports))


def _after(before: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    if "outcomes" not in before or "outcomes" not in report:
        return report
    outcomes = _outcomes(before, report)
    budget = report.get("budget")
    return {
        **report,
        "outcomes": outcomes,
        "rows": sum(outcomes.values()),
        "calls": before.get("calls", 0) + report.get("calls", 0),
        "seconds": round(before.get("seconds", 0.0) + report.get("seconds", 0.0), 3),
        "budget": None if budget is None else BudgetUse.from_dict(budget).after(before.get("budget")).to_dict(),
    }


def _outcomes(before: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, int]:
    """Rows by outcome of all tries, in the words' order."""
    earlier, last = Counter(before["outcomes"]), Counter(report["outcomes"])
    landed = OutcomeWord.UPDATED.value
    counts = Counter(last)
    counts[landed] += earlier[landed]
    seen_again = earlier[landed]
    for word in _SEEN_AGAIN:
        counts[word] -= min(seen_again, last[word])
        seen_again -= min(seen_again, last[word])
    if report.get("ended_early"):
        unreached = max(earlier.total() - last.total(), 0)
        for word in sorted(word.value for word in FAILURES):
            kept = min(earlier[word], unreached)
            counts[word] += kept
            unreached -= kept
    return {word.value: counts[word.value] for word in OutcomeWord if counts[word.value]}


def _from_change_log(connection: Connection, run_key: str, account: str, since: dt.datetime) -> str:
    """The report of a try that left none: the records that it wrote."""
    query = sa.select(sa.func.count(changes.c.record_id.distinct())).where(
        changes.c.run_key == run_key,
        changes.c.account == account,
        changes.c.outcome == OutcomeWord.UPDATED.value,
        changes.c.at >= since,
    )
    rows = connection.execute(query).scalar_one()
    outcomes = {OutcomeWord.UPDATED.value: rows} if rows else {}
    return json.dumps({"rows": rows, "outcomes": outcomes, "warnings": [], "ended_early": _KILLED})
