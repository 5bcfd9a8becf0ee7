"""Serve the page of one run, as a page of its own and as a tab of Airflow's Dag runs and task instances."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.responses import Response

from airflow_provider_crm.queries.budgets import of_run, windows
from airflow_provider_crm.queries.changes import RunChanges, Search
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.queries.runs import Run, Runs
from airflow_provider_crm.ui.access import PageReader, ReaderDep
from airflow_provider_crm.ui.pages import PageMaker
from airflow_provider_crm.ui.parameters import PageNumber, PagesDep, Text
from airflow_provider_crm.ui.refused_file import refused_file
from airflow_provider_crm.ui.threads import in_page_thread

router = APIRouter()

_DOWNLOAD_SECONDS = 300.0


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
        shown = show or ("refused" if any(one.refused or one.unanswered for one in found) else "written")
        rows = changes.refused(search) if shown == "refused" else changes.written(search)
        plan_id, tries = runs.plan_applied_by(run_key), runs.tries(run_key)
        now = pages.pages.clock.now()
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


def _exists(found: list[Run]) -> None:
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _file(pages: PageMaker, runs: list[Run]) -> Iterator[str]:
    with pages.pages.ledger.connection(_DOWNLOAD_SECONDS) as connection:
        changes = RunChanges(connection, runs[0].run_key, retried=any(one.tries > 1 for one in runs))
        yield from refused_file(changes.all_refused())
