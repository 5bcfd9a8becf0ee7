"""Serve the pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import AfterValidator
from starlette.responses import Response

from airflow_provider_crm.plan.stored_plan import Plan, stored_plan
from airflow_provider_crm.ui.access import PageReader, ReaderDep, may_read_answers
from airflow_provider_crm.ui.chart import HEIGHT, WIDTH, bars
from airflow_provider_crm.ui.pages import PageMaker, pages_of
from airflow_provider_crm.ui.queries.approvals import answers
from airflow_provider_crm.ui.queries.budgets import of_accounts, of_run, windows
from airflow_provider_crm.ui.queries.changes import RecordChanges, RunChanges, Search
from airflow_provider_crm.ui.queries.plans import PlanRows
from airflow_provider_crm.ui.queries.run_counts import AlikeRuns
from airflow_provider_crm.ui.queries.runs import Run, Runs
from airflow_provider_crm.ui.queries.totals import Total
from airflow_provider_crm.ui.refused_file import refused_file
from airflow_provider_crm.ui.run_keys import RunKey
from airflow_provider_crm.ui.threads import in_page_thread

router = APIRouter()

PagesDep = Annotated[PageMaker, Depends(pages_of)]
PageNumber = Annotated[int, Query(ge=1, le=10_000)]
# No id and no text of a ledger contains a NUL, and PostgreSQL refuses queries that do.
Text = Annotated[str, Query(max_length=500), AfterValidator(lambda text: text.replace("\0", ""))]
_RUNS_ON_A_PAGE = 25
_BARS = 60
_DOWNLOAD_SECONDS = 300.0
_PERIODS = {"24 hours": dt.timedelta(hours=24), "7 days": dt.timedelta(days=7)}
_LONGEST_PERIOD = max(_PERIODS, key=lambda name: _PERIODS[name])


@router.get("/")
@in_page_thread
def overview(pages: PagesDep, reader: ReaderDep, *, account: Text = "", page: PageNumber = 1) -> HTMLResponse:
    """Show accounts, the sums of the last days, and the last runs."""
    now = dt.datetime.now(dt.UTC)
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


@router.get("/dag-run")
@in_page_thread
def dag_run(pages: PagesDep, reader: ReaderDep, dag_id: Text, run_id: Text) -> HTMLResponse:
    """Show what the tasks of one Dag run did; the tab of a Dag run."""
    if dag_id not in reader.dags:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    with pages.pages.ledger.connection() as connection:
        found = Runs(connection, reader.dags).of_dag_run(dag_id, run_id)
    return pages.page("dag_run.html", dag_id=dag_id, run_id=run_id, runs=found)


@router.get("/task")
@in_page_thread
def task(
    pages: PagesDep, reader: ReaderDep, *, dag_id: Text, run_id: Text, task_id: Text, map_index: Text = "-1"
) -> Response:
    """Show the run of one task instance; the tab of a task, and the target of an operator's link."""
    # Airflow does not replace the placeholder for a task that is not mapped.
    key = RunKey(dag_id, task_id, run_id, int(map_index) if map_index.isdecimal() else -1)
    if dag_id not in reader.dags:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    with pages.pages.ledger.connection() as connection:
        known = Runs(connection, reader.dags).named(str(key))
    if not known:
        return pages.page("no_run.html", key=key)
    return _run_page(pages, reader, str(key), "", Search())


@router.get("/run")
@in_page_thread
def run(
    pages: PagesDep,
    reader: ReaderDep,
    *,
    run_key: Text,
    show: Literal["", "refused", "written"] = "",
    q: Text = "",
    sort: Literal["record_id", "outcome", "code", "reason"] = "record_id",
    order: Literal["up", "down"] = "up",
    page: PageNumber = 1,
) -> HTMLResponse:
    """Show one run: its figures, the rows that it refused, the fields that it wrote."""
    return _run_page(pages, reader, run_key, show, Search(q.strip(), sort, order == "down", page))


