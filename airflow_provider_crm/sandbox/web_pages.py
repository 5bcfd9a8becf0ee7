"""Prevent web pages from driving the sandbox: a browser on this machine would send it the calls of any page."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_crm.sandbox.wire import JSON_TYPE, Response, json_response

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.wire import Request


def refused_to_pages(request: Request) -> Response | None:
    """Refuse a call that a page of another site may have caused; None for any other.

    A page whose host name was made to resolve to this machine sends that host. A page of another site sends that site
    as its origin. The control routes take JSON only, which a page may not send without a preflight request.
    """
    host = request.headers.get("host", "")
    if not _is_local(f"http://{host}"):
        return json_response(
            HTTPStatus.MISDIRECTED_REQUEST,
            {"error": f"The sandbox answers to localhost and 127.0.0.1, not to {host!r}."},
        )
    origin = request.headers.get("origin")
    if origin is not None and not _is_local(origin):
        return json_response(HTTPStatus.FORBIDDEN, {"error": f"The sandbox does not answer to pages of {origin!r}."})
    if not request.vendor and request.method in ("POST", "PUT", "PATCH") and request.content_type != JSON_TYPE:
        return json_response(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": f"Write the header Content-Type: {JSON_TYPE}."}
        )
    return None


def _is_local(address: str) -> bool:
    try:
        name = urlsplit(address).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
