"""Read a call's method and body as Close does."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from airflow_provider_crm.sandbox.wire import JSON_TYPE, RefusalError, Request


def json_object(request: Request) -> dict[str, Any]:
    """Read the body of a write, which must be a JSON object sent as JSON; a missing body counts as an empty one.

    Raises:
        RefusalError: 400 or 415.
    """
    if request.raw and request.content_type != JSON_TYPE:
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": HTTPStatus.UNSUPPORTED_MEDIA_TYPE.phrase})
    if request.malformed is not None:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, {"error": f"The request body is not valid JSON: {request.malformed}"}
        )
    body = {} if not request.raw else request.body
    if not isinstance(body, dict):
        raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "The request body must be a JSON object."})
    return body


def overridden(request: Request) -> Request:
    """Read a POST with `x-http-method-override: GET` as a GET with the parameters in the body's `_params`.

    Raises:
        RefusalError: 400 or 415.
    """
    if request.method != "POST" or request.headers.get("x-http-method-override", "").upper() != "GET":
        return request
    parameters = json_object(request).get("_params", {})
    if not isinstance(parameters, dict):
        raise RefusalError(HTTPStatus.BAD_REQUEST, {"error": "_params must be a JSON object."})
    return replace(request, method="GET", query=parameters)


def allow(request: Request, *methods: str) -> None:
    """Refuse any other method.

    Raises:
        RefusalError: 405.
    """
    if request.method not in methods:
        raise RefusalError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            {"error": HTTPStatus.METHOD_NOT_ALLOWED.phrase},
            {"allow": ", ".join(methods)},
        )
