"""Define what a vendor is: an object without I/O and without Airflow that follows one API to the letter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.values.opportunity import Field, FieldValue
    from airflow_provider_crm.vendors.calls import BatchRead, Call, RecordPage, WriteCall
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.credentials import Authentication, Credentials, ExtraField
    from airflow_provider_crm.vendors.limits import Limits
    from airflow_provider_crm.vendors.records import Json, Record
    from airflow_provider_crm.vendors.response import HttpResponse
    from airflow_provider_crm.vendors.wins import WinRules


class Vendor(Protocol):
    """One CRM API. All methods are pure."""

    api_version: int
    """The `vendors.API_VERSION` for which the vendor was written: a number, not a reference to it."""
    name: str
    """Connection type, such as `acme`; the name of its entry point, too."""
    display_name: str
    """Name for people, such as `Acme CRM`."""
    origin: str
    """Scheme and host of the vendor's own service; where each account has a host of its own, the form of it, with the
    part that differs in braces."""
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
    batch_read: BatchRead | None
    """How several records are read in one call; None for one call a record."""

    stated_limits: Mapping[str, Limits]
    """Limits that no answer names, as the vendor documents them: `limit` and `length` by endpoint group."""

    def authentication(self, credentials: Credentials) -> Authentication:
        """Return the headers that sign calls, or how access tokens are fetched, or what is wrong with the credentials.

        Args:
            credentials: Those of the connection; or a fetched token alone, in `extra["access_token"]`.
        """
        ...

    def probe(self) -> Call:
        """Return the cheapest documented call that shows whether a key is valid, even if the key may not make it."""
        ...

    def check_probe(self, response: HttpResponse) -> str:
        """Say in one sentence what the probe's answer shows.

        Raises:
            CrmError: If the answer shows that the key does not work.
        """
        ...

    def catalogue_calls(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Return the calls whose answers `catalogue` needs for these field names; none if all is documented."""
        ...

    def catalogue(self, answers: Sequence[Json], settings: Mapping[str, str]) -> Catalogue:
        """Return what the account offers.

        Args:
            answers: Body of each call of `catalogue_calls`, in order; of a call with `Call.next_page` a list with the
                body of each page.
            settings: What the connection says for the keys of `extra` that are settings.
        """
        ...

    def to_vendor_values(
        self, field: Field, values: Sequence[FieldValue], catalogue: Catalogue
    ) -> Mapping[str, Sequence[FieldValue]]:
        """Return values of one field in the vendor's form, such as cents, or the id of a stage.

        Returns:
            The values by the key that is written: the field's target, and other keys that go with it, such as the
            pipeline of a stage. Nothing for a field that is only checked.

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

    def record_url(self, origin: str, organization: str, record_id: str) -> str | None:
        """Return the address of the page that shows an opportunity to people; None if the vendor has none there.

        Args:
            origin: Scheme, host and port of the account's server. It may be a sandbox, whose records have no page.
            organization: The vendor's id of the customer, as `Catalogue.organization` has it; where the vendor shows
                none, the user's name for the account.
            record_id: The vendor's id.

        Raises:
            InvalidValueError: An id is none.
        """
        ...

    def read_call(self, record_id: str, keys: Sequence[str]) -> Call:
        """Return the call that reads one opportunity.

        Args:
            record_id: The opportunity.
            keys: The vendor's keys that the answer has to show; empty for what it shows by itself.
        """
        ...

    def list_call(self, filters: Mapping[str, str], cursor: str | None, keys: Sequence[str]) -> Call:
        """Return the call that reads one page of opportunities.

        Args:
            filters: The vendor's own query parameters.
            cursor: That of the page before, see `RecordPage`; None for the first page.
            keys: As for `read_call`.
        """
        ...

    def parse_page(self, body: Json, cursor: str | None) -> RecordPage:
        """Return one page of a list; of a body of another shape a page without records.

        Args:
            body: The answer.
            cursor: With which the page was asked for.
        """
        ...

    def read(self, response: HttpResponse) -> Record:
        """Return the record in a 2xx answer.

        Raises:
            CrmError: If the answer says failure in spite of its status, or is no record.
        """
        ...

    def shows(self, key: str, sent: FieldValue, record: Record, catalogue: Catalogue, *, echo: bool) -> bool:
        """Return whether a record shows a value that was sent.

        Of rows that share a call this is not asked where the record shows the very text that the wire had.

        Args:
            key: The vendor's key.
            sent: The value, in the form of `to_vendor_values`.
            record: The record.
            catalogue: What the account offers.
            echo: Whether the record is the answer to the very call that sent the value. Such an answer may leave out
                keys that are documented to be left out, and may show an id in place of a name. Else the record was
                read: what it does not show was not written.
        """
        ...

    def stored_value(self, key: str, record: Record, catalogue: Catalogue) -> tuple[Json, ...]:
        """Return the value of a written key in a record that was read: one, or none if the record does not show it."""
        ...

    def error(self, response: HttpResponse) -> CrmError:
        """Return the error that an answer other than 2xx means."""
        ...

    def budget_group(self, call: Call) -> str:
        """Return the endpoint group whose rate limit a call counts against; calls of one group share one budget."""
        ...

    def limits(self, response: HttpResponse, now: dt.datetime, timezone: str | None) -> tuple[Limits, ...]:
        """Return each rate limit that an answer names, in the same order in every answer.

        Args:
            response: The answer, of any status.
            now: The time on the vendor's clock, as far as the `Date` headers of its answers have shown it; never ahead
                of it. Moments that the answer names are compared with it.
            timezone: IANA zone of the account, as `Catalogue.timezone` has it; None while the session has not read it.
                The day of some limits ends at midnight there.
        """
        ...
