"""Serve the page of one opportunity."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from airflow_provider_crm.queries.changes import RecordChanges, Search
from airflow_provider_crm.queries.currencies import Currencies
from airflow_provider_crm.queries.record_names import RecordNames
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.ui.access import ReaderDep
from airflow_provider_crm.ui.parameters import PageNumber, PagesDep, Text
from airflow_provider_crm.ui.threads import in_page_thread

router = APIRouter()


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
        records = {name: [changes.id_in(name)] for name in histories}
        currencies, names = Currencies(connection, records), RecordNames(connection, records)
    return pages.page(
        "record.html",
        record_id=record_id,
        histories=histories,
        currencies=currencies,
        names={account: names.of(account, *ids) for account, ids in records.items()},
        page=page,
        page_size=search.size,
    )
