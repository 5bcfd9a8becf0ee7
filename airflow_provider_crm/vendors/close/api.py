"""The API of Close as an object.

Sources of the rules: the vendor's page "Update an opportunity" with its OpenAPI schema, and its pages on
authentication, rate limits, custom fields and pipelines. Where they say nothing, a comment names the choice made here.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import (
    body_of,
    items_of,
    member,
    number_of,
    objects_of,
    record_error,
    text_of,
)
from airflow_provider_crm.vendors.calls import BatchRead, Call, RecordPage, WriteCall
from airflow_provider_crm.vendors.catalogue import Catalogue
from airflow_provider_crm.vendors.close.errors import read_error
from airflow_provider_crm.vendors.close.fields import (
    CUSTOM_PREFIX,
    LIST_ITEM_SUFFIXES,
    NOT_TWO_DECIMALS,
    OWN_FIELDS,
    check_currency,
    find_stage,
    read_catalogue,
)
from airflow_provider_crm.vendors.close.tokens import authentication
from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField
from airflow_provider_crm.vendors.limits import NO_LIMIT, Limits
from airflow_provider_crm.vendors.records import Json, Record
from airflow_provider_crm.vendors.wins import WinRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.response import HttpResponse

_API = "/api/v1"
_RECORD = f"{_API}/opportunity/{{}}/"
_PAGE_SIZE = 100


class Close:
    """The Close API, version 1."""

    api_version = 1
    name = "close"
    display_name = "Close"
    origin = "https://api.close.com"
    documentation = "https://developer.close.com"
    id_key = "id"
    api_key_label = "API key"
    # Close does not document which zone it assumes without it.
    offset_header: str | None = "x-tz-offset"
    documented_fields: tuple[Field, ...] = OWN_FIELDS
    # A status of type `won` gets the date of the call, unless the record has one.
    wins: WinRules | None = WinRules(
        stage_fields=("stage", "status_id"),
        date_field="date_won",
        advice="Map a column to date_won, or pass date_won_default='server' (today) or 'as_of' (the date of the data).",
    )
    batch_read: BatchRead | None = None
    stated_limits: Mapping[str, Limits] = {}
    extra: Mapping[str, ExtraField] = {
        "access_token": ExtraField("OAuth access token", "A bearer token, instead of an API key.", secret=True),
        "client_id": ExtraField("OAuth client id", "With the two fields below: tokens are fetched and renewed."),
        "client_secret": ExtraField("OAuth client secret", "Of the same OAuth application.", secret=True),
        "refresh_token": ExtraField(
            "OAuth refresh token", "The first one; its successors are stored in the ledger.", secret=True
        ),
    }

    def authentication(self, credentials: Credentials) -> Authentication:
        """Ask for exactly one of API key, access token and OAuth application."""
        return authentication(self, credentials)

    def probe(self) -> Call:
        """Use `GET /me/`, which names user, organization, currency and stages in one call."""
        return Call("GET", f"{_API}/me/", params={"_fields": "id,organizations"})

    def check_probe(self, response: HttpResponse) -> str:
        """Name the organization; an answer without one is not Close's."""
        if not response.ok:
            raise self.error(response)
        catalogue = self.catalogue([self.read(response)], {})
        if catalogue.organization is None:
            raise record_error(self.display_name, response)
        return f"Connected to Close, organization {catalogue.organization} ({catalogue.currency or 'no currency'})."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Read `/me/` for currency and stages, and the schema of custom fields only if one is mapped."""
        schema = Call("GET", f"{_API}/custom_field_schema/opportunity/")
        return (self.probe(), schema) if any(name.startswith(CUSTOM_PREFIX) for name in names) else (self.probe(),)

    def catalogue(self, answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:  # noqa: ARG002 - the protocol's
        """Return Close's own fields, and custom fields (own and shared) if their schema is among the answers."""
        return read_catalogue(answers)

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return cents and status ids; the currency is only compared with the organization's."""
        if field.kind is Kind.CURRENCY:
            for value in set(values):
                check_currency(field, value, catalogue)
            return {}
        if field.kind is Kind.MONEY:
            values = _in_cents(values, catalogue)
        elif field.kind is Kind.STAGE:
            ids = {label: find_stage(field, label, catalogue).id for label in set(values) if isinstance(label, str)}
            values = [ids[value] if isinstance(value, str) else value for value in values]
        return {field.target: values}

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Use one `PUT`, which changes only the keys in it."""
        once = any(key.endswith(LIST_ITEM_SUFFIXES) for key in keys)
        return (WriteCall("PUT", _RECORD, keys, replayable=not once),) if keys else ()

    def canonical_id(self, record_id: str) -> str:
        """Return the id as it stands: ids are opaque, and upper and lower case differ."""
        return record_id

    def record_url(self, origin: str, organization: str, record_id: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Return the opportunity's page in Close's web application, which has a host of its own."""
        return f"https://app.close.com/opportunity/{path_segment(record_id)}/" if origin == self.origin else None

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:  # noqa: ARG002 - part of the protocol
        """Use `GET /opportunity/{id}/`, which shows every field."""
        return Call("GET", _RECORD.format(path_segment(record_id)))

    def list_call(
        self,
        filters: Mapping[str, str],
        cursor: str | None,
        keys: Sequence[str],  # noqa: ARG002 - part of the protocol
    ) -> Call:
        """Use `GET /opportunity/` with `_skip`, which is the cursor, and `_limit`."""
        params = {**filters, "_skip": cursor or "0", "_limit": str(_PAGE_SIZE)}
        return Call("GET", f"{_API}/opportunity/", params=params)

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:
        """Read `data` and `has_more`, and count the pages by `total_results`."""
        total = number_of(member(body, "total_results"))
        return RecordPage(
            objects_of(member(body, "data")),
            str(int(cursor or "0") + _PAGE_SIZE) if member(body, "has_more") is True else None,
            None if total is None else math.ceil(total / _PAGE_SIZE),
        )

    def read(self, response: HttpResponse) -> Record:
        """Read the bare object."""
        body = body_of(response)
        if not isinstance(body, dict):
            raise record_error(self.display_name, response)
        return body

    def shows(
        self,
        key: str,
        sent: FieldValue,
        record: Record,
        catalogue: Catalogue,  # noqa: ARG002 - part of the protocol
        *,
        echo: bool,
    ) -> bool:
        """Compare; `.add` and `.remove` look into the list.

        The echo of a user's name is an id. In a record that was read it may be another user's: such a value counts as
        not written.
        """
        return _shows(record, key, sent) or (echo and _shows_some_user(record, key, sent))

    def stored_value(
        self,
        key: str,
        record: Record,
        catalogue: Catalogue,  # noqa: ARG002 - part of the protocol
    ) -> tuple[Json, ...]:
        """Return the value of a field; for `.add` and `.remove` the whole list.

        A record lists every field; a custom field without a value has no key.
        """
        name, dot, suffix = key.rpartition(".")
        target = name if dot + suffix in LIST_ITEM_SUFFIXES else key
        return (record.get(target),) if target in record or target.startswith(CUSTOM_PREFIX) else ()

    def error(self, response: HttpResponse) -> CrmError:
        """Read 400 in both shapes (`errors` + `field-errors`, or `error`), and every other status in one of them."""
        return read_error(self, response)

    def budget_group(self, call: Call) -> str:
        """Group by resource, reading or writing: Close limits groups of paths and methods but documents none."""
        return f"{call.path.split('/')[3]} {'read' if call.method == 'GET' else 'write'}"

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:  # noqa: ARG002 - the protocol's
        """Read `RateLimit` in every spelling on record, `Retry-After`, the deprecated headers and the old body."""
        if response.ok and not limit_headers.name_limits(response.headers):
            return (NO_LIMIT,)
        headers, limits = response.headers, limit_headers.standard_limits(response.headers, now)
        old = headers.get("x-rate-limit-reset")
        old_reset = limit_headers.seconds_left(old, now)
        if response.status_code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            reset, named = limit_headers.refusing(limits).reset, limit_headers.retry_after(response, now)
            old_body = limit_headers.seconds_left(member(member(body_of(response), "error"), "rate_reset"), now)
            limits = limit_headers.refused(limits, limit_headers.first_known(reset, named, old_body, old_reset))
        if limits[0].is_complete:
            return limits
        first, *others = limits
        limit, remaining = first.limit, first.remaining
        first = replace(
            first,
            limit=limit_headers.most_calls(headers.get("x-rate-limit-limit")) if limit is None else limit,
            remaining=limit_headers.calls(headers.get("x-rate-limit-remaining")) if remaining is None else remaining,
            reset=old_reset if first.reset is None else first.reset,
            grain=limit_headers.grain(old) if first.reset is None else first.grain,
        )
        return (first, *others)


