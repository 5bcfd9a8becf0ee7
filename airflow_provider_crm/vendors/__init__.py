"""What a vendor is: an object without I/O and without Airflow that knows one API to the letter.

`VENDORS` is the only list of vendors. To add one, write `vendors/<name>.py` with an object that fits `Vendor`, add it
to `_MODULES`, and give it a small hook class and a sandbox file; the contract tests run over all of `VENDORS`.

Which calls write some keys a vendor says once for all rows that write those (`routes`); from that `writes` makes the
calls of the rows, many at a time.
"""

from __future__ import annotations

import datetime as dt
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol, TypeAlias

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.values.opportunity import Field, FieldValue, Update

if TYPE_CHECKING:
    import requests
    from requests.auth import AuthBase

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Record: TypeAlias = dict[str, Json]


@dataclass(frozen=True, slots=True)
class ExtraField:
    """One allowed key of a connection's extra, as the connection form shows it."""

    label: str
    description: str
    type: str = "string"
    secret: bool = False


COMMON_EXTRA: Mapping[str, ExtraField] = {
    "timezone": ExtraField(
        "Time zone",
        "IANA name, such as America/New_York: the zone in which the CRM's dates are meant, for tasks that name none. "
        "Without one, a point in time is refused where the CRM wants a date.",
    ),
    "timeout": ExtraField("Timeout", "Seconds to wait for an answer. Default 30.", type="number"),
    "account": ExtraField("Account", "Name of the account in reports, where the vendor does not tell one."),
    "budget": ExtraField(
        "Budget", "The vendor's limit, such as 40/1s or 1000/1h, to start from until its answers tell more."
    ),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What authenticates an account; its repr shows nothing, and it cannot be pickled.

    Attributes:
        api_key: The connection's password, or None.
        extra: The vendor's own keys of the connection's extra, such as `access_token`.
    """

    api_key: str | None = field(default=None, repr=False)
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> NoReturn:
        """Keep secrets in this process: no XCom, trigger or cache can carry them away."""
        msg = "Credentials are not pickled; read the connection again where they are needed."
        raise TypeError(msg)

    def secrets(self) -> tuple[str, ...]:
        """Every secret, as it stands and as Basic authentication sends it, for whoever has to hide them."""
        held = [secret for secret in (self.api_key, *self.extra.values()) if secret]
        return (*held, *(b64encode(f"{secret}:".encode()).decode() for secret in held))


NOTHING: Mapping[str, str] = MappingProxyType({})
"""What most calls have of parameters and headers."""


class Call(NamedTuple):
    """One HTTP call, described.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, already percent-encoded.
        params: Query parameters.
        body: JSON text to send, or None for no body.
        headers: Headers of this call only.
        replayable: Whether sending it twice does no harm when the first answer was lost.
        writes: What the record must show afterwards, by key of the vendor's answer.
        fields: Names of the update's fields that this call carries.
    """

    method: str
    path: str
    params: Mapping[str, str] = NOTHING
    body: str | None = None
    headers: Mapping[str, str] = NOTHING
    replayable: bool = True
    writes: Mapping[str, FieldValue] = NOTHING
    fields: tuple[str, ...] = ()


class Route(NamedTuple):
    """One of the calls that write a row, without what differs from row to row.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, with `{}` where the record id goes.
        keys: The vendor's keys that it carries; its body is a JSON object of them.
        replayable: Whether sending it twice does no harm when the first answer was lost.
    """

    method: str
    path: str
    keys: tuple[str, ...]
    replayable: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer says about the budget; None where it says nothing.

    Attributes:
        wait: Seconds until the next call may be sent; only set on a refusal.
        limit: Calls per window.
        remaining: Calls left in this window.
        reset: Seconds until the window opens anew.
    """

    wait: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline.

    Attributes:
        id: The vendor's value to write.
        label: What people call it.
        type: `won`, `lost` or `active`.
        pipeline: Name of its pipeline, or empty where the vendor has only one.
        pipeline_id: The vendor's id of its pipeline, likewise.
    """

    id: str
    label: str
    type: str
    pipeline: str = ""
    pipeline_id: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What one account offers: its fields, stages, currency and name.

    Attributes:
        fields: Every writable field, by the names users may write (canonical and the vendor's own).
        organization: The vendor's id of the customer, or None where the vendor does not tell.
        currency: The one currency of the account, or None where each record has its own.
        stages: All stages.
        labels: What people call a field whose name is only an id, by that name.
    """

    fields: Mapping[str, Field]
    organization: str | None = None
    currency: str | None = None
    stages: tuple[Stage, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def labelled(self, text: str) -> str:
        """Return a text with the label behind each field name that is only an id: `custom.cf_x (Health score)`."""
        for name, label in self.labels.items():
            if name in text:
                pattern = rf"{re.escape(name)}(?:\.(?:add|remove))?+(?!\w)(?! \()"
                text = re.sub(pattern, lambda found, label=label: f"{found[0]} ({label})", text)  # type: ignore[misc]
        return text


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint issued; the repr shows nothing of it.

    Attributes:
        access_token: Signs calls.
        refresh_token: Fetches the next pair; the one that fetched this pair is void. Empty if that one is still good.
        expires_at: When the access token ends.
        lifetime: How long it lived when it was issued.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: dt.datetime
    lifetime: dt.timedelta


@dataclass(frozen=True, slots=True)
class Grant:
    """How the access token of an account is fetched; its repr shows no secret.

    Attributes:
        path: Of the token endpoint, on the account's origin.
        client_id: The OAuth application.
        form: What is posted, but for `refresh_token`.
        refresh_token: The connection's: the first of the chain.
        read: Takes the answer and the time; returns the tokens, or raises a `CrmError` that holds no secret.
    """

    path: str
    client_id: str
    form: Mapping[str, str] = field(repr=False)
    refresh_token: str = field(repr=False)
    read: Callable[[requests.Response, dt.datetime], Tokens]


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
            answers: Body of each call of `discovery`, in order.
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
        """The calls that write these keys of a row, in order; none if there are no keys. See `writes.calls_of`."""
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


_MODULES = {"close": "airflow_provider_crm.vendors.close", "raze": "airflow_provider_crm.vendors.raze"}


class _Vendors(Mapping[str, Vendor]):
    """Vendors by connection type, imported when first asked for: a DAG file pays for none of them."""

    def __getitem__(self, name: str) -> Vendor:
        vendor: Vendor = import_module(_MODULES[name]).VENDOR
        return vendor

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


VENDORS: Mapping[str, Vendor] = _Vendors()
