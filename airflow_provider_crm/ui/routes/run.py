"""Serve the page of one run, as a page of its own and as a tab of Airflow's Dag runs and task instances."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import AfterValidator
from starlette.responses import Response

from airflow_provider_crm.queries.budgets import of_run, windows
from airflow_provider_crm.queries.causes import RowFilter, grouped, reported_causes
from airflow_provider_crm.queries.changes import Page, RunChanges, Search
from airflow_provider_crm.queries.currencies import Currencies
from airflow_provider_crm.queries.record_names import RecordNames
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.queries.runs import Run, Runs
from airflow_provider_crm.queries.task_states import with_task_states
from airflow_provider_crm.ui.access import PageReader, ReaderDep
from airflow_provider_crm.ui.change_files import written_file
from airflow_provider_crm.ui.downloads import DOWNLOAD_SECONDS, csv_response
from airflow_provider_crm.ui.pages import PageMaker
from airflow_provider_crm.ui.parameters import PageNumber, PagesDep, Text
from airflow_provider_crm.ui.refused_file import refused_file
from airflow_provider_crm.ui.threads import in_page_thread

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

router = APIRouter()

# As in other texts of a request, a NUL is left out: PostgreSQL refuses queries with one.
ReasonText = Annotated[str, Query(max_length=4_000), AfterValidator(lambda text: text.replace("\0", ""))]
Shown = Literal["", "refused", "written"]


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
    return _run_page(pages, reader, str(key), "", search=Search(), only=RowFilter())


@router.get("/run")
@in_page_thread
def run(
    pages: PagesDep,
    reader: ReaderDep,
    *,
    run_key: Text,
    show: Shown = "",
    q: Text = "",
    sort: Literal["record_id", "outcome", "code", "reason"] = "record_id",
    order: Literal["up", "down"] = "up",
    page: PageNumber = 1,
    outcome: Text = "",
    code: Text = "",
    why: ReasonText = "",
) -> HTMLResponse:
    """Show one run: its figures, why rows did not land, those rows, and the fields that it wrote."""
    search = Search(q.strip(), sort, order == "down", page)
    return _run_page(pages, reader, run_key, show, search=search, only=RowFilter(outcome, code, why))


def _run_page(
    pages: PageMaker, reader: PageReader, run_key: str, show: Shown, *, search: Search, only: RowFilter
) -> HTMLResponse:
    now = pages.pages.clock.now()
    with pages.pages.ledger.connection() as connection:
        runs = Runs(connection, reader.dags)
        found = with_task_states(runs.named(run_key))
        _exists(found)
        shown = show or ("refused" if only.is_set or _did_not_all_land(found) else "written")
        content = _rows(connection, found, shown, search, only)
        plan_id, tries = runs.plan_applied_by(run_key), runs.tries(run_key)
        known, running = windows(connection, now), _going_on(runs, found)
    return pages.page(
        "run.html",
        runs=found,
        running=running,
        titled=False,
        budgets={one.account: of_run(one.budget, known, now) for one in found},
        key=found[0].key,
        tries=tries,
        show=shown,
        search=search,
        only=only,
        plan_id=plan_id,
        **content,
    )


def _rows(connection: Connection, runs: list[Run], shown: str, search: Search, only: RowFilter) -> dict[str, Any]:
    """Read the reasons of a run's rows, and the rows to show, with the currencies of their amounts."""
    changes = _changes(connection, runs)
    has_refused = shown == "refused" or _did_not_all_land(runs)
    reported = reported_causes(connection, runs[0].run_key) if has_refused else {}
    groups = grouped(changes.reasons(), reported, capped=changes.capped) if has_refused else []
    rows: Page[Any] = changes.refused(search, only.of(groups)) if shown == "refused" else changes.written(search)
    records: dict[str, set[str]] = {one.account: set() for one in runs}
    for row in rows.rows:
        records.setdefault(row.account, set()).add(row.record_id)
    shown_with = {"currencies": Currencies(connection, records), "names": RecordNames(connection, records)}
    return {"groups": groups, "rows": rows, **shown_with}


@router.get("/run-progress")
@in_page_thread
def run_progress(pages: PagesDep, reader: ReaderDep, run_key: Text) -> HTMLResponse:
    """Show the progress of one run: a part of its page, which its script fetches again and again."""
    with pages.pages.ledger.connection() as connection:
        runs = Runs(connection, reader.dags)
        found = runs.named(run_key)
        _exists(found)
        running = _going_on(runs, with_task_states(found))
    return pages.page("running.html", running=running, titled=False)


@router.get("/run.csv")
@in_page_thread
def run_csv(
    pages: PagesDep,
    reader: ReaderDep,
    *,
    run_key: Text,
    show: Literal["refused", "written"] = "refused",
    outcome: Text = "",
    code: Text = "",
    why: ReasonText = "",
) -> StreamingResponse:
    """Serve all rows that a run refused, or all fields that it wrote, as a file."""
    with pages.pages.ledger.connection() as connection:
        found = Runs(connection, reader.dags).named(run_key)
    _exists(found)
    only = RowFilter(outcome, code, why)
    lines = _written(pages, found) if show == "written" else _refused(pages, found, only)
    return csv_response(pages, lines, show, run_key)


def _going_on(runs: Runs, found: list[Run]) -> list[Run]:
    return runs.with_uploads([run for run in found if run.alive])


def _exists(found: list[Run]) -> None:
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _did_not_all_land(runs: list[Run]) -> bool:
    return any(one.refused or one.unanswered for one in runs)


def _changes(connection: Connection, runs: list[Run]) -> RunChanges:
    return RunChanges(connection, runs[0].run_key, retried=any(one.tries > 1 for one in runs))


def _refused(pages: PageMaker, runs: list[Run], only: RowFilter) -> Iterator[str]:
    with pages.pages.ledger.connection(DOWNLOAD_SECONDS) as connection:
        rows = _changes(connection, runs).all_refused()
        yield from refused_file((row for row in rows if only.takes(row)), pages.pages.values)


def _written(pages: PageMaker, runs: list[Run]) -> Iterator[str]:
    with pages.pages.ledger.connection(DOWNLOAD_SECONDS) as connection:
        yield from written_file(_changes(connection, runs).all_written(), pages.pages.values)
