"""Describe one customer of one vendor: where it is, and how its calls are signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.credentials import Credentials
    from airflow_provider_crm.vendors.protocol import Vendor

DEFAULT_TIMEOUT = 30.0
_HTTPS_PORT = 443
_HTTP_PORT = 80
_FINGERPRINT_ROUNDS = 100_000


class TokenSource(Protocol):
    """A source of access tokens that expire."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every token given so far, to be kept out of messages."""
        ...

    def token(self) -> str:
        """Return a token that is valid now as far as is known; may fetch one, for some seconds.

        Raises:
            CrmError: No token can be fetched.
        """
        ...

    def refused(self, token: str) -> None:
        """Note that the vendor refused a token, so that the next one is another."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """The way to one customer of one vendor.

    Attributes:
        vendor: The adapter.
        origin: Scheme, host and port; the vendor's own unless the connection names another.
        credentials: The secrets that sign the calls.
        timezone: IANA zone of dates and of `x-tz-offset` where a call names no other. Without one, None, the offset
            says UTC.
        timeout: Seconds to wait for an answer.
        name: The user's name for the account, where the vendor has none: the `account` of the connection's extra,
            else the connection's id.
        tokens: The source of access tokens; None if the credentials sign calls themselves.
        stated: The vendor's limit as the connection states it, where pacing starts; None to start without one.
        hidden: Names of fields whose values are never shown, beside those that the vendor calls personal.
        connection: Id of the Airflow connection, for messages; empty if the account has no connection.
        settings: What the connection says for the vendor's settings, by key of `Vendor.extra`.
    """

    vendor: Vendor
    origin: str
    credentials: Credentials
    timezone: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    name: str = ""
    tokens: TokenSource | None = None
    stated: StatedLimit | None = None
    hidden: frozenset[str] = frozenset()
    connection: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def option_headers(self) -> dict[str, str]:
        """The headers of every call that the settings choose."""
        chosen = ((self.vendor.extra[name].header, text) for name, text in self.settings.items())
        return {header.name: header.values[text] for header, text in chosen if header is not None}

    @property
    def key_digest(self) -> str:
        """The SHA-256 of the secrets, which distinguishes keys and reveals none."""
        return hashlib.sha256("\n".join(self.credentials.secrets()).encode()).hexdigest()

    @property
    def host(self) -> str:
        """Host and port in their one spelling, see `canonical_host`."""
        return canonical_host(self.origin)

    @property
    def key_fingerprint(self) -> str:
        """A slow hash of the secrets, salted with the host: it distinguishes keys, and no key can be found from it."""
        salt = self.host_prefix.encode()
        return hashlib.pbkdf2_hmac("sha256", self.key_digest.encode(), salt, _FINGERPRINT_ROUNDS).hex()

    def budget_name(self, group: str) -> str:
        """Return the name of the budget that all workers with these credentials share: vendors count by key.

        Args:
            group: The endpoint group.
        """
        return f"{self.host_prefix}{self.key_digest}:{group}"

    @property
    def host_prefix(self) -> str:
        """Vendor and host: the prefix of the names of all accounts there."""
        return f"{self.vendor.name}:{self.host}:"

    def key(self, catalogue: Catalogue) -> str:
        """Return the account's name in reports and the ledger: vendor, host and organization.

        Where the vendor names no organization, the ledger may know the account by another name, see
        `ledger.accounts.AccountNames`.
        """
        return f"{self.host_prefix}{catalogue.organization or self.name}"


def canonical_host(origin: str) -> str:
    """Return the one spelling of an origin's host and port: two that lead to one server have the same.

    Lower case, international names in ASCII, no final dot, the shortest IP address, `127.0.0.1` for this machine, and
    no port where it is the one of https.

    Args:
        origin: Scheme, host and port.
    """
    parts = urlsplit(origin)
    name = _ascii((parts.hostname or "").rstrip("."))
    port = parts.port or (_HTTP_PORT if parts.scheme == "http" else _HTTPS_PORT)
    try:
        address = ip_address(name)
    except ValueError:
        name = "127.0.0.1" if name == "localhost" else name
    else:
        address = getattr(address, "ipv4_mapped", None) or address
        name = "127.0.0.1" if address.compressed == "::1" else address.compressed
    name = f"[{name}]" if ":" in name else name
    return name if port == _HTTPS_PORT and parts.scheme != "http" else f"{name}:{port}"


def _ascii(name: str) -> str:
    """Return an international name as it is looked up, as `requests` does it."""
    if name.isascii():
        return name.lower()
    import idna

    try:
        return idna.encode(name, uts46=True).decode().lower()
    except idna.IDNAError:  # which no request survives, either
        return name.lower()
