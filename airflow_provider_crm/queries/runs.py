"""Read the runs in the ledger, with what each of them reported."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.budget.usage import BudgetUse
from airflow_provider_crm.database.schema import plans, runs, tries
from airflow_provider_crm.queries.expressions import of_dags
from airflow_provider_crm.queries.run_counts import AlikeRuns, RunCounts, outcomes_of
from airflow_provider_crm.queries.run_filter import RunFilter
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.queries.run_uploads import RunUpload, run_uploads
from airflow_provider_crm.report.guardrail_check import GuardrailCheck
from airflow_provider_crm.report.run_progress import RunProgress
from airflow_provider_crm.report.verdict import RunFacts, RunVerdict, run_verdict
from airflow_provider_crm.values.opportunity import FAILURES

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from airflow_provider_crm.queries.syncs import Sync

_LAST_OF_AN_ACCOUNT = 20
_RUNNING = 20
ALL_RUNS = RunFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(RunCounts):
    """One run of one task on one account.

    Attributes:
        run_key: Its name in the ledger.
        key: The same name, parsed.
        account: The account whose opportunities the run wrote.
        as_of: Data time.
        started_at: Start of its first try.
        tries: Number of its tries.
        finished_at: Time at which it stored its report; None while it runs, or if it was killed or stopped before.
        rows: Rows, or None without a report.
        calls: HTTP calls, or None without a report.
        seconds: Duration of all tries, or None without a report.
        plan_id: The plan that it made, or that an undo applied.
        rejects_path: Path of its rejects file.
        budget: Its use of the vendor's rate limit, or None without a report.
        guardrails: Its limits, each beside the value that was measured before the run wrote.
        warnings: Sentences that a person should read.
        ended_early: The reason why it ended before all rows were processed, or None.
        codes: Codes of the commonest causes of rows that did not land.
        applies_plan: Whether it applies a plan, or takes one back.
        alive: Whether Airflow still runs its task; None if that was not asked.
        progress: How far it was a moment ago; None once it has ended, or before its first seconds.
        upload: The file of rows that the vendor writes for it; None without one, or if that was not asked.
    """

    run_key: str
    key: RunKey
    account: str
    as_of: dt.datetime | None
    started_at: dt.datetime
    tries: int
    finished_at: dt.datetime | None
    rows: int | None
    calls: int | None
    seconds: float | None
    plan_id: str | None
    rejects_path: str | None
    budget: BudgetUse | None = None
    guardrails: tuple[GuardrailCheck, ...] = ()
    warnings: tuple[str, ...] = ()
    ended_early: str | None = None
    codes: frozenset[str] = frozenset()
    applies_plan: bool = False
    alive: bool | None = None
    progress: RunProgress | None = None
    upload: RunUpload | None = None

    @property
    def rate(self) -> float | None:
        """Rows per second; None without rows or a duration."""
        return None if not self.rows or not self.seconds else self.rows / self.seconds

    @property
    def verdict(self) -> RunVerdict:
        """What became of the run, in words."""
        facts = RunFacts(
            outcomes=self.outcomes,
            finished=self.finished_at is not None,
            alive=self.alive,
            guardrails=tuple(str(one) for one in self.guardrails if one.broken),
            ended_early=self.ended_early,
            plans=self.plan_id is not None and not self.outcomes,
            applies_plan=self.applies_plan,
            codes=self.codes,
        )
        return run_verdict(facts)


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a run.

    Attributes:
        account: The account that it wrote to.
        number: From 1; a deferral begins none.
        started_at: Its start.
        finished_at: Its end; None while it runs or is deferred, and if it was killed.
        outcomes: Rows by outcome word, of this try alone.
        notes: The sentence about an early end, and its warnings.
    """

    account: str
    number: int
    started_at: dt.datetime
    finished_at: dt.datetime | None
    outcomes: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountRuns:
    """One account: the number of its runs, and the time of the last one."""

    name: str
    runs: int
    last_at: dt.datetime


