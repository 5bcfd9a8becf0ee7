"""What authenticates an account: the keys of a connection, and the tokens that OAuth issues."""

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
        """Return every secret to hide, as it stands and as Basic authentication sends it."""
        held = [secret for secret in (self.api_key, *self.extra.values()) if secret]
        return (*held, *(b64encode(f"{secret}:".encode()).decode() for secret in held))


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
