"""One customer of one vendor: where it is, and what signs its calls."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_crm.budget import StatedLimit
    from airflow_provider_crm.vendors import Catalogue, Credentials, Vendor

DEFAULT_TIMEOUT = 30.0


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
        name: What the user calls the account, where the vendor does not tell.
        tokens: Where access tokens come from that are fetched; None if the credentials sign calls themselves.
        stated: The vendor's limit as the connection states it, where pacing starts; None to start without one.
        hidden: Names of fields whose values are to be seen nowhere, beside those that the vendor calls personal.
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

    @property
    def key_digest(self) -> str:
        """The SHA-256 of the secrets, by which a key is told from others and not known."""
        return hashlib.sha256("\n".join(self.credentials.secrets()).encode()).hexdigest()

    def budget_name(self, group: str) -> str:
        """Name of the budget that all workers with these credentials share: vendors count by key.

        Args:
            group: The endpoint group.
        """
        return f"{self.vendor.name}:{urlsplit(self.origin).netloc}:{self.key_digest}:{group}"

    @property
    def place(self) -> str:
        """Vendor and host: what the names of all accounts there begin with."""
        return f"{self.vendor.name}:{urlsplit(self.origin).netloc}:"

    def key(self, catalogue: Catalogue) -> str:
        """Name of the account in reports and the ledger: vendor, host and organization."""
        return f"{self.place}{catalogue.organization or self.name}"
