"""The pages as a FastAPI application, which the API server mounts; every route is for users of Airflow only."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.hooks.ledger import hashed_fields
from airflow_provider_crm.queries.database import LedgerReader
from airflow_provider_crm.queries.values import Values
from airflow_provider_crm.ui.access import NoReadableDagError
from airflow_provider_crm.ui.pages import Pages, page_of
from airflow_provider_crm.ui.rendering import STATIC, environment, static_file
from airflow_provider_crm.ui.routes import router
from airflow_provider_crm.ui.threads import PageThreads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_A_DAY = "private, max-age=86400"
_MESSAGES = {
    HTTPStatus.UNAUTHORIZED: "Log in to Airflow to see this page.",
    HTTPStatus.FORBIDDEN: "Airflow did not accept your login. Log in again.",
    HTTPStatus.NOT_FOUND: "There is nothing here, or you lack the permission to read the Dag.",
}
_NO_DAG = (
    "This page shows the rows of Dags that you may read, and you may read no Dag. Ask an administrator of this "
    "Airflow for a role that may read a Dag (under FAB: can read on DAGs, or on one Dag)."
)


def make_app(ledger: LedgerReader | None = None, *, clock: Clock | None = None) -> FastAPI:
    """Build the application.

    Args:
        ledger: Reads the ledger; default: the one in Airflow's configuration.
        clock: The time that pages count from; default: this machine's.
    """
    app = FastAPI(
        title="CRM",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(get_user)],
    )
    parts = (ledger or LedgerReader(), environment(), Values(hashed_fields()), PageThreads(), clock or Clock())
    app.state.pages = Pages(*parts)
    app.include_router(router)
    app.add_api_route("/static/{name}", _static)
    app.middleware("http")(_add_headers)
    app.exception_handler(StarletteHTTPException)(_refuse)
    app.exception_handler(RequestValidationError)(_misread)
    app.exception_handler(NoReadableDagError)(_no_dag)
    app.exception_handler(ConfigurationError)(_no_ledger)
    app.exception_handler(TransientError)(_away)
    return app


async def _static(name: str) -> Response:
    """Serve the style sheet and the script."""
    if name not in STATIC:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(static_file(name), media_type=STATIC[name], headers={"Cache-Control": _A_DAY})


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _refuse(request: Request, err: Exception) -> Response:
    status = err.status_code if isinstance(err, StarletteHTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    login = None
    if status == HTTPStatus.UNAUTHORIZED:
        login = get_auth_manager().get_url_login(next_url=str(request.url))
    text = _MESSAGES.get(HTTPStatus(status), HTTPStatus(status).phrase)
    return page_of(request).message(HTTPStatus(status).phrase, text, status=status, login=login)


async def _misread(request: Request, _: Exception) -> Response:
    text = "A parameter in the address is missing or has a wrong form. Start again from the overview."
    return page_of(request).message("Bad address", text, status=HTTPStatus.BAD_REQUEST)


async def _no_dag(request: Request, _: Exception) -> Response:
    return page_of(request).message("Forbidden", _NO_DAG, status=HTTPStatus.FORBIDDEN)


async def _no_ledger(request: Request, err: Exception) -> Response:
    return page_of(request).message("No ledger", str(err), status=HTTPStatus.NOT_FOUND)


async def _away(request: Request, err: Exception) -> Response:
    return page_of(request).message("Ledger not reachable", str(err), status=HTTPStatus.SERVICE_UNAVAILABLE)
