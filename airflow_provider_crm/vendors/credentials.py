"""Describe how an account authenticates: the keys of its connection, and the tokens that OAuth issues."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import requests


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
        refresh_token: The connection's: the first of the chain.
        read: Takes the answer and the time; returns the tokens, or raises a `CrmError` without a secret.
    """

    path: str
    client_id: str
    form: Mapping[str, str] = field(repr=False)
    refresh_token: str = field(repr=False)
    read: Callable[[requests.Response, dt.datetime], Tokens]
