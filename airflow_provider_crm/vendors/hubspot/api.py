"""The API of HubSpot as an object: the deals of one portal.

Sources of the rules: HubSpot's guides to deals, properties, pipelines, owners, limits, errors and OAuth, and answers of
its servers on record. Where they say nothing, a comment names the choice made here.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airflow_provider_crm.values.opportunity import Field, FieldValue
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.answers import body_of, member, objects_of, record_error, text_of
from airflow_provider_crm.vendors.calls import BatchCall, BatchRead, Call, RecordPage, WriteCall
from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField
from airflow_provider_crm.vendors.hubspot import ids, paths
from airflow_provider_crm.vendors.hubspot.batches import LARGEST_BATCH, batch_read_call, join_rows, split_answer
from airflow_provider_crm.vendors.hubspot.errors import read_error
from airflow_provider_crm.vendors.hubspot.fields import (
    CURRENCIES_FACT,
    NOTES_PROPERTY,
    OWN_FIELDS,
    OWNER,
    read_catalogue,
)
from airflow_provider_crm.vendors.hubspot.limits import read_limits
from airflow_provider_crm.vendors.hubspot.lookups import lookup_by
from airflow_provider_crm.vendors.hubspot.tokens import authentication
from airflow_provider_crm.vendors.hubspot.values import shown, shows, spell, vendor_values
from airflow_provider_crm.vendors.limits import Limits
from airflow_provider_crm.vendors.wins import WinRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.calls import BatchRow, RecordLookup, RowAnswer
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

_PAGE_SIZE, _OWNERS_PAGE_SIZE = 100, 500
_SEARCH = "search"


class HubSpot:
    """The HubSpot API for deals, of the version `paths.VERSION`."""

    api_version = 1
    name = "hubspot"
    display_name = "HubSpot"
    origin = "https://api.hubapi.com"
    documentation = "https://developers.hubspot.com"
    id_key = "id"
    api_key_label = "Access token"
    offset_header: str | None = None  # HubSpot stores instants in UTC
    documented_fields: tuple[Field, ...] = OWN_FIELDS
    # A deal that is moved into a won stage may get the moment of the call as its close date, even if it has one.
    wins: WinRules | None = WinRules(
        stage_fields=("stage", "dealstage"),
        date_field="date_won",
        advice="Map a column to date_won, or pass date_won_default='server' (now) or 'as_of' (the date of the data).",
        replaces_date=True,
    )
    extra: Mapping[str, ExtraField] = {
        "client_id": ExtraField(
            "OAuth client id", "With the two fields below, instead of a token: tokens are fetched."
        ),
        "client_secret": ExtraField("OAuth client secret", "Of the same OAuth app.", secret=True),
        "refresh_token": ExtraField(
            "OAuth refresh token", "The first one; its successors, if any, are stored in the ledger.", secret=True
        ),
        NOTES_PROPERTY: ExtraField(
            "Notes property", "The property that notes writes. Default: description.", setting=True
        ),
    }

    # Of all tokens together; answers to searches have no headers about limits.
    stated_limits: Mapping[str, Limits] = {_SEARCH: Limits(limit=5, length=1.0)}

    def __init__(self) -> None:
        self.batch_read: BatchRead | None = BatchRead(LARGEST_BATCH, batch_read_call, self._split_records)
        self._batch = BatchCall("POST", paths.BATCH_UPDATE, LARGEST_BATCH, join_rows, self._split_rows)

    def authentication(self, credentials: Credentials) -> Authentication:
        """Ask for the token of a service key or private app, or for an OAuth app."""
        return authentication(self, credentials)

    def probe(self) -> Call:
        """Use the account's details, which every token may read."""
        return Call("GET", paths.ACCOUNT)

    def check_probe(self, response: HttpResponse) -> str:
        """Name the portal, its time zone and its currencies."""
        if not response.ok:
            raise self.error(response)
        account = body_of(response)
        catalogue = self.catalogue([account], {})
        if catalogue.organization is None:
            raise record_error(self.display_name, response)
        zone = text_of(member(account, "timeZone")) or "not shown"
        currencies = ", ".join(map(text_of, catalogue.facts[CURRENCIES_FACT])) or "not shown"  # type: ignore[arg-type]
        return f"Connected to HubSpot, portal {catalogue.organization} (time zone {zone}, currency {currencies})."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Read the account; properties and pipelines if a field is mapped; owners if they may be named by address."""
        if not names:
            return (self.probe(),)
        calls = (self.probe(), Call("GET", paths.PROPERTIES), Call("GET", paths.PIPELINES))
        return (*calls, _owners_call(None)) if OWNER.name in names else calls

    def catalogue(self, answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
        """Return the properties, stages, owners and currencies of the portal; the account's answer alone will do."""
        return read_catalogue(answers, settings)

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return ids of stages with their pipelines, of options and owners, and noon for the date of a win."""
        return vendor_values(field, values, catalogue)

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Use one `PATCH`, which changes only the properties in it, or one call for a hundred of them.

        All properties of a row share one call, so that a stage never arrives without its date.
        """
        if not keys:
            return ()
        # HubSpot does not say whether the answer shows a property that already had the value.
        call = WriteCall(
            "PATCH",
            paths.DEAL,
            keys,
            envelope=("properties",),
            spell=spell,
            shows_unchanged=False,
            batch=self._batch,
        )
        return (call,)

    def canonical_id(self, record_id: str) -> str:
        """Return the id without zeros in front."""
        return ids.canonical_id(record_id)

    def record_url(self, origin: str, organization: str, record_id: str) -> str | None:
        """Return the deal's page in HubSpot's web application, which sends people on to that of their region."""
        if origin != self.origin:
            return None
        return f"https://app.hubspot.com/contacts/{path_segment(organization)}/record/0-3/{path_segment(record_id)}"

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:
        """Name the properties: without names only a few are shown."""
        return Call("GET", paths.DEAL.format(path_segment(record_id)), params=_named(keys))

    def list_call(self, filters: Mapping[str, str], cursor: str | None, keys: Sequence[str]) -> Call:
        """Use `limit` and `after`, which is the cursor."""
        after = {} if cursor is None else {"after": cursor}
        return Call("GET", paths.DEALS, params={**filters, **_named(keys), "limit": str(_PAGE_SIZE), **after})

    def lookup(self, key: str, catalogue: Catalogue) -> RecordLookup:
        """Read deals by a property whose values are unique; search for those of any other one."""
        return lookup_by(key, catalogue)

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:  # noqa: ARG002 - part of the protocol
        """Read `results` and `paging.next.after`; HubSpot does not say how many pages there are."""
        return RecordPage(objects_of(member(body, "results")), _next_cursor(body))

    def read(self, response: HttpResponse) -> Record:
        """Read the bare record."""
        body = body_of(response)
        if not isinstance(body, dict) or not isinstance(body.get("properties"), dict):
            raise record_error(self.display_name, response)
        return body

    def shows(
        self,
        key: str,
        sent: FieldValue,
        record: Record,
        catalogue: Catalogue,
        *,
        echo: bool,  # noqa: ARG002 - part of the protocol
    ) -> bool:
        """Compare a property; the answer to a write shows what was written, and a read what was asked for."""
        return shows(key, sent, record, catalogue)

    def stored_value(self, key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
        """Return the property."""
        return shown(key, record, catalogue)

    def error(self, response: HttpResponse) -> CrmError:
        """Read an error by its status, category and codes."""
        return read_error(self, response)

    def budget_group(self, call: Call) -> str:
        """Count searches apart, whose limit belongs to the account; all other calls of a token share one limit."""
        return _SEARCH if call.path.endswith(f"/{_SEARCH}") else ""

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:
        """Read the limit of the last ten seconds and that of the day."""
        return read_limits(response, now, timezone)

    def _split_rows(self, response: HttpResponse, rows: Sequence[BatchRow]) -> Sequence[RowAnswer]:
        return split_answer(self, response, [row.record_id for row in rows], [row.trace for row in rows])

    def _split_records(self, response: HttpResponse, record_ids: Sequence[str]) -> Sequence[RowAnswer]:
        return split_answer(self, response, record_ids, ())


def _named(keys: Sequence[str]) -> dict[str, str]:
    return {"properties": ",".join(keys)} if keys else {}


def _owners_call(cursor: str | None) -> Call:
    """Return the call for one page of owners."""
    after = {} if cursor is None else {"after": cursor}
    return Call("GET", paths.OWNERS, params={"limit": str(_OWNERS_PAGE_SIZE), **after}, next_page=_next_owners)


def _next_owners(body: Json) -> Call | None:
    cursor = _next_cursor(body)
    return None if cursor is None else _owners_call(cursor)


def _next_cursor(body: Json) -> str | None:
    """Return `paging.next.after`; None on the last page."""
    after = member(member(member(body, "paging"), "next"), "after")
    return after if isinstance(after, str) and after else None


VENDOR = HubSpot()
