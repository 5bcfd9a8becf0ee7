"""Send single requests to one account, and turn refusals into errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_crm.client.clock_difference import ClockDifference
from airflow_provider_crm.client.redaction import hidden, redacted
from airflow_provider_crm.client.transport import Wire
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, RateLimitedError, TransientError
from airflow_provider_crm.vendors.answers import text_of
from airflow_provider_crm.vendors.limit_headers import date_of, first_known
from airflow_provider_crm.vendors.limits import longest_wait

if TYPE_CHECKING:
    import datetime as dt

    import requests

    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.passage import Passage
    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.limits import Limits

_REDIRECTS = frozenset(
    {
        HTTPStatus.MULTIPLE_CHOICES,
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.USE_PROXY,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


class Sender:
    """The sender of signed requests, each of them once; safe for many threads.

    Args:
        account: Where the requests go, and whose tokens sign them.
        http: The session of `requests` whose connections and settings are used.
        clock: Time.
        redactor: Takes secrets out of answers.
    """

    def __init__(self, account: Account, http: requests.Session, clock: Clock, redactor: Redactor) -> None:
        self._account = account
        self._clock = clock
        self._redactor = redactor
        self.wire = Wire(account, http, account.timeout)
        self._lock = threading.Lock()
        self._calls = 0
        self._difference = ClockDifference()
        self._timezone: str | None = None

    @property
    def calls(self) -> int:
        """Calls sent so far."""
        return self._calls

    def token(self) -> str | None:
        """Return the access token that signs calls; None for an account whose credentials need none.

        Raises:
            CrmError: No token can be fetched.
        """
        return None if self._account.tokens is None else self._account.tokens.token()

    def refuse_token(self, token: str) -> None:
        """Note that the vendor refused a token."""
        if self._account.tokens is not None:
            self._account.tokens.refused(token)

    def note_timezone(self, timezone: str | None) -> None:
        """Note the account's zone, by which the vendor may count its days."""
        self._timezone = timezone

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        """Return the answer, whatever its status.

        Raises:
            CrmError: There is no whole answer.
        """
        with self._lock:
            self._calls += 1
        return self.wire.send(request)

    def send_allowed(self, request: requests.PreparedRequest, passage: Passage) -> requests.Response:
        """Return the answer to a call that the rate limit allows, and note in its passage which limits it shows.

        Raises:
            CrmError: There is no whole answer, or the vendor refuses the call.
        """
        passage.sent = True
        sent_at = self._clock.monotonic()
        response = self.send(request)
        server_time = self._server_time(response, sent_at)
        passage.limits = self._account.vendor.limits(response, server_time, self._timezone)
        passage.refused = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        self._check_redirect(response)
        if not response.ok:
            err = self._refusal(response, passage.limits)
            passage.refused = passage.refused or isinstance(err, RateLimitedError)  # some vendors refuse with a 403
            raise err
        return response

    def server_time(self) -> dt.datetime | None:
        """Return the time on the server's clock, as far as answers have shown it."""
        return self._difference.server_time(self._clock.monotonic())

    def _server_time(self, response: requests.Response, sent_at: float) -> dt.datetime:
        """Return the time on the server's clock at which an answer came, as far as answers have shown that clock."""
        received_at, date = self._clock.monotonic(), date_of(response)
        with self._lock:
            self._difference = self._difference.observe(date, sent_at=sent_at, received_at=received_at)
        return self._difference.server_time(received_at) or self._clock.now()

    def probe(self, prepare: Callable[[], requests.PreparedRequest]) -> str:
        """Test the connection with one request and no retry; return what it shows.

        Args:
            prepare: Returns the signed request; called again for another access token if the vendor refuses the first.

        Raises:
            CrmError: The connection does not work.
        """
        token, sent_at = self.token(), self._clock.monotonic()
        response = self.send(prepare())
        self._server_time(response, sent_at)
        if token is not None and response.status_code == HTTPStatus.UNAUTHORIZED:
            self.refuse_token(token)
            response = self.send(prepare())
        self._check_redirect(response)
        try:
            return self._redactor.read(self._account.vendor.check_probe, response)
        except CrmError as err:
            self._redactor.redact(err, None)
            raise

    def _check_redirect(self, response: requests.Response) -> None:
        """Refuse an answer that is a redirect.

        Raises:
            ConfigurationError: Naming where it leads to.
        """
        if response.status_code not in _REDIRECTS:
            return
        try:
            netloc = urlsplit(response.headers.get("Location", "")).netloc
        except ValueError:
            netloc = "an address that is none"
        target = text_of(hidden(netloc.rpartition("@")[2], self._redactor.secrets)) or "another path"
        msg = (
            f"{self._account.origin} answered {response.status_code}, a redirect to {target}; it was not followed. "
            "Check the connection's host."
        )
        raise ConfigurationError(msg, vendor=self._account.vendor.name, status=response.status_code, code="REDIRECT")

    def _refusal(self, response: requests.Response, limits: tuple[Limits, ...]) -> CrmError:
        err = self._account.vendor.error(redacted(response, self._redactor.secrets))
        if isinstance(err, TransientError):
            err.retry_after = first_known(longest_wait(limits), err.retry_after)
        return err
