"""Serve the overview."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from airflow_provider_crm.queries.budgets import of_accounts, windows
from airflow_provider_crm.queries.run_counts import AlikeRuns
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.queries.totals import Total
from airflow_provider_crm.ui.access import ReaderDep
from airflow_provider_crm.ui.chart import HEIGHT, WIDTH, bars
from airflow_provider_crm.ui.parameters import PageNumber, PagesDep, Text
from airflow_provider_crm.ui.threads import in_page_thread

router = APIRouter()

_RUNS_ON_A_PAGE = 25
_BARS = 60
_PERIODS = {"24 hours": dt.timedelta(hours=24), "7 days": dt.timedelta(days=7)}
_LONGEST_PERIOD = max(_PERIODS, key=lambda name: _PERIODS[name])


@router.get("/")
@in_page_thread
def overview(pages: PagesDep, reader: ReaderDep, *, account: Text = "", page: PageNumber = 1) -> HTMLResponse:
    """Show accounts, the sums of the last days, and the last runs."""
    now = pages.pages.clock.now()
    with pages.pages.ledger.connection() as connection:
        runs = Runs(connection, reader.dags)
        accounts = runs.accounts()
        since = {name: runs.since(now - age) for name, age in _PERIODS.items()}
        offset = (page - 1) * _RUNS_ON_A_PAGE
        latest = runs.latest(limit=_RUNS_ON_A_PAGE, offset=offset, account=account or None)
        charted = runs.latest(limit=_BARS, account=account or None)
        used = of_accounts(runs.last_of_accounts(now - _PERIODS[_LONGEST_PERIOD]), windows(connection, now), now)
    return pages.page(
        "overview.html",
        accounts=[(one, _total(since[_LONGEST_PERIOD], one.name)) for one in accounts],
        periods={name: _total(found, account) for name, found in since.items()},
        bars=bars(charted[::-1]),
        highest=max((sum(run.outcomes.values()) for run in charted), default=0),
        size=(WIDTH, HEIGHT),
        runs=latest,
        budgets=[one for one in used if not account or one.run.account == account],
        total=sum(one.runs for one in accounts if not account or one.name == account),
        page=page,
        page_size=_RUNS_ON_A_PAGE,
        account=account,
    )


def _total(runs: list[AlikeRuns], account: str) -> Total:
    """Return the sum of the counts of one account, or of all if it has no name."""
    return Total.from_runs([alike for alike in runs if account in ("", alike.account)])
