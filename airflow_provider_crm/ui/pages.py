"""Make pages from the ledger, the templates, and the addresses of one request."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from airflow_provider_crm.ui.addresses import Addresses, crm_record_url, vendor_name

if TYPE_CHECKING:
    from jinja2 import Environment

    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.queries.database import LedgerReader
    from airflow_provider_crm.queries.values import Values
    from airflow_provider_crm.ui.threads import PageThreads


@dataclass(frozen=True, slots=True)
class Pages:
    """The parts that all requests share.

    Attributes:
        ledger: Opens connections.
        templates: The templates of the pages.
        values: Shows stored values.
        threads: The threads in which pages are made.
        clock: The time that a page counts from.
    """

    ledger: LedgerReader
    templates: Environment
    values: Values
    threads: PageThreads
    clock: Clock


@dataclass(frozen=True, slots=True)
class PageMaker:
    """A maker of the pages of one request.

    Attributes:
        pages: The parts that all requests share.
        addresses: Under the prefix of this request.
    """

    pages: Pages
    addresses: Addresses

    def page(self, template: str, *, status: int = HTTPStatus.OK, **content: Any) -> HTMLResponse:
        """Fill in a template."""
        made = self.pages.templates.get_template(template).render(
            at=self.addresses,
            values=self.pages.values,
            crm_record_url=crm_record_url,
            vendor_name=vendor_name,
            **content,
        )
        return HTMLResponse(made, status_code=status)

    def message(self, title: str, text: str, *, status: int, login: str | None = None) -> HTMLResponse:
        """Make a page with one message.

        Args:
            title: In a few words.
            text: As a sentence.
            status: HTTP status.
            login: Address of the login page, if logging in helps.
        """
        return self.page("message.html", status=status, title=title, text=text, login=login)


def page_of(request: Request) -> PageMaker:
    """Return the maker of this request's pages.

    Starlette has both prefixes: of this mounted application, and of the one that it is mounted in.
    """
    addresses = Addresses(request.scope.get("root_path", ""), request.scope.get("app_root_path", ""))
    return PageMaker(request.app.state.pages, addresses)


async def pages_of(request: Request) -> PageMaker:
    """Return the maker of this request's pages, for FastAPI.

    FastAPI would run a plain function in the threads that it shares with Airflow's API.
    """
    return page_of(request)
