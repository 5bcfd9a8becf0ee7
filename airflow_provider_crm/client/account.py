"""One customer of one vendor: where it is, and what signs its calls."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.credentials import Credentials
    from airflow_provider_crm.vendors.protocol import Vendor

DEFAULT_TIMEOUT = 30.0
_HTTPS_PORT = 443
_HTTP_PORT = 80
_FINGERPRINT_ROUNDS = 100_000


class TokenSource(Protocol):
    """Gives access tokens that expire."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every token given so far, to be kept out of messages."""
        ...

    def token(self) -> str:
        """A token that is good now as far as is known; may fetch one, which takes some seconds.

        Raises:
            CrmError: If there is none to be had.
        """
        ...

    def refused(self, token: str) -> None:
        """Note that the vendor refused a token, so that the next one is another."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """How to reach one customer of one vendor.

    Attributes:
        vendor: The adapter.
        origin: Scheme, host and port; the vendor's own unless the connection names another.
        credentials: What signs the calls.
        timezone: IANA zone of dates and of `x-tz-offset` where a call names no other, or None when nobody named one;
            the offset then says UTC.
        timeout: Seconds to wait for an answer.
        name: What the user calls the account, where the vendor does not tell: the `account` of the connection's extra,
            else the connection's id.
        tokens: Where access tokens come from that are fetched; None if the credentials sign calls themselves.
        stated: The vendor's limit as the connection states it, where pacing starts; None to start without one.
        hidden: Names of fields whose values are to be seen nowhere, beside those that the vendor calls personal.
        connection: Id of the Airflow connection, for messages; empty where there is none.
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

    @property
    def key_digest(self) -> str:
        """The SHA-256 of the secrets, by which a key is told from others and not known."""
        return hashlib.sha256("\n".join(self.credentials.secrets()).encode()).hexdigest()

    @property
    def host(self) -> str:
        """Host and port in their one spelling, see `canonical_host`."""
        return canonical_host(self.origin)

    @property
    def key_fingerprint(self) -> str:
        """A slow hash of the secrets, other for each host: it tells keys apart, and nobody finds the key from it."""
        salt = self.place.encode()
        return hashlib.pbkdf2_hmac("sha256", self.key_digest.encode(), salt, _FINGERPRINT_ROUNDS).hex()

    def budget_name(self, group: str) -> str:
        """Name of the budget that all workers with these credentials share: vendors count by key.

        Args:
            group: The endpoint group.
        """
        return f"{self.place}{self.key_digest}:{group}"

    @property
    def place(self) -> str:
        """Vendor and host: what the names of all accounts there begin with."""
        return f"{self.vendor.name}:{self.host}:"

    def key(self, catalogue: Catalogue) -> str:
        """Name of the account in reports and the ledger: vendor, host and organization.

        Where the vendor names no organization, the ledger may know the account by another name, see
        `ledger_accounts.AccountNames`.
        """
        return f"{self.place}{catalogue.organization or self.name}"


def canonical_host(origin: str) -> str:
    """The one spelling of an origin's host and port: two that lead to one server have the same.

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
    """An international name as it is looked up, as `requests` does it."""
    if name.isascii():
        return name.lower()
    import idna

    try:
        return idna.encode(name, uts46=True).decode().lower()
    except idna.IDNAError:  # which no request survives, either
        return name.lower()
