"""Describe how an account authenticates: the keys of its connection, the headers of its calls, the tokens of OAuth."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.response import HttpResponse


@dataclass(frozen=True, slots=True)
class OptionHeader:
    """A header of every call that a setting of the connection chooses.

    Attributes:
        name: Its name.
        values: Its value for each text that the connection may say; no other is allowed.
    """

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ExtraField:
    """One allowed key of a connection's extra, as the connection form shows it.

    Attributes:
        label: Its name in the form.
        description: Its explanation in the form.
        type: Its type in the form.
        secret: Whether the form hides it.
        in_header: Whether it has only characters that an HTTP header can contain; a key of several lines has others.
        setting: Whether it says how the account is used. All others are parts of the credentials, which no log shows.
        header: The header that a setting chooses; None for none.
    """

    label: str
    description: str
    type: str = "string"
    secret: bool = False
    in_header: bool = True
    setting: bool = False
    header: OptionHeader | None = None


COMMON_EXTRA: Mapping[str, ExtraField] = {
    "timezone": ExtraField(
        "Time zone",
        "IANA name, such as America/New_York: the zone in which the CRM's dates are meant, for tasks that name none. "
        "Without one, a point in time is refused where the CRM wants a date.",
    ),
    "timeout": ExtraField("Timeout", "Seconds to wait for an answer. Default 30.", type="number"),
    "account": ExtraField("Account", "Name of the account in reports, where the vendor does not show one."),
    "budget": ExtraField(
        "Budget", "The vendor's limit, such as 40/1s or 1000/1h, to start from until its answers say more."
    ),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of an account; the repr shows none of them, and they cannot be pickled.

    Attributes:
        api_key: The connection's password, or None.
        extra: The vendor's own keys of the connection's extra, such as `access_token`.
    """

    api_key: str | None = field(default=None, repr=False)
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to pickle secrets, so that no XCom, trigger or cache can carry them away."""
        msg = "Credentials are not pickled; read the connection again where they are needed."
        raise TypeError(msg)

    def secrets(self) -> tuple[str, ...]:
        """Return every secret to hide, as it stands and as Basic authentication sends it."""
        plain = [secret for secret in (self.api_key, *self.extra.values()) if secret]
        return (*plain, *(b64encode(f"{secret}:".encode()).decode() for secret in plain))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens that a token endpoint issued; the repr shows neither.

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
    """The way to fetch the access token of an account; the repr shows no secret.

    Attributes:
        path: Of the token endpoint, on the account's origin.
        client_id: The OAuth application.
        form: The fields to post, without `refresh_token`.
        refresh_token: The connection's: the first of the chain. Empty if tokens are fetched without one.
        read: Takes the answer and the time; returns the tokens, or raises a `CrmError` without a secret.
        assertion: Takes the time; returns further fields to post, made for each request; only without a
            refresh token.
    """

    path: str
    client_id: str
    form: Mapping[str, str] = field(repr=False)
    refresh_token: str = field(repr=False)
    read: Callable[[HttpResponse, dt.datetime], Tokens]
    assertion: Callable[[dt.datetime], Mapping[str, str]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Authentication:
    """What a vendor makes of credentials; the repr shows no secret, and it cannot be pickled.

    Attributes:
        problems: What is missing or contradictory, one sentence each. Then there is nothing else.
        headers: Sent with every call to the account's own origin, after all other headers, in this order.
        grant: How access tokens are fetched, if these credentials cannot sign calls themselves.
    """

    problems: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    grant: Grant | None = field(default=None, repr=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to pickle secrets, as `Credentials` does."""
        msg = "An authentication is not pickled; make it from the credentials where it is needed."
        raise TypeError(msg)


def basic_authorization(user: str, password: str = "") -> str:
    """Return the value of an `Authorization` header for HTTP Basic."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
