"""Define what a vendor is: an object without I/O and without Airflow that follows one API to the letter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import requests

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.values.opportunity import Field, FieldValue
    from airflow_provider_crm.vendors.calls import Call, WriteCall
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField
    from airflow_provider_crm.vendors.limits import Limits
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.wins import WinRules


class Vendor(Protocol):
    """One CRM API. All methods are pure; a `requests.Response` is only read."""

    name: str
    """Connection type, such as `close`."""
    display_name: str
    """Name for people, such as `Close`."""
    origin: str
    """Scheme and host of the vendor's own service."""
    documentation: str
    """Address of the vendor's API documentation."""
    id_key: str
    """Key of the record's id in the vendor's answers."""
    extra: Mapping[str, ExtraField]
    """Allowed keys of a connection's extra beyond `COMMON_EXTRA`."""
    api_key_label: str
    """Label of the password in the connection form."""
    offset_header: str | None
    """Name of the header that every call carries with the UTC offset of its zone, in hours, positive east."""
    documented_fields: tuple[Field, ...]
    """The fields that every account has; the catalogue has all fields of one account."""
    wins: WinRules | None
    """How a won stage gets its date; None if the vendor sets no date by itself, or has no stages."""

    def authentication(self, credentials: Credentials) -> Authentication:
        """Return the headers that sign calls, or how access tokens are fetched, or what is wrong with the credentials.

        Args:
            credentials: Those of the connection; or a fetched token alone, in `extra["access_token"]`.
        """
        ...

    def probe(self) -> Call:
        """Return the cheapest documented call that shows whether a key is valid, even if the key may not make it."""
        ...

    def check_probe(self, response: requests.Response) -> str:
        """Say in one sentence what the probe's answer shows.

        Raises:
            CrmError: If the answer shows that the key does not work.
        """
        ...

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Return the calls whose answers `catalogue` needs for these field names; none if all is documented."""
        ...

    def catalogue(self, answers: Sequence[Json]) -> Catalogue:
        """Return what the account offers.

        Args:
            answers: Body of each call of `catalogue_calls`, in order.
        """
        ...

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Sequence[FieldValue]:
        """Return values of one field in the vendor's form, such as cents, or the id of a stage.

        Raises:
            InvalidValueError: One of them cannot be written to this account.
            ConfigurationError: None can.
        """
        ...

    def write_calls(self, keys: tuple[str, ...]) -> tuple[WriteCall, ...]:
        """Return the calls that write these keys of a row, in order; none without keys. See `encoding.calls_of`."""
        ...

    def canonical_id(self, record_id: str) -> str:
        """Return the canonical spelling of a record's id, which all spellings of one record share.

        Each id from outside gets it at once, so that ids are compared as texts everywhere.
        """
        ...

    def record_url(self, origin: str, record_id: str) -> str | None:
        """Return the address of the page that shows an opportunity to people; None if the vendor has none there.

        Args:
            origin: Scheme, host and port of the account's server. It may be a sandbox, whose records have no page.
            record_id: The vendor's id.

        Raises:
            InvalidValueError: The id is none.
        """
        ...

    def read_call(self, record_id: str) -> Call:
        """Return the call that reads one opportunity."""
        ...

    def list_call(self, filters: Mapping[str, str], page: int) -> Call:
        """Return the call that reads one page of opportunities; pages count from 0."""
        ...

    def parse_page(self, body: Json) -> tuple[list[Record], bool]:
        """Return the records of one page, and whether there is another."""
        ...

    def read(self, response: requests.Response) -> Record:
        """Return the record in a 2xx answer.

        Raises:
            CrmError: If the answer says failure in spite of its status, or is no record.
        """
        ...

    def unconfirmed(self, call: Call, record: Record) -> tuple[str, ...]:
        """Return the keys of `call.writes` that the record does not show as written."""
        ...

    def applied(self, call: Call, record: Record) -> bool:
        """Return whether a record that was read (not echoed) shows that a call has already taken effect."""
        ...

    def stored_value(self, key: str, record: Record) -> tuple[Json, ...]:
        """Return the value of a written key in a record that was read: one, or none if the record does not show it."""
        ...

    def pages(self, body: Json) -> int | None:
        """Return the number of pages of the list to which this page belongs; None if the page does not say."""
        ...

    def error(self, response: requests.Response) -> CrmError:
        """Return the error that an answer other than 2xx means."""
        ...

    def budget_group(self, call: Call) -> str:
        """Return the endpoint group whose rate limit a call counts against; calls of one group share one budget."""
        ...

    def limits(self, response: requests.Response, now: dt.datetime) -> tuple[Limits, ...]:
        """Read what an answer says about each rate limit, in the same order in every answer."""
        ...