class Runs:
    """Runs in the ledger, of some Dags only.

    Args:
        connection: To the ledger.
        dags: Ids of the Dags that the reader may read.
    """

    def __init__(self, connection: Connection, dags: Collection[str]) -> None:
        self._connection = connection
        self._dags = dags
        self._readable = self._of_dags(runs.c.run_key)

    def latest(self, *, limit: int, offset: int = 0, wanted: RunFilter = ALL_RUNS) -> list[Run]:
        """Return the runs that began last, newest first."""
        order = (runs.c.started_at.desc(), runs.c.account.desc(), runs.c.run_key.desc())
        selected = sa.select(runs.c.run_key, runs.c.account).where(*self._conditions(wanted))
        # Only the reports of this page are read: a database would else read all of them before it sorts.
        page = selected.order_by(*order).limit(limit).offset(offset).subquery()
        query = self._query().join(page, (page.c.run_key == runs.c.run_key) & (page.c.account == runs.c.account))
        return self._read(query.order_by(*order))

    def running(self, moment: dt.datetime) -> list[Run]:
        """Return the runs without a last report of those that began at a point in time or later, newest first."""
        query = self._query().where(runs.c.started_at >= moment, runs.c.finished_at.is_(None))
        return self._read(query.order_by(runs.c.started_at.desc()).limit(_RUNNING))

    def with_uploads(self, found: Sequence[Run]) -> list[Run]:
        """Return the same runs, each with the file of rows that the vendor writes for it."""
        known = run_uploads(self._connection, {(run.account, run.run_key) for run in found})
        return [replace(run, upload=known.get((run.account, run.run_key))) for run in found]

    def with_failures(self, wanted: RunFilter) -> list[tuple[str, dt.datetime, bool]]:
        """Return the keys of runs with rows that did not land, their start, and whether they have several tries."""
        failed = sa.or_(*(runs.c.outcomes.contains(f'"{word.value}"') for word in FAILURES), runs.c.outcomes.is_(None))
        moment = sa.func.min(runs.c.started_at, type_=runs.c.started_at.type)
        query = sa.select(runs.c.run_key, moment, sa.func.max(runs.c.tries))
        query = query.where(*self._conditions(wanted), failed).group_by(runs.c.run_key).order_by(moment)
        return [(key, started_at, tries > 1) for key, started_at, tries in self._connection.execute(query)]

    def last_of_accounts(self, moment: dt.datetime) -> list[Run]:
        """Return the last runs of each account that have a report, of those that began at a point in time or later."""
        newest = sa.func.row_number().over(partition_by=runs.c.account, order_by=runs.c.started_at.desc())
        selected = sa.select(runs.c.run_key, runs.c.account, newest.label("number"))
        selected = selected.where(self._readable, runs.c.started_at >= moment, runs.c.finished_at.is_not(None))
        last = selected.subquery()
        joined = (last.c.run_key == runs.c.run_key) & (last.c.account == runs.c.account)
        return self._read(self._query().join(last, joined).where(last.c.number <= _LAST_OF_AN_ACCOUNT))

    def last_of(self, known: Collection[Sync]) -> list[Run]:
        """Return the last run of each of some syncs."""
        moments = sorted({sync.last_at for sync in known})
        if not moments:
            return []
        names = {(sync.dag_id, sync.task_id, sync.account, sync.last_at) for sync in known}
        order = (runs.c.started_at.desc(), runs.c.run_key)
        found = self._read(self._query().where(runs.c.started_at.in_(moments)).order_by(*order))
        return [run for run in found if (run.key.dag_id, run.key.task, run.account, run.started_at) in names]

    def alike(self, wanted: RunFilter) -> list[AlikeRuns]:
        """Return the counts of all runs that match a filter."""
        query = sa.select(runs.c.account, runs.c.outcomes, sa.func.count().label("number"))
        query = query.where(*self._conditions(wanted)).group_by(runs.c.account, runs.c.outcomes)
        return [
            AlikeRuns(row.account, row.number, RunCounts(outcomes=outcomes_of(json.loads(row.outcomes or "{}"))))
            for row in self._connection.execute(query)
        ]

    def named(self, run_key: str) -> list[Run]:
        """Return the run of that key, once for each account that it worked on."""
        return self._read(self._query().where(runs.c.run_key == run_key).order_by(runs.c.account))

    def of_dag_run(self, dag_id: str, run_id: str) -> list[Run]:
        """Return the runs of all tasks of one Dag run, in the order in which they began."""
        of_dag = of_dags(self._connection, runs.c.run_key, {dag_id})
        ends = runs.c.run_key.endswith(f"/{run_id}", autoescape=True)
        found = self._read(self._query().where(of_dag, ends).order_by(runs.c.started_at))
        return [run for run in found if run.key.run_id == run_id]

    def accounts(self) -> list[AccountRuns]:
        """Return all accounts, the most recently written first."""
        last_at = sa.func.max(runs.c.started_at, type_=runs.c.started_at.type).label("last_at")
        query = sa.select(runs.c.account, sa.func.count().label("number"), last_at).where(self._readable)
        found = self._connection.execute(query.group_by(runs.c.account).order_by(last_at.desc()))
        return [AccountRuns(row.account, row.number, row.last_at) for row in found]

    def tries(self, run_key: str) -> list[Try]:
        """Return the tries of a run that the reader may read, in their order."""
        query = sa.select(tries).where(tries.c.run_key == run_key, self._of_dags(tries.c.run_key))
        found = self._connection.execute(query.order_by(tries.c.account, tries.c.try_number))
        return [_try(row) for row in found]

    def plan_applied_by(self, run_key: str) -> str | None:
        """Return the plan that a run applies or has applied."""
        query = sa.select(plans.c.plan_id).where(plans.c.applied_by == run_key).order_by(plans.c.created_at.desc())
        return self._connection.execute(query.limit(1)).scalar()

    def _conditions(self, wanted: RunFilter) -> list[sa.ColumnElement[bool]]:
        return wanted.conditions(self._connection, self._dags)

    def _of_dags(self, run_key: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        return of_dags(self._connection, run_key, self._dags)

    def _query(self) -> sa.Select[Any]:
        names = ("run_key", "account", "as_of", "tries", "started_at", "finished_at", "progress", "report")
        applies = sa.exists().where(plans.c.applied_by == runs.c.run_key).label("applies_plan")
        return sa.select(*(runs.c[name] for name in names), applies).where(self._readable)

    def _read(self, query: sa.Select[Any]) -> list[Run]:
        return [run for row in self._connection.execute(query) if (run := _run(row)) is not None]


def _run(row: Row[Any]) -> Run | None:
    key = RunKey.parse(row.run_key)
    if key is None:
        return None
    report = json.loads(row.report or "{}")
    return Run(
        run_key=row.run_key,
        key=key,
        account=row.account,
        as_of=row.as_of,
        tries=row.tries,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcomes=outcomes_of(report.get("outcomes", {})),
        rows=report.get("rows"),
        calls=report.get("calls"),
        seconds=report.get("seconds"),
        plan_id=report.get("plan_id"),
        rejects_path=report.get("rejects_path"),
        budget=None if (budget := report.get("budget")) is None else BudgetUse.from_dict(budget),
        guardrails=tuple(map(GuardrailCheck.from_dict, report.get("guardrails") or ())),
        warnings=tuple(report.get("warnings") or ()),
        ended_early=report.get("ended_early"),
        codes=frozenset(cause["code"] for cause in report.get("causes") or ()),
        applies_plan=bool(row.applies_plan),
        progress=None if row.progress is None else RunProgress.from_dict(json.loads(row.progress)),
    )


def _try(row: Row[Any]) -> Try:
    report = json.loads(row.report or "{}")
    ended_early = [report["ended_early"]] if report.get("ended_early") else []
    notes = (*ended_early, *report.get("warnings", ()))
    outcomes = outcomes_of(report.get("outcomes", {}))
    return Try(row.account, row.try_number, row.started_at, row.finished_at, outcomes, notes)
