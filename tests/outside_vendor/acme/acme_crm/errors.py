"""Read Acme's errors: `{"error": {"code": "invalid", "message": "...", "field": "amount"}}`."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_crm.exceptions import AuthenticationError, CrmError, RateLimitedError, TransientError
from airflow_provider_crm.vendors.answers import error_class, member, refusal_text, text_of
from airflow_provider_crm.vendors.records import Json, Record

_BY_CODE: Mapping[str, type[CrmError]] = {
    "bad_key": AuthenticationError,
    "rate_limited": RateLimitedError,
    "unavailable": TransientError,
}


def error_of(body: Json) -> Record | None:
    """Return the error in a body or in a part of it; None if there is none of Acme's form."""
    error = member(body, "error")
    return error if isinstance(error, dict) and isinstance(error.get("code"), str) else None


def refusal(status: int, error: Record) -> CrmError:
    """Return what an error of Acme means: by its code, and by its status if the code is not documented."""
    code, message, field = (text_of(error.get(name)) for name in ("code", "message", "field"))
    fields = {field: message} if field else {}
    error_type = _BY_CODE.get(code) or error_class(status)
    return error_type(
        refusal_text("Acme CRM", status, code=code, message=message, fields=fields),
        vendor="acme",
        status=status,
        code=code,
        field_errors=fields,
    )
