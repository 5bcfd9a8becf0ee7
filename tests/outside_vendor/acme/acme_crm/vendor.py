"""Acme's API to the letter: its calls, fields, stages, answers and limits.

Acme is made up. Its API has what most have: a bearer key, a body within an envelope, lists with a cursor, one rate
limit, stages, and a date that the server sets when a deal is won.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from acme_crm import batches
from acme_crm.errors import error_of, refusal
from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.values.conversion import same_value
from airflow_provider_crm.values.messages import shown_value
from airflow_provider_crm.values.opportunity import Field, FieldValue, Kind
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors import limit_headers
from airflow_provider_crm.vendors.answers import body_of, foreign_error, member, objects_of, record_error, text_of
from airflow_provider_crm.vendors.calls import BatchRead, Call, RecordPage, WriteCall
from airflow_provider_crm.vendors.catalogue import Catalogue, Stage
from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField
from airflow_provider_crm.vendors.limits import Limits
from airflow_provider_crm.vendors.wins import WinRules

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

_DEALS = "/acme/v1/deals"
_PAGE_SIZE = 100

FIELDS = (
    Field("deal_value", "amount", Kind.MONEY, amount_digits=0),
    Field("deal_currency", "currency", Kind.CURRENCY, clearable=False),
    Field("stage", "stage", Kind.STAGE, clearable=False),
    Field("date_won", "won_on", Kind.DATE),
    Field("notes", "notes"),
    Field("amount", "amount", Kind.MONEY, amount_digits=0),
    Field("currency", "currency", Kind.CURRENCY, clearable=False),
    Field("won_on", "won_on", Kind.DATE),
    Field("contact_email", "contact_email", personal=True),
)


class Acme:
    """Version 1 of Acme's API."""

    api_version = 1
    name = "acme"
    display_name = "Acme CRM"
    origin = "https://api.acme.example"
    documentation = "https://developers.acme.example"
    id_key = "id"
    api_key_label = "API key"
    extra: Mapping[str, ExtraField] = {}
    offset_header: str | None = None
    documented_fields: tuple[Field, ...] = FIELDS
    wins: WinRules | None = WinRules(
        stage_fields=("stage",),
        date_field="date_won",
        advice="Map a column to date_won, or pass date_won_default='server' (now) or 'as_of' (the date of the data).",
    )
    batch_read: BatchRead | None = batches.READ
    stated_limits: Mapping[str, Limits] = {}

    def authentication(self, credentials: Credentials) -> Authentication:
        """Sign calls with the key, which is the password of the connection."""
        if not credentials.api_key:
            return Authentication(("the API key is missing: put it in the connection's password",))
        return Authentication(headers={"Authorization": f"Bearer {credentials.api_key}"})

    def probe(self) -> Call:
        """Read the account, which every key may read."""
        return Call("GET", "/acme/v1/account")

    def check_probe(self, response: HttpResponse) -> str:
        """Name the account."""
        if not response.ok:
            raise self.error(response)
        account = text_of(member(member(body_of(response), "account"), "id"))
        if not account:
            raise record_error(self.display_name, response)
        return f"Connected to Acme CRM, account {account}."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Read the account, which has the stages."""
        return (self.probe(),)

    def catalogue(self, answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
        """Return the documented fields, and the stages of the account."""
        account = member(answers[0], "account")
        stages = tuple(
            Stage(id=text_of(one.get("id")), label=text_of(one.get("label")), type=text_of(one.get("type")))
            for one in objects_of(member(account, "stages"))
        )
        return Catalogue(
            fields={field.name: field for field in FIELDS},
            organization=text_of(member(account, "id")) or None,
            stages=stages,
        )

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return ids of stages; Acme takes all other values as they are."""
        if field.kind is Kind.STAGE:
            return {field.target: [_stage_id(field, value, catalogue) for value in values]}
        return {field.target: values}

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Use one `PATCH` with `{"deal": {...}}`, which changes only the keys in it."""
        if not keys:
            return ()
        return (WriteCall("PATCH", f"{_DEALS}/{{}}", keys, envelope=("deal",), batch=batches.WRITE),)

    def canonical_id(self, record_id: str) -> str:
        """Return the id as it is: Acme's ids have one spelling."""
        return record_id

    def record_url(self, origin: str, organization: str, record_id: str) -> str | None:
        """Return the page of the deal; a sandbox has none."""
        return f"https://app.acme.example/deals/{path_segment(record_id)}" if origin == self.origin else None

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:
        """Read one deal; the answer has all keys, so none is named."""
        return Call("GET", f"{_DEALS}/{path_segment(record_id)}")

    def list_call(self, filters: Mapping[str, str], cursor: str | None, keys: Sequence[str]) -> Call:
        """Read one page of deals."""
        after = {} if cursor is None else {"after": cursor}
        return Call("GET", _DEALS, params={**filters, "limit": str(_PAGE_SIZE), **after})

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:
        """Read `{"deals": [...], "next": "..."}`; the last page has no `next`."""
        following = member(body, "next")
        return RecordPage(objects_of(member(body, "deals")), following if isinstance(following, str) else None)

    def read(self, response: HttpResponse) -> Record:
        """Read the deal out of its envelope."""
        deal = member(body_of(response), "deal")
        if not isinstance(deal, dict):
            raise record_error(self.display_name, response)
        return deal

    def shows(self, key: str, sent: FieldValue, record: Record, catalogue: Catalogue, *, echo: bool) -> bool:
        """Compare; each answer shows all keys, so what it does not show was not written."""
        return key in record and same_value(sent, record[key])

    def stored_value(self, key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
        """Return the value of the key itself."""
        return (record[key],) if key in record else ()

    def error(self, response: HttpResponse) -> CrmError:
        """Read Acme's error; any other body is that of a proxy, and no verdict about a row."""
        error = error_of(body_of(response))
        return foreign_error(self, response) if error is None else refusal(response.status_code, error)

    def budget_group(self, call: Call) -> str:
        """Return one group: all calls of a key share one limit."""
        return ""

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:
        """Read the standard headers `RateLimit-*`, and `Retry-After` of a refusal."""
        limits = limit_headers.standard_limits(response.headers, now)
        if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
            return limits
        return limit_headers.refused(limits, limit_headers.retry_after(response, now))


def _stage_id(field: Field, value: FieldValue, catalogue: Catalogue) -> str:
    """Return the id of the stage that a row names by its id or label.

    Raises:
        InvalidValueError: The account has no such stage.
    """
    wanted = str(value).strip()
    found = next((stage.id for stage in catalogue.stages if wanted in (stage.id, stage.label)), None)
    if found is None:
        known = ", ".join(f"{stage.label} ({stage.id})" for stage in catalogue.stages)
        problem = f"stage {shown_value(field, wanted)} is no stage of this account; it has {known}."
        raise InvalidValueError(problem, vendor="acme", code="STAGE", field_errors={field.name: problem})
    return found


VENDOR: Vendor = Acme()
