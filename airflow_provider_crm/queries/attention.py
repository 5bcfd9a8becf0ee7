"""Find what needs a person: failed and overdue syncs, waiting plans, refusals that come back, drift, a day's budget."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_crm.queries.approvals import open_questions
from airflow_provider_crm.queries.budgets import of_accounts, windows
from airflow_provider_crm.queries.plans import open_plans
from airflow_provider_crm.queries.refusals import ReturningRefusal, drift, returning_invalid, returning_refusals
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.queries.schedules import DagSchedule, schedules
from airflow_provider_crm.queries.task_states import with_task_states
from airflow_provider_crm.queries.values import field_label
from airflow_provider_crm.report.cures import cure
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.queries.budgets import AccountBudget
    from airflow_provider_crm.queries.runs import Run
    from airflow_provider_crm.queries.syncs import Sync

RHYTHM = dt.timedelta(days=30)
RECENT = dt.timedelta(days=7)
_RECENT_USE = dt.timedelta(days=2)
_LATE_INTERVALS = 2
_LEAST_DELAY = dt.timedelta(hours=1)
_NEARLY_USED = 0.9
_ALMOST = 0.95
_SPANS = (("day", 24 * 60), ("hour", 60), ("minute", 1))


class AttentionKind(enum.StrEnum):
    """The kinds of things that need a person, in the order of the page."""

    PLAN = "plan waits"
    FAILED = "last run"
    OVERDUE = "overdue"
    REFUSED = "refused again"
    DRIFT = "not kept by the CRM"
    BUDGET = "budget of the day"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """One thing that needs a person.

    Attributes:
        kind: Its kind.
        subject: What it is about, in a few words: Dag and task, or the account.
        text: What is the matter, as a sentence.
        account: The account, or None where several may be meant.
        at: When it was last seen, or began.
        question: The task instance whose question waits for an answer.
        run_key: The run whose page shows it.
        search: What to look for among the rows of that run.
        dag_id: The Dag whose page in Airflow shows it.
        plan_id: The plan.
    """

    kind: AttentionKind
    subject: str
    text: str
    account: str | None = None
    at: dt.datetime | None = None
    question: RunKey | None = None
    run_key: str | None = None
    search: str = ""
    dag_id: str | None = None
    plan_id: str | None = None


def used_budgets(connection: Connection, dags: Collection[str], now: dt.datetime) -> list[AccountBudget]:
    """Return the budgets of the accounts, as the runs of a week used them."""
    latest = Runs(connection, dags).last_of_accounts(now - RECENT)
    return of_accounts(latest, windows(connection, now), now)


def attention(
    connection: Connection,
    dags: Collection[str],
    now: dt.datetime,
    *,
    known: Collection[Sync],
    used: Iterable[AccountBudget],
    asks: Collection[str] | None = None,
) -> list[AttentionItem]:
    """Return what needs a person, the most urgent kind first.

    Args:
        connection: To the ledger.
        dags: Ids of the Dags that the reader may read.
        now: The present.
        known: The syncs that ran since `RHYTHM`.
        used: The budgets of the accounts, from `used_budgets`.
        asks: Ids of the Dags whose questions the reader may see; default: all of `dags`.
    """
    latest = with_task_states(Runs(connection, dags).last_of(known))
    return [
        *_plans(connection, dags if asks is None else asks),
        *_failed(latest),
        *_overdue(known, schedules(sync.dag_id for sync in known), now),
        *_refused(connection, dags),
        *_invalid(connection, dags, latest),
        *_drift(connection, dags, now),
        *_budgets(one for one in used if one.run.started_at >= now - _RECENT_USE),
    ]


def _plans(connection: Connection, dags: Collection[str]) -> Iterable[AttentionItem]:
    found = open_plans(connection, dags)
    for plan, question in open_questions(found):
        yield AttentionItem(
            kind=AttentionKind.PLAN,
            subject=_name(question.dag_id, question.task_id),
            text=f"A plan for {_rows(plan.rows)} waits for an answer: nothing is written before it is approved.",
            account=plan.account,
            at=plan.created_at,
            question=question,
            plan_id=plan.plan_id,
        )


def _failed(latest: Iterable[Run]) -> Iterable[AttentionItem]:
    for run in latest:
        verdict = run.verdict
        if verdict.word.is_failure:
            yield AttentionItem(
                kind=AttentionKind.FAILED,
                subject=_name(run.key.dag_id, run.key.task_id),
                text=f"{verdict.label[0].upper()}{verdict.label[1:]}. {verdict.sentence}",
                account=run.account,
                at=run.started_at,
                run_key=run.run_key,
            )


def _overdue(
    known: Iterable[Sync], schedules_by_dag: Mapping[str, DagSchedule], now: dt.datetime
) -> Iterable[AttentionItem]:
    for sync in known:
        schedule = schedules_by_dag.get(sync.dag_id)
        interval = sync.interval
        if (schedule is not None and not schedule.is_regular) or interval is None:
            continue
        waited, usual = now - sync.last_at, max(interval, _LEAST_DELAY)
        due = None if schedule is None else schedule.next_at
        if waited <= _LATE_INTERVALS * usual and (due is None or now - due <= usual):
            continue
        paused = " The Dag is paused." if schedule is not None and schedule.is_paused else ""
        yield AttentionItem(
            kind=AttentionKind.OVERDUE,
            subject=_name(sync.dag_id, sync.task_id),
            text=f"The last run began {_span(waited)} ago; one comes every {_span(usual)}.{paused}",
            account=sync.account,
            at=sync.last_at,
            dag_id=sync.dag_id,
        )


def _refused(connection: Connection, dags: Collection[str]) -> Iterable[AttentionItem]:
    for one in returning_refusals(connection, dags):
        yield _returning(one, f"{_rows(one.records)} with the same values refused up to {one.attempts} times.")


def _invalid(connection: Connection, dags: Collection[str], latest: Iterable[Run]) -> Iterable[AttentionItem]:
    run_keys = [run.run_key for run in latest if run.outcomes.get(OutcomeWord.INVALID.value)]
    for one in returning_invalid(connection, dags, run_keys):
        yield _returning(one, f"{_rows(one.records)} refused before sending, by up to {one.attempts} runs.")


def _returning(one: ReturningRefusal, what: str) -> AttentionItem:
    return AttentionItem(
        kind=AttentionKind.REFUSED,
        subject=one.code,
        text=f"{what} {one.reason} {cure(one.code)}",
        account=one.account,
        at=one.last_at,
        run_key=one.run_key,
        search=one.code,
    )


def _drift(connection: Connection, dags: Collection[str], now: dt.datetime) -> Iterable[AttentionItem]:
    for one in drift(connection, dags, now - RECENT):
        yield AttentionItem(
            kind=AttentionKind.DRIFT,
            subject=field_label(one.account, one.field).name or "whole rows",
            text=f"The CRM accepted {one.values:,} values in seven days, and shows others. {cure('NOT_WRITTEN')}",
            account=one.account,
            at=one.last_at,
            run_key=one.run_key,
            search=one.field,
        )


def _budgets(used: Iterable[AccountBudget]) -> Iterable[AttentionItem]:
    for one in used:
        day = one.budget.day
        if day is None or day.has_ended or day.use.left is None:
            continue
        if day.use.left <= (1 - _NEARLY_USED) * day.use.limit:
            yield AttentionItem(
                kind=AttentionKind.BUDGET,
                subject=one.run.account,
                text=f"{day.use.left:,} of {day.use.limit:,} calls of the day were left after the last run.",
                account=one.run.account,
                at=one.run.started_at,
                run_key=one.run.run_key,
            )


def _name(dag_id: str, task_id: str) -> str:
    return f"{dag_id} / {task_id}"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _span(length: dt.timedelta) -> str:
    """Return a length of time in its largest unit."""
    minutes = length.total_seconds() / 60
    for unit, size in _SPANS:
        number = round(minutes / size)
        if minutes >= _ALMOST * size:
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"
