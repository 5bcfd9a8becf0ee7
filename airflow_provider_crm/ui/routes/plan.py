"""Serve the page of one plan."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse

from airflow_provider_crm.plan.stored_plan import Plan, stored_plan
from airflow_provider_crm.queries.approvals import answers
from airflow_provider_crm.queries.changes import Search
from airflow_provider_crm.queries.currencies import Currencies
from airflow_provider_crm.queries.plan_fields import all_fields
from airflow_provider_crm.queries.plans import PlanRows
from airflow_provider_crm.queries.record_names import RecordNames
from airflow_provider_crm.queries.run_keys import RunKey
from airflow_provider_crm.ui.access import PageReader, ReaderDep, may_read_answers
from airflow_provider_crm.ui.change_files import plan_file
from airflow_provider_crm.ui.downloads import DOWNLOAD_SECONDS, csv_response
from airflow_provider_crm.ui.pages import PageMaker
from airflow_provider_crm.ui.parameters import PageNumber, PagesDep, Text
from airflow_provider_crm.ui.threads import in_page_thread

router = APIRouter()


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
        records = {found.account: {row.record_id for row in shown.rows}}
        currencies, names = Currencies(connection, records), RecordNames(connection, records)
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
        currencies=currencies,
        names=names,
        rows=shown,
        search=search,
        show=show,
    )


@router.get("/plan.csv")
@in_page_thread
def plan_csv(pages: PagesDep, reader: ReaderDep, plan_id: Text) -> StreamingResponse:
    """Serve all fields of a plan as a file."""
    with pages.pages.ledger.connection() as connection:
        found = _readable(stored_plan(connection, plan_id), reader)
    return csv_response(pages, _file(pages, found), "plan", plan_id)


def _file(pages: PageMaker, found: Plan) -> Iterator[str]:
    values = pages.pages.values
    with pages.pages.ledger.connection(DOWNLOAD_SECONDS) as connection:
        yield from plan_file(all_fields(connection, found.plan_id), found.account, values)


def _readable(found: Plan | None, reader: PageReader) -> Plan:
    if found is None or not reader.may_read(found.run_key):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found
