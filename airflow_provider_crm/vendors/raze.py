"""Everything that is true only of Raze (https://developer.getraze.co).

Sources of the rules: the vendor's pages "Update Opportunity" and "Update Stage", and its pages on authentication,
errors and rate limits. A published version of its server differs from them. There the documents are followed, and the
difference does no harm: a value that an answer does not show is never reported as written.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    CrmError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.record_ids import canonical_uuid, path_segment
from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import (
    body_of,
    error_class,
    foreign_error,
    member,
    number_of,
    objects_of,
    record_error,
    refusal_text,
    text_of,
)
from airflow_provider_crm.vendors.calls import BatchRead, Call, RecordPage, WriteCall
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField
from airflow_provider_crm.vendors.limits import Limits
from airflow_provider_crm.vendors.records import Json, Record
from airflow_provider_crm.vendors.wins import WinRules

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.vendors.response import HttpResponse

_API = "/external/v1/opportunities"
_RECORD = f"{_API}/{{}}"
_PAGE_SIZE = 100

_STATUSES = ("new", "contacted", "qualified", "proposal", "negotiation", "won", "lost")
_STATUS_TYPES = {"won": "won", "lost": "lost"}

_FIELDS = (
    Field("deal_value", "deal_value", Kind.MONEY, amount_digits=0),
    Field("deal_currency", "deal_currency", Kind.CURRENCY),
    Field("stage", "status", Kind.STAGE, clearable=False),
    Field("notes", "notes"),
    Field("responsible_user_id", "responsible_user_id", Kind.USER),
    Field("name", "name", clearable=False, personal=True),
    Field("email", "email", personal=True),
    Field("phone", "phone", personal=True),
    Field("company", "company"),
    Field("position", "position"),
    Field("status", "status", Kind.STAGE, clearable=False),
)
_HINTS = {
    name: f"Raze has no writable {name!r}: its server stamps won_at when the stage becomes won; leave it out"
    for name in ("date_won", "won_at")
}
# The documented answer to the PUT leaves these out, so they can be compared only when a server shows them after all.
_NOT_ECHOED = frozenset({"phone", "position", "responsible_user_id"})

_BY_CODE: Mapping[str, type[CrmError]] = {
    "MISSING_API_KEY": AuthenticationError,
    "INVALID_API_KEY": AuthenticationError,
    "EXPIRED_API_KEY": AuthenticationError,
    "INSUFFICIENT_PERMISSIONS": AuthenticationError,
    "RATE_LIMIT_EXCEEDED": RateLimitedError,
    "INTERNAL_ERROR": TransientError,
    "AUTHENTICATION_ERROR": TransientError,
}


class Raze:
    """The Raze external API, version 1."""

    api_version = 1
    name = "raze"
    display_name = "Raze"
    origin = "https://app.getraze.com"
    documentation = "https://developer.getraze.co"
    id_key = "id"
    api_key_label = "API key"
    offset_header: str | None = None  # Raze stores instants in UTC
    documented_fields: tuple[Field, ...] = _FIELDS
    wins: WinRules | None = WinRules(
        stage_fields=("stage", "status"),
        date_field=None,  # its server stamps `won_at`
        advice="Pass date_won_default='server' to accept that; Raze takes no other date, so 'as_of' cannot help.",
        refusal=(
            "Raze stamps the moment of the call as the win, and {day} cannot be sent; "
            "pass date_won_default='server' to accept that."
        ),
    )
    extra: Mapping[str, ExtraField] = {}
    batch_read: BatchRead | None = None
    stated_limits: Mapping[str, Limits] = {}

    def authentication(self, credentials: Credentials) -> Authentication:
        """Sign by `X-API-Key`, as the vendor recommends; as a query parameter the key would end up in logs.

        The key's prefix is not checked, because the vendor's documents and server differ on it.
        """
        if not credentials.api_key:
            return Authentication(("the API key is missing: put it in the connection's password",))
        return Authentication(headers={"X-API-Key": credentials.api_key})

    def probe(self) -> Call:
        """Use the list with one record: a write-only key is refused with a code that still proves the key."""
        return Call("GET", _API, params={"page": "1", "limit": "1"})

    def check_probe(self, response: HttpResponse) -> str:
        """Accept a key without `opportunities:read`: updates need only `opportunities:write`."""
        code = text_of(member(member(body_of(response), "error"), "code"))
        if response.status_code == HTTPStatus.FORBIDDEN and code == "INSUFFICIENT_PERMISSIONS":
            return "Connected to Raze. The key may not read opportunities; updates need only opportunities:write."
        if not response.ok:
            raise self.error(response)
        if member(body_of(response), "success") is not True:
            raise record_error(self.display_name, response)
        return "Connected to Raze. The key may read opportunities."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:  # noqa: ARG002 - part of the protocol
        """Return no call: fields and stages are documented, and a write-only key may not read."""
        return ()

    def catalogue(
        self,
        answers: Sequence[Json],  # noqa: ARG002 - part of the protocol
        settings: Mapping[str, str],  # noqa: ARG002 - part of the protocol
    ) -> Catalogue:
        """Return the documented fields and stages; the currency belongs to each record."""
        stages = tuple(Stage(id=status, label=status, type=_STATUS_TYPES.get(status, "active")) for status in _STATUSES)
        return Catalogue(fields={field.name: field for field in _FIELDS}, stages=stages, hints=_HINTS, name_key="name")

    def to_vendor_values(
        self,
        field: Field,
        values: Sequence[FieldValue],
        catalogue: Catalogue,  # noqa: ARG002 - part of the protocol
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return values as they are; only a documented stage gets its documented spelling."""
        return {field.target: list(map(_status, values)) if field.kind is Kind.STAGE else values}

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Use one `PUT` with the provided fields, and for the stage its own `PATCH`, never the `PUT`."""
        write_calls = []
        if plain := tuple(key for key in keys if key != "status"):
            write_calls.append(WriteCall("PUT", _RECORD, plain))
        if "status" in keys:
            # Setting `won` again moves `won_at` to the moment of the second call.
            write_calls.append(WriteCall("PATCH", f"{_RECORD}/stage", ("status",), replayable=False))
        return tuple(write_calls)

    def canonical_id(self, record_id: str) -> str:
        """Return a UUID as PostgreSQL writes it, where the server stores it; any other id is opaque."""
        return canonical_uuid(record_id) or record_id

    def record_url(self, origin: str, organization: str, record_id: str) -> None:  # noqa: ARG002 - the protocol's
        """Return no address: Raze documents none."""
        return

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:  # noqa: ARG002 - part of the protocol
        """Use `GET /opportunities/:id`, which needs `opportunities:read`."""
        return Call("GET", _RECORD.format(path_segment(record_id)))

    def list_call(
        self,
        filters: Mapping[str, str],
        cursor: str | None,
        keys: Sequence[str],  # noqa: ARG002 - part of the protocol
    ) -> Call:
        """Use `GET /opportunities` with `page` (from 1), which is the cursor, and `limit`."""
        return Call("GET", _API, params={**filters, "page": cursor or "1", "limit": str(_PAGE_SIZE)})

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:
        """Read `data.opportunities` and `data.pagination`, or both at the top level, like the published server."""
        data = member(body, "data")
        records = data if isinstance(data, list) else member(data, "opportunities")
        pagination = member(data, "pagination") or member(body, "pagination")
        page, pages = number_of(member(pagination, "page")), number_of(member(pagination, "total_pages"))
        page_records = objects_of(records)
        more = bool(page_records) and page is not None and pages is not None and page < pages
        return RecordPage(
            page_records, str(int(cursor or "1") + 1) if more else None, None if pages is None else int(pages)
        )

    def read(self, response: HttpResponse) -> Record:
        """Read `data` of the envelope, whose `success` is checked even on 200."""
        body = body_of(response)
        if member(body, "success") is False:
            raise self.error(response)
        data = member(body, "data")
        if member(body, "success") is not True or not isinstance(data, dict):
            raise record_error(self.display_name, response)
        return data

    def shows(
        self,
        key: str,
        sent: FieldValue,
        record: Record,
        catalogue: Catalogue,  # noqa: ARG002 - part of the protocol
        *,
        echo: bool,
    ) -> bool:
        """Compare; the documented answer to the PUT leaves some keys out, a record that was read shows all of them."""
        if key not in record:
            return echo and (key in _NOT_ECHOED or same_value(sent, None))
        return same_value(sent, record[key])

    def stored_value(
        self,
        key: str,
        record: Record,
        catalogue: Catalogue,  # noqa: ARG002 - part of the protocol
    ) -> tuple[Json, ...]:
        """Return the value of the key itself; a published server leaves some keys out or renames them."""
        return (record[key],) if key in record else ()

    def error(self, response: HttpResponse) -> CrmError:
        """Read the envelope's `error` by its code, else by its status.

        Express, beneath Raze's server, answers an unknown route and a malformed body without `error`. Neither can be
        due to a row, since path and body are made here: they are errors of the network path, like a proxy's page.
        """
        body = body_of(response)
        error = member(body, "error")
        if member(body, "success") is not False or not isinstance(error, dict):
            return foreign_error(self, response)
        code, message = text_of(error.get("code")), text_of(error.get("message"))
        details = member(error.get("details"), "fields")
        fields = {name: text_of(problem) for name, problem in details.items()} if isinstance(details, dict) else {}
        failed_with_200 = response.ok
        kind = _BY_CODE.get(code) or (RejectedError if failed_with_200 else error_class(response.status_code))
        return kind(
            refusal_text(self.display_name, response.status_code, code=code, message=message, fields=fields),
            vendor=self.name,
            status=response.status_code,
            code=code or f"HTTP_{response.status_code}",
            request_id=response.headers.get("x-request-id"),
            field_errors=fields,
        )

    def budget_group(self, call: Call) -> str:  # noqa: ARG002 - part of the protocol
        """Return one group for all calls: the calls of a key share one limit."""
        return ""

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:  # noqa: ARG002 - the protocol's
        """Read `X-RateLimit-*`, whose reset is an epoch in any unit, and on a refusal `error.retry_after` first.

        The standard `RateLimit` header, which Raze does not document, may name further limits.
        """
        headers = response.headers
        epoch = headers.get("X-RateLimit-Reset")
        reset = limit_headers.seconds_left(epoch, now)
        wait = None
        if response.status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            named = limit_headers.seconds_left(member(member(body_of(response), "error"), "retry_after"), now)
            wait = limit_headers.first_known(named, limit_headers.retry_after(response, now), reset)
        limits = Limits(
            wait=wait,
            limit=limit_headers.most_calls(headers.get("X-RateLimit-Limit")),
            remaining=limit_headers.calls(headers.get("X-RateLimit-Remaining")),
            reset=reset,
            grain=limit_headers.grain(epoch),
        )
        if "RateLimit" not in headers:
            return (limits,)
        several = (replace(limits, wait=None), *limit_headers.standard_limits(headers, now))
        return several if wait is None else limit_headers.refused(several, wait)


def _status(stage: FieldValue) -> FieldValue:
    """Return the stage to write: a documented one in its documented spelling, any other as it stands.

    Raze judges stages that its documents do not list.
    """
    if not isinstance(stage, str):
        return None
    return stage.strip().lower() if stage.strip().lower() in _STATUSES else stage.strip()


VENDOR = Raze()
