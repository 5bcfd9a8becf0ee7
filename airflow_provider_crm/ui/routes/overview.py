"""Serve the overview: what needs a person, what happened, and all refusals of a time as a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, StreamingResponse

from airflow_provider_crm.queries.attention import RHYTHM, AttentionItem, attention, used_budgets
from airflow_provider_crm.queries.changes import RunChanges
from airflow_provider_crm.queries.run_filter import RunFilter
from airflow_provider_crm.queries.runs import Run, Runs
from airflow_provider_crm.queries.syncs import Sync, syncs
from airflow_provider_crm.queries.task_states import with_task_states
from airflow_provider_crm.queries.totals import Total
from airflow_provider_crm.ui.access import PageReader, ReaderDep, may_read_answers
from airflow_provider_crm.ui.chart import HEIGHT, WIDTH, bars
from airflow_provider_crm.ui.filters import RANGES, FilterDep, PageFilter
from airflow_provider_crm.ui.pages import PageMaker
from airflow_provider_crm.ui.parameters import PageNumber, PagesDep
from airflow_provider_crm.ui.refused_file import refused_in_runs
from airflow_provider_crm.ui.sparkline import sparkline
from airflow_provider_crm.ui.threads import in_page_thread

if TYPE_CHECKING:
    from airflow_provider_crm.queries.run_counts import AlikeRuns

router = APIRouter()

_RUNS_ON_A_PAGE = 25
_BARS = 60
_DOWNLOAD_SECONDS = 300.0
_WEEK = dt.timedelta(days=7)
_RUNNING_SINCE = dt.timedelta(days=3)


@router.get("/")
@in_page_thread
def overview(
    pages: PagesDep, reader: ReaderDep, chosen: FilterDep, *, user: GetUserDep, page: PageNumber = 1
) -> HTMLResponse:
    """Show what needs a person, what runs, the sums, trends and runs of a time, the budgets and the accounts."""
    now, offset = pages.pages.clock.now(), (page - 1) * _RUNS_ON_A_PAGE
    wanted = chosen.runs(now)
    asks = frozenset(dag_id for dag_id in reader.dags if may_read_answers(user, dag_id))
    with pages.pages.ledger.connection() as connection:
        runs = Runs(connection, reader.dags)
        accounts = runs.accounts()
        counts, of_week = runs.alike(wanted), runs.alike(RunFilter(since=now - _WEEK))
        latest = runs.latest(
            limit=max(_BARS, _RUNS_ON_A_PAGE) if page == 1 else _RUNS_ON_A_PAGE, offset=offset, wanted=wanted
        )
        used = used_budgets(connection, reader.dags, now)
        known = syncs(connection, reader.dags, now - RHYTHM)
        items = attention(connection, reader.dags, now, known=known, used=used, asks=asks)
        running = _running(runs, now)
    charted, shown = latest[:_BARS] if page == 1 else [], _by_refusals(known, wanted)
    return pages.page(
        "overview.html",
        accounts=[(one, _total(of_week, one.name)) for one in accounts],
        total=_total(counts),
        items=_of_filter(items, chosen),
        running=running,
        titled=True,
        bars=bars(charted[::-1]),
        highest=max((sum(run.outcomes.values()) for run in charted), default=0),
        size=(WIDTH, HEIGHT),
        trends=[(one, days) for one in shown if (days := sparkline(one, now.date()))],
        runs=with_task_states(latest[:_RUNS_ON_A_PAGE]),
        budgets=[one for one in used if chosen.account in ("", one.run.account)],
        page=page,
        page_size=_RUNS_ON_A_PAGE,
        chosen=chosen,
        ranges=RANGES,
        dags=sorted({one.dag_id for one in shown} | {chosen.dag} - {""}),
    )


def _total(runs: Sequence[AlikeRuns], account: str = "") -> Total:
    """Return the sum of the counts of one account, or of all if it has no name."""
    return Total.from_runs([alike for alike in runs if account in ("", alike.account)])


def _of_filter(items: Sequence[AttentionItem], chosen: PageFilter) -> list[AttentionItem]:
    """Return the items about the account that the reader chose; time and outcome do not hide what needs a person."""
    return [item for item in items if chosen.account in ("", item.account)]


def _by_refusals(known: Sequence[Sync], wanted: RunFilter) -> list[Sync]:
    """Return the syncs of the Dag and the account that the reader chose, those with most refused rows first."""
    chosen = [one for one in known if wanted.dag_id in (None, one.dag_id) and wanted.account in (None, one.account)]
    return sorted(chosen, key=lambda one: (-one.refused, -one.landed, one.dag_id, one.task_id))


def _running(runs: Runs, now: dt.datetime) -> list[Run]:
    return runs.with_uploads([run for run in with_task_states(runs.running(now - _RUNNING_SINCE)) if run.alive])


@router.get("/running")
@in_page_thread
def running_now(pages: PagesDep, reader: ReaderDep) -> HTMLResponse:
    """Show the progress of the runs that go on: a part of the overview, which its script fetches again and again."""
    with pages.pages.ledger.connection() as connection:
        found = _running(Runs(connection, reader.dags), pages.pages.clock.now())
    return pages.page("running.html", running=found, titled=True)


@router.get("/refused.csv")
@in_page_thread
def refused_csv(pages: PagesDep, reader: ReaderDep, chosen: FilterDep) -> StreamingResponse:
    """Serve all refused rows of the runs that match the filters, as a file."""
    wanted = chosen.runs(pages.pages.clock.now())
    return StreamingResponse(
        pages.pages.threads.iterate(_file(pages, reader, wanted)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="refused.csv"'},
    )


def _file(pages: PageMaker, reader: PageReader, wanted: RunFilter) -> Iterator[str]:
    with pages.pages.ledger.connection(_DOWNLOAD_SECONDS) as connection:
        found = Runs(connection, reader.dags).with_failures(wanted)
        parts = ((key, at, RunChanges(connection, key, retried=retried).all_refused()) for key, at, retried in found)
        yield from refused_in_runs(parts, pages.pages.values, outcome=wanted.outcome, account=wanted.account)