def _in_cents(values: Sequence[FieldValue], catalogue: Catalogue) -> list[FieldValue]:
    """Return amounts as Close stores them.

    Raises:
        ConfigurationError: Close does not document the minor unit of the organization's currency.
    """
    if catalogue.currency in NOT_TWO_DECIMALS:
        msg = (
            f"This Close organization counts in {catalogue.currency}, whose minor unit is not documented by Close. "
            "Map the column to 'value' instead and give it in Close's own integer unit."
        )
        raise ConfigurationError(msg, vendor="close", code="MINOR_UNIT")
    return [int(value * 100) if isinstance(value, Decimal) else None for value in values]


def _shows(record: Record, key: str, sent: FieldValue) -> bool:
    """Return whether a record shows a written value; for a part of a list, whether the list has it."""
    name, dot, suffix = key.rpartition(".")
    if dot + suffix in LIST_ITEM_SUFFIXES:
        contained = any(same_value(sent, item) for item in items_of(record.get(name)))
        return contained is (suffix == "add")
    return same_value(sent, record.get(key))


def _shows_some_user(record: Record, key: str, sent: FieldValue) -> bool:
    """Return whether a custom field shows a user's id where a name was sent.

    Close takes an exact name and answers the id, so an echo only shows that a user was set.
    """
    is_name = isinstance(sent, str) and not sent.startswith("user_")
    return key.startswith(CUSTOM_PREFIX) and is_name and text_of(record.get(key)).startswith("user_")


VENDOR = Close()
