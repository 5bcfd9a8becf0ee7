"""Fetch access tokens that need no refresh token: by an app's own secret, or by an assertion that it signs."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_crm.client.transport import post_form

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.credentials import Grant, Tokens

_MARGIN = dt.timedelta(seconds=60)


class FetchedTokens:
    """The access token of one connection in this process; safe for many threads.

    Any worker may fetch one at any time, and no other token is void for that. So each worker has its own, in memory,
    and fetches the next one when the vendor refuses it or its time is over: once, however many threads ask.

    Args:
        account: Whose tokens they are; called without them.
        grant: How they are fetched; it has no refresh token.
        clock: Time.
        hide: Called with each token, to mask it in logs.
    """

    def __init__(self, *, account: Account, grant: Grant, clock: Clock, hide: Callable[[str], None]) -> None:
        self._account = account
        self._grant = grant
        self._clock = clock
        self._hide = hide
        self._lock = threading.Lock()
        self._token: Tokens | None = None
        self._known: set[str] = set()

    def __repr__(self) -> str:
        """Name vendor and host only."""
        return f"FetchedTokens({self._account.vendor.name}, {self._account.origin})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return every token fetched so far."""
        return tuple(self._known)

    def token(self) -> str:
        """Return an access token that is valid as far as is known; fetch one if necessary.

        Raises:
            CrmError: The endpoint refuses, or cannot be reached.
        """
        with self._lock:
            now = self._clock.now()
            if self._token is None or now + min(_MARGIN, self._token.lifetime / 2) >= self._token.expires_at:
                self._token = self._fetched(now)
            return self._token.access_token

    def refused(self, token: str) -> None:
        """Note that the vendor refused a token; one that was replaced already is no news."""
        with self._lock:
            if self._token is not None and self._token.access_token == token:
                self._token = None

    def _fetched(self, now: dt.datetime) -> Tokens:
        assertion = {} if self._grant.assertion is None else self._grant.assertion(now)
        response = post_form(self._account, self._grant.path, {**self._grant.form, **assertion})
        fetched = self._grant.read(response, self._clock.now())
        self._known.add(fetched.access_token)
        self._hide(fetched.access_token)
        return fetched
