"""Fetch OAuth access tokens with a refresh token that is replaced at every use; all workers share one chain of them.

A vendor that rotates refresh tokens voids the old one when it issues the next. So one worker refreshes at a time, under
the lock of its transaction in the ledger's database. No worker uses a token before it is stored there, encrypted. The
others then find the new token.

One gap remains: the worker or the answer may be lost after the vendor has issued a token and before it is stored. Then
the chain is broken, and the application has to be authorised again. That time is one answer of the token endpoint.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from airflow_provider_crm.client.transport import post_form
from airflow_provider_crm.database.schema import tokens
from airflow_provider_crm.exceptions import LedgerUnavailableError, RateLimitedError, TransientError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.database.database import Database
    from airflow_provider_crm.vendors.credentials import Grant, Tokens

_MARGIN = dt.timedelta(seconds=60)
_ATTEMPTS = 4
_LONGEST_WAIT = 10.0


class Cipher(Protocol):
    """Encrypts what is stored."""

    def encrypt(self, text: str) -> str:
        """Return a text that only `decrypt` reads."""
        ...

    def decrypt(self, text: str) -> str:
        """Return the text that was encrypted.

        Raises:
            ConfigurationError: If it was encrypted with another key.
        """
        ...


def encrypt_again(database: Database, cipher: Cipher) -> int:
    """Encrypt all stored tokens with the cipher's first key; return the number of rows.

    A worker that refreshes a token at the same time waits, or is waited for.

    Args:
        database: Where they are stored.
        cipher: Decrypts them with any of its keys.

    Raises:
        ConfigurationError: A token was encrypted with a key that the cipher does not have; those before it are done.
        LedgerUnavailableError: The database cannot be used.
    """
    with database.transaction() as connection:
        names = connection.execute(sa.select(tokens.c.name).order_by(tokens.c.name)).scalars().all()
    for name in names:
        with database.transaction(lock=name) as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.name == name)).one()
            stored = {"access_token": row.access_token, "refresh_token": row.refresh_token}
            again = {key: text and cipher.encrypt(cipher.decrypt(text)) for key, text in stored.items()}
            connection.execute(sa.update(tokens).where(tokens.c.name == name).values(again))
    return len(names)


class StoredTokens:
    """The access token of one connection, refreshed by the worker that first needs it.

    Safe for many threads, processes and machines on one database. On SQLite a refresh has the write lock, so that
    the ledger waits for it.

    Args:
        database: Where they are stored.
        account: Whose tokens they are; called without them.
        grant: How tokens are fetched, and the first refresh token.
        cipher: Encrypts them in the database.
        clock: Time.
        hide: Called with each secret, to mask it in logs.
    """

    def __init__(
        self,
        database: Database,
        *,
        account: Account,
        grant: Grant,
        cipher: Cipher,
        clock: Clock,
        hide: Callable[[str], None],
    ) -> None:
        self._database = database
        self._account = account
        self._grant = grant
        self._cipher = cipher
        self._clock = clock
        self._hide = hide
        first = hashlib.sha256(grant.refresh_token.encode()).hexdigest()
        self._name = f"{account.host_prefix}{grant.client_id}:{first}"
        self._lock = threading.Lock()
        self._token: Tokens | None = None
        self._unsaved: Tokens | None = None
        self._refused = ""
        self._closed_until = -math.inf
        self._known: set[str] = set()

    def __repr__(self) -> str:
        """Name vendor and host only."""
        return f"StoredTokens({self._account.vendor.name}, {self._account.origin})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return every token seen so far."""
        return tuple(self._known)

    def token(self) -> str:
        """Return an access token that has not expired as far as is known; refresh it if necessary.

        Raises:
            AuthenticationError: The vendor refused the refresh token or the application's secret.
            TransientError: The token endpoint or the ledger's database cannot be used now.
        """
        with self._lock:
            if self._token is None or not self._fresh(self._token):
                self._token = self._tried()
            return self._token.access_token

    def refused(self, token: str) -> None:
        """Note that the vendor refused an access token, so that `token` gives another one."""
        with self._lock:
            self._refused = token

    def _fresh(self, current: Tokens) -> bool:
        return current.access_token != self._refused and self._clock.now() + self._margin(current) < current.expires_at

    def _margin(self, current: Tokens) -> dt.timedelta:
        """Return how early a token counts as expired: by a minute, or by half its life if it lives for seconds only."""
        return min(_MARGIN, current.lifetime / 2)

    def _tried(self) -> Tokens:
        """Try some times; other workers can have the lock between the attempts."""
        attempt = 1
        while True:
            try:
                return self._shared()
            except TransientError as err:
                wait = max(err.retry_after or 0.0, 0.5 * attempt)
                if isinstance(err, LedgerUnavailableError) or attempt == _ATTEMPTS or wait > _LONGEST_WAIT:
                    if isinstance(err, RateLimitedError):
                        self._closed_until = self._clock.monotonic() + (err.retry_after or 0.0)
                    raise
                attempt += 1
                self._clock.sleep(wait)

    def _shared(self) -> Tokens:
        """Return the token that all workers share: the stored one, or a new one after it is stored."""
        try:
            with self._database.transaction(lock=self._name) as connection:
                stored = self._stored(connection)
                if stored is not None and self._fresh(stored) and self._unsaved is None:
                    return stored
                self._touch(connection)
                if self._unsaved is None:
                    self._unsaved = self._fetched(stored.refresh_token if stored else self._grant.refresh_token)
                self._store(connection, self._unsaved)
            saved, self._unsaved = self._unsaved, None
            return saved
        finally:
            self._database.close()

    def _stored(self, connection: Connection) -> Tokens | None:
        from airflow_provider_crm.vendors.credentials import Tokens

        row = connection.execute(sa.select(tokens).where(tokens.c.name == self._name)).one_or_none()
        if row is None or row.refresh_token is None:
            return None
        access, refresh = self._cipher.decrypt(row.access_token), self._cipher.decrypt(row.refresh_token)
        self._remember(access, refresh)
        return Tokens(access, refresh, row.expires_at, row.expires_at - row.refreshed_at)

    def _touch(self, connection: Connection) -> None:
        """Write before the vendor is asked: a full or read-only database fails while the old token is still valid."""
        insert = self._database.insert(tokens)
        values = {"name": self._name, "asked_at": self._clock.now()}
        connection.execute(
            insert.values(values).on_conflict_do_update(
                index_elements=[tokens.c.name], set_={"asked_at": values["asked_at"]}
            )
        )

    def _fetched(self, refresh_token: str) -> Tokens:
        if (wait := self._closed_until - self._clock.monotonic()) > 0:  # all threads ask, each for its call
            vendor = self._account.vendor
            msg = f"{vendor.display_name}'s token endpoint may be called again in {wait:.0f} seconds."
            raise RateLimitedError(msg, vendor=vendor.name, code="BUDGET_USED_UP", retry_after=wait)
        response = post_form(self._account, self._grant.path, {**self._grant.form, "refresh_token": refresh_token})
        fetched = self._grant.read(response, self._clock.now())
        if not fetched.refresh_token:  # then the one that was sent is still good
            fetched = replace(fetched, refresh_token=refresh_token)
        self._remember(fetched.access_token, fetched.refresh_token)
        return fetched

    def _store(self, connection: Connection, fetched: Tokens) -> None:
        connection.execute(
            sa.update(tokens)
            .where(tokens.c.name == self._name)
            .values(
                access_token=self._cipher.encrypt(fetched.access_token),
                refresh_token=self._cipher.encrypt(fetched.refresh_token),
                expires_at=fetched.expires_at,
                refreshed_at=fetched.expires_at - fetched.lifetime,
            )
        )

    def _remember(self, *secrets: str) -> None:
        for secret in secrets:
            if secret not in self._known:
                self._known.add(secret)
                self._hide(secret)
