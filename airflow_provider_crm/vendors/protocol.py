"""What a vendor is: an object without I/O and without Airflow that knows one API to the letter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import requests
    from requests.auth import AuthBase

    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.values.opportunity import Field, FieldValue, Update
    from airflow_provider_crm.vendors.calls import Call, Route
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.credentials import Credentials, ExtraField, Grant
    from airflow_provider_crm.vendors.limits import Limits
    from airflow_provider_crm.vendors.records import Json, Record


class Vendor(Protocol):
    """One CRM API. All methods are pure; those that read a `requests.Response` only look at it."""

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
    late_win_advice: str
    """What to write when a won stage without a date comes from old data, as a sentence."""
    extra: Mapping[str, ExtraField]
    """Allowed keys of a connection's extra beyond `COMMON_EXTRA`."""
    api_key_label: str
    """What the form calls the password."""
    documented_fields: tuple[Field, ...]
    """The fields that every account has; those of one account are in its catalogue."""

    def credential_problems(self, credentials: Credentials) -> list[str]:
        """Say what is missing or contradictory, one sentence each."""
        ...

    def auth(self, credentials: Credentials) -> AuthBase:
        """The object that signs requests; a token that was fetched comes as `extra["access_token"]`."""
        ...

    def grant(self, credentials: Credentials) -> Grant | None:
        """How access tokens are fetched with these credentials, or None if they sign calls themselves."""
        ...

    def probe(self) -> Call:
        """The cheapest documented call that any valid key may make or is refused in a telling way."""
        ...

    def check_probe(self, response: requests.Response) -> str:
        """Say in one sentence what the probe's answer shows.

        Raises:
            CrmError: If the answer shows that the key does not work.
        """
        ...

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Calls whose answers `catalogue` needs for these field names; none where everything is documented."""
        ...

    def catalogue(self, answers: Sequence[Json]) -> Catalogue:
        """What the account offers.

        Args:
            answers: Body of each call of `catalogue_calls`, in order.
        """
        ...

    def unknown_field(self, name: str, catalogue: Catalogue) -> str:
        """Say why a field name is not known, and which are."""
        ...

    def wins_without_date(self, update: Update, catalogue: Catalogue) -> bool:
        """Whether the update sets a won stage and leaves the date of the win to the vendor's clock."""
        ...

    def dated(self, update: Update, day: dt.date) -> Update:
        """The same update with the date of the win in it.

        Raises:
            InvalidValueError: If the vendor does not let anyone write that date.
        """
        ...

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Sequence[FieldValue]:
        """Values of one field as the vendor has them: cents, the id of a stage.

        Raises:
            InvalidValueError: One of them cannot be written to this account.
            ConfigurationError: None can.
        """
        ...

    def write_calls(self, keys: tuple[str, ...]) -> tuple[Route, ...]:
        """The calls that write these keys of a row, in order; none if there are no keys. See `encoding.calls_of`."""
        ...

    def canonical_id(self, record_id: str) -> str:
        """The one spelling of a record's id: two that the vendor takes for one record have the same.

        Whatever comes from outside is brought into it at once, so that ids are compared as texts everywhere.
        """
        ...

    def read_call(self, record_id: str) -> Call:
        """The call that reads one opportunity."""
        ...

    def list_call(self, filters: Mapping[str, str], page: int) -> Call:
        """The call that reads one page of opportunities; pages count from 0."""
        ...

    def parse_page(self, body: Json) -> tuple[list[Record], bool]:
        """The records of one page, and whether there is another."""
        ...

    def headers(self, offset: str) -> Mapping[str, str]:
        """Headers of every call.

        Args:
            offset: UTC offset of the account's zone now, in hours, positive east.
        """
        ...

    def read(self, response: requests.Response) -> Record:
        """The record in a 2xx answer.

        Raises:
            CrmError: If the answer says failure in spite of its status, or is no record.
        """
        ...

    def unconfirmed(self, call: Call, record: Record) -> tuple[str, ...]:
        """Keys of `call.writes` that the record does not show as written."""
        ...

    def applied(self, call: Call, record: Record) -> bool:
        """Whether a record that was read (not echoed) shows that a call has already taken effect."""
        ...

    def stored_value(self, key: str, record: Record) -> tuple[Json, ...]:
        """What a record that was read holds for a written key: one value, or none if the record does not tell."""
        ...

    def amount(self, key: str, value: Json) -> Decimal | None:
        """The money, in major units, that a written value of this key stands for; None for a key that holds none."""
        ...

    def pages(self, body: Json) -> int | None:
        """How many pages the list has to which this page belongs, or None if it does not tell."""
        ...

    def error(self, response: requests.Response) -> CrmError:
        """The error that an answer other than 2xx means."""
        ...

    def budget_group(self, call: Call) -> str:
        """The endpoint group under whose limit a call falls; calls of one group share one budget."""
        ...

    def limits(self, response: requests.Response, now: dt.datetime) -> Limits:
        """What an answer says about the budget."""
        ...
