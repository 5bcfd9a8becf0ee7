"""The API of Salesforce as an object: the opportunities of one org.

Sources of the rules: Salesforce's REST, object and limits guides, and answers of its servers on record. Where they say
nothing, a comment names the choice made here.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_crm.values.opportunity import Field, FieldValue
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.answers import body_of, member, objects_of, record_error
from airflow_provider_crm.vendors.calls import BatchCall, BatchRead, Call, RecordPage, WriteCall
from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField, OptionHeader
from airflow_provider_crm.vendors.limits import Limits
from airflow_provider_crm.vendors.salesforce import airflow_connection, batches, ids, paths
from airflow_provider_crm.vendors.salesforce.errors import read_error
from airflow_provider_crm.vendors.salesforce.fields import ACCOUNT, AMOUNT, FREE_PICKLISTS, OWN_FIELDS, read_catalogue
from airflow_provider_crm.vendors.salesforce.limits import read_limits
from airflow_provider_crm.vendors.salesforce.lookups import lookup_by
from airflow_provider_crm.vendors.salesforce.tokens import EXTRA, authentication
from airflow_provider_crm.vendors.salesforce.uploads import upload_calls
from airflow_provider_crm.vendors.salesforce.values import (
    HELD_BY_PRODUCTS,
    cause_of,
    shown,
    shows,
    spell,
    vendor_values,
)
from airflow_provider_crm.vendors.wins import WinRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.vendors.adopted import Adopt
    from airflow_provider_crm.vendors.calls import RecordLookup
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse

# All standard fields that the user sees: a query that names one that does not exist is refused.
_ORG = "SELECT FIELDS(STANDARD) FROM Organization LIMIT 1"
_STAGES = "SELECT MasterLabel, ApiName, IsActive, IsClosed, IsWon FROM OpportunityStage ORDER BY SortOrder"
_STANDARD = "FIELDS(STANDARD)"
_HOSTS = ".salesforce.com"


class Salesforce:
    """The Salesforce API for opportunities, of the version `paths.VERSION`."""

    api_version = 1
    name = "crm_salesforce"
    display_name = "Salesforce"
    origin = "https://{mydomain}.my.salesforce.com"
    documentation = "https://developer.salesforce.com"
    id_key = "Id"
    api_key_label = "Access token"
    offset_header: str | None = None  # dates have no zone, and moments one of their own
    documented_fields: tuple[Field, ...] = OWN_FIELDS
    # A win moves a close date in the future to today, in UTC, unless the same call changes the date.
    wins: WinRules | None = WinRules(
        stage_fields=("stage", "StageName"),
        date_field="date_won",
        advice="Map a column to date_won, or pass date_won_default='server' (now) or 'as_of' (the date of the data).",
        replaces_date=True,
    )
    extra: Mapping[str, ExtraField] = {
        **EXTRA,
        FREE_PICKLISTS: ExtraField(
            "Free picklists",
            "Names of picklists, with commas, that take values which they do not list. Restricted ones never do.",
            setting=True,
        ),
        "duplicate_rules": ExtraField(
            "Duplicate rules",
            "Write allow to save rows that a duplicate rule only warns of; without it they are refused.",
            setting=True,
            header=OptionHeader("Sforce-Duplicate-Rule-Header", {"allow": "allowSave=true"}),
        ),
        "assignment_rules": ExtraField(
            "Assignment rules",
            "Write off to let no assignment rule of the org change the owner of what a row writes.",
            setting=True,
            header=OptionHeader("Sforce-Auto-Assign", {"off": "FALSE"}),
        ),
    }
    stated_limits: Mapping[str, Limits] = {}
    adopted: Mapping[str, Adopt] = {airflow_connection.TYPE: airflow_connection.adopted}

    def __init__(self) -> None:
        split, split_read = partial(batches.split_rows, self), partial(batches.split_rows_and_read, self)
        plain = BatchCall(
            "PATCH", paths.COLLECTION, batches.LARGEST_WRITE, batches.join_rows, split, shows_values=False
        )
        self._batch = BatchCall(
            "POST",
            paths.COMPOSITE,
            batches.LARGEST_WRITE,
            batches.join_rows_and_read,
            split_read,
            unverified=plain,
            with_options=batches.with_options,
            together=ACCOUNT,
        )
        self._upload = upload_calls(self)
        self.batch_read: BatchRead | None = BatchRead(
            batches.LARGEST_READ, batches.read_records_call, partial(batches.split_records, self)
        )

    def authentication(self, credentials: Credentials) -> Authentication:
        """Ask for an access token, or for an app that fetches some."""
        return authentication(self, credentials)

    def probe(self) -> Call:
        """Read the org, which every user of the API may do."""
        return _query(_ORG)

    def check_probe(self, response: HttpResponse) -> str:
        """Name the org and its currency."""
        if not response.ok:
            raise self.error(response)
        catalogue = self.catalogue([body_of(response)], {})
        if catalogue.organization is None:
            raise record_error(self.display_name, response)
        return f"Connected to Salesforce, org {catalogue.organization} (currency {catalogue.currency or 'not shown'})."

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Read the org; the fields that the user sees and the stages if a field is mapped."""
        return (self.probe(), Call("GET", paths.DESCRIBE), _query(_STAGES)) if names else (self.probe(),)

    def catalogue(self, answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
        """Return the fields, stages and currencies of the org; the org's answer alone will do."""
        return read_catalogue(answers, settings)

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return values of picklists and stages, long ids, and numbers of the field's scale."""
        return vendor_values(field, values, catalogue)

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Use one `PATCH`, whose answer is empty, or one call for 200 rows that reads them, too.

        All fields of a row share one call, so that a stage never arrives without its date.
        """
        if not keys:
            return ()
        call = WriteCall(
            "PATCH",
            paths.RECORD,
            keys,
            spell=spell,
            shows_values=False,
            shows_unchanged=False,
            batch=self._batch,
            cause_of=cause_of,
            record_rule=HELD_BY_PRODUCTS if AMOUNT in keys else None,
            upload=self._upload,
        )
        return (call,)

    def canonical_id(self, record_id: str) -> str:
        """Return the id in eighteen characters."""
        return ids.canonical_id(record_id)

    def record_url(self, origin: str, organization: str, record_id: str) -> str | None:
        """Return the opportunity's page in Lightning, to which the host of the API leads people."""
        path_segment(organization)
        if not origin.startswith("https://") or not urlsplit(origin).netloc.endswith(_HOSTS):
            return None
        return f"{origin}/lightning/r/Opportunity/{path_segment(record_id)}/view"

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:
        """Name the fields: without names all are shown."""
        named = {"fields": ",".join(dict.fromkeys(("Id", *keys)))} if keys else {}
        return Call("GET", paths.RECORD.format(path_segment(record_id)), params=named)

    def list_call(self, filters: Mapping[str, str], cursor: str | None, keys: Sequence[str]) -> Call:
        """Use a query; its next page has an address of its own, which is the cursor."""
        if cursor is not None:
            return Call("GET", cursor, params=dict(filters))
        names = ", ".join(dict.fromkeys(("Id", *keys))) if keys else _STANDARD
        soql = f"SELECT {names} FROM {paths.OBJECT}"  # noqa: S608 - the vendor's language, and names of its fields
        return Call("GET", paths.QUERY, params={"q": soql, **filters})

    def lookup(self, key: str, catalogue: Catalogue) -> RecordLookup:
        """Query opportunities by the field."""
        return lookup_by(key, catalogue)

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:  # noqa: ARG002 - part of the protocol
        """Read `records` and `nextRecordsUrl`."""
        following = member(body, "nextRecordsUrl")
        is_path = isinstance(following, str) and following.startswith("/services/data/") and following.isascii()
        return RecordPage(objects_of(member(body, "records")), following if is_path else None)  # type: ignore[arg-type]

    def read(self, response: HttpResponse) -> Record:
        """Read the bare record; nothing in the empty answer to a write."""
        if not response.content:
            return {}
        body = body_of(response)
        if not isinstance(body, dict) or not isinstance(body.get("Id"), str):
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
        """Compare a field; every record was read."""
        return shows(key, sent, record, catalogue)

    def stored_value(self, key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
        """Return the field."""
        return shown(key, record, catalogue)

    def error(self, response: HttpResponse) -> CrmError:
        """Read an error by its status and code."""
        return read_error(self, response)

    def budget_group(self, call: Call) -> str:  # noqa: ARG002 - part of the protocol
        """Count all calls together: the only limit is that of the org's day."""
        return ""

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:  # noqa: ARG002 - part of the protocol
        """Read the limit of the day."""
        return read_limits(response, now)


def _query(soql: str) -> Call:
    return Call("GET", paths.QUERY, params={"q": soql})


VENDOR = Salesforce()