def _run_page(
    pages: PageMaker,
    reader: PageReader,
    run_key: str,
    show: Literal["", "refused", "written"],
    search: Search,
) -> HTMLResponse:
    with pages.pages.ledger.connection() as connection:
        runs = Runs(connection, reader.dags)
        found = runs.named(run_key)
        _exists(found)
        changes = RunChanges(connection, run_key, retried=any(one.tries > 1 for one in found))
        shown = show or ("refused" if any(one.refused for one in found) else "written")
        rows = changes.refused(search) if shown == "refused" else changes.written(search)
        plan_id, tries = runs.plan_applied_by(run_key), runs.tries(run_key)
        now = dt.datetime.now(dt.UTC)
        known = windows(connection, now)
    return pages.page(
        "run.html",
        runs=found,
        budgets={one.account: of_run(one.budget, known, now) for one in found},
        key=found[0].key,
        tries=tries,
        show=shown,
        search=search,
        rows=rows,
        plan_id=plan_id,
    )


@router.get("/run.csv")
@in_page_thread
def run_csv(pages: PagesDep, reader: ReaderDep, run_key: Text) -> StreamingResponse:
    """Serve all rows that a run refused, as a file."""
    with pages.pages.ledger.connection() as connection:
        found = Runs(connection, reader.dags).named(run_key)
    _exists(found)
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in run_key)
    return StreamingResponse(
        pages.pages.threads.iterate(_file(pages, found)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="refused-{name}.csv"'},
    )


@router.get("/record")
@in_page_thread
def record(
    pages: PagesDep, reader: ReaderDep, record_id: Text, account: Text = "", page: PageNumber = 1
) -> HTMLResponse:
    """Show the history of one opportunity: which run wrote which value, and what was refused."""
    record_id, search = record_id.strip(), Search(page=page)
    with pages.pages.ledger.connection() as connection:
        changes = RecordChanges(connection, reader.dags, record_id)
        accounts = [account] if account else [one.name for one in Runs(connection, reader.dags).accounts()]
        holding = changes.accounts(accounts)
        histories = {name: (changes.states(name), changes.history(name, search)) for name in holding}
    return pages.page("record.html", record_id=record_id, histories=histories, page=page, page_size=search.size)


@router.get("/plan")
@in_page_thread
def plan(
    pages: PagesDep,
    reader: ReaderDep,
    *,
    user: GetUserDep,
    plan_id: Text,
    show: Text = "changes",
    q: Text = "",
    page: PageNumber = 1,
) -> HTMLResponse:
    """Show one plan: its changes, largest amounts first, and whether it was approved and applied."""
    search = Search(q.strip(), page=page)
    with pages.pages.ledger.connection() as connection:
        found = _readable(stored_plan(connection, plan_id), reader)
        rows = PlanRows(connection, found, pages.pages.values.hidden)
        shown, money = rows.largest(show, search), rows.money()
    made_by = RunKey.parse(found.run_key)
    asked = answers(plan_id, made_by) if made_by and may_read_answers(user, made_by.dag_id) else []
    reverts, applied_by = (key if key and reader.may_read(key) else None for key in (found.reverts, found.applied_by))
    return pages.page(
        "plan.html",
        plan=found,
        made_by=made_by,
        answers=asked,
        reverts=reverts,
        applied_by=applied_by,
        money=money,
        rows=shown,
        search=search,
        show=show,
    )


def _exists(found: list[Run]) -> None:
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _readable(found: Plan | None, reader: PageReader) -> Plan:
    if found is None or not reader.may_read(found.run_key):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found


def _file(pages: PageMaker, runs: list[Run]) -> Iterator[str]:
    with pages.pages.ledger.connection(_DOWNLOAD_SECONDS) as connection:
        changes = RunChanges(connection, runs[0].run_key, retried=any(one.tries > 1 for one in runs))
        yield from refused_file(changes.all_refused())
