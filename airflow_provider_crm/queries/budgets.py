"""Read budgets for the pages: the use by the last runs, and by all runs in the vendor's present window."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa

from airflow_provider_crm.budget.usage import KEY_DIGITS, BudgetUse
from airflow_provider_crm.database.schema import budgets

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.budget.usage import DayUse, GroupUse
    from airflow_provider_crm.queries.runs import Run

BudgetKey: TypeAlias = tuple[str, str]
"""The first digits of a key's SHA-256, and an endpoint group."""


@dataclass(frozen=True, slots=True)
class Window:
    """The present window of a budget that runs share.

    Attributes:
        limit: Calls per window; 0 if it is not known yet.
        seconds: Length of a window, as far as known.
        used: Calls that the vendor has counted, by the latest answer; 0 if the window has ended.
        ends_at: Latest end of the window; None if it has ended, or is not known.
    """

    limit: int
    seconds: float
    used: int
    ends_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Day:
    """The limit of a day, as the last answer to a run showed it.

    Attributes:
        use: The use of it by the run.
        ends_at: When the day ends; None where the last 24 hours count.
        has_ended: Whether it has ended since: what was left then says nothing any more.
    """

    use: DayUse
    ends_at: dt.datetime | None
    has_ended: bool


@dataclass(frozen=True, slots=True)
class ShownBudget:
    """One budget as a page shows it.

    Attributes:
        use: The use of it by a run.
        limit: Calls per window, or None where no answer named it.
        seconds: Length of a window, as far as known.
        window: The present window; None where the budget is not shared through the ledger.
        day: The limit of a day; None where no answer named one.
    """

    use: GroupUse
    limit: int | None
    seconds: float | None
    window: Window | None
    day: Day | None


@dataclass(frozen=True, slots=True)
class AccountBudget:
    """A budget of one account, with the run that used it last."""

    run: Run
    budget: ShownBudget


def windows(connection: Connection, now: dt.datetime) -> dict[BudgetKey, Window]:
    """Return the present windows of all shared budgets, without their full names."""
    return {
        (digest[:KEY_DIGITS], group): _window(row, now)
        for row in connection.execute(sa.select(budgets))
        for _, digest, group in (row.name.rsplit(":", 2),)
    }


def of_run(use: BudgetUse | None, known: Mapping[BudgetKey, Window], now: dt.datetime) -> tuple[ShownBudget, ...]:
    """Return the budgets that a run used, those with most calls first."""
    if use is None:
        return ()
    groups = sorted(use.groups, key=lambda group: (-group.calls, group.group))
    return tuple(_budget(group, known.get((use.key, group.group)), 0.0, now) for group in groups)


def of_accounts(latest: Iterable[Run], known: Mapping[BudgetKey, Window], now: dt.datetime) -> list[AccountBudget]:
    """Return the budgets to show, by account and key: the shared ones, else the one with most calls.

    A run may see only a part of a window, so the longest one that any of the runs saw counts.
    """
    newest: dict[tuple[str, str], dict[str, tuple[Run, GroupUse]]] = {}
    longest: dict[BudgetKey, float] = {}
    for run in sorted(latest, key=lambda run: run.started_at):
        if run.budget is None:
            continue
        for group in run.budget.groups:
            budget_key = (run.budget.key, group.group)
            newest.setdefault((run.account, run.budget.key), {})[group.group] = (run, group)
            longest[budget_key] = max(group.window or 0.0, longest.get(budget_key, 0.0))
    result = []
    for (_, key), groups in sorted(newest.items()):
        of_key = [
            AccountBudget(run, _budget(group, known.get((key, name)), longest[key, name], now))
            for name, (run, group) in groups.items()
        ]
        of_key.sort(key=lambda one: (one.budget.window is None, -one.budget.use.calls))
        result += [one for number, one in enumerate(of_key) if number == 0 or one.budget.window is not None]
    return result


def _window(row: sa.Row[tuple[object, ...]], now: dt.datetime) -> Window:
    ends_at = row.ends_at if row.ends_at is not None else row.updated_at + dt.timedelta(seconds=row.length)
    has_ended = ends_at <= now
    return Window(
        limit=row.call_limit,
        seconds=row.length,
        used=0 if has_ended else row.used,
        ends_at=None if has_ended else row.ends_at,
    )


def _budget(group: GroupUse, window: Window | None, longest: float, now: dt.datetime) -> ShownBudget:
    seconds, day = max(group.window or 0.0, longest), None if group.day is None else _day(group.day, now)
    if window is None or not window.limit:
        return ShownBudget(group, group.limit, seconds or None, None, day)
    return ShownBudget(group, window.limit, max(window.seconds, seconds) or None, window, day)


def _day(use: DayUse, now: dt.datetime) -> Day:
    ends_at = None if use.ends_at is None else dt.datetime.fromisoformat(use.ends_at)
    return Day(use, ends_at, has_ended=ends_at is not None and ends_at <= now)
