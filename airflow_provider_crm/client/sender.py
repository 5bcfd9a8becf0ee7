"""Send single calls to one account, and turn refusals into errors."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import requests

from airflow_provider_crm.client.redaction import hidden, redacted
from airflow_provider_crm.client.transport import Signature, Wire, authenticated_session
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, TransientError
from airflow_provider_crm.vendors.answers import text_of

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.passage import Passage
    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.vendors.calls import Call
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


class OutgoingCall(NamedTuple):
    """A call with the record and the zone that all its attempts have in common.

    Attributes:
        call: The call.
        record_id: The opportunity, for messages; None where the call is about no single one.
        timezone: IANA zone of the offset header; None for the account's.
    """

    call: Call
    record_id: str | None = None
    timezone: str | None = None


class Sender:
    """The sender of signed calls, each of them once; safe for many threads.

    Args:
        account: Where the calls go, and what signs them.
        clock: Time.
        redactor: Takes secrets out of answers.

    Attributes:
        http: The session of `requests` whose connections and settings are used.
    """

    def __init__(self, account: Account, clock: Clock, redactor: Redactor) -> None:
        self._account = account
        self._clock = clock
        self._redactor = redactor
        self._signature = Signature(account, clock)
        self.http = authenticated_session(account, self._signature)
        self.wire = Wire(account, self.http, account.timeout)
        self._lock = threading.Lock()
        self._calls = 0

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

    def send(self, outgoing: OutgoingCall) -> requests.Response:
        """Return the answer, whatever its status.

        Raises:
            CrmError: There is no whole answer.
        """
        with self._lock:
            self._calls += 1
        return self.wire.send(self._prepared(outgoing.call, outgoing.timezone), outgoing.record_id)

    def send_allowed(self, outgoing: OutgoingCall, passage: Passage) -> requests.Response:
        """Return the answer to a call that the rate limit allows, and note in its passage what it says of the limit.

        Raises:
            CrmError: There is no whole answer, or the vendor refuses the call.
        """
        passage.sent = True
        response = self.send(outgoing)
        passage.limits = self._account.vendor.limits(response, self._clock.now())
        passage.refused = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        self.check_redirect(response)
        if not response.ok:
            raise self._refusal(response, passage.limits)
        return response

    def check_redirect(self, response: requests.Response) -> None:
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

    def _refusal(self, response: requests.Response, limits: Limits) -> CrmError:
        err = self._account.vendor.error(redacted(response, self._redactor.secrets))
        if isinstance(err, TransientError):
            err.retry_after = limits.wait
        return err

    def _prepared(self, call: Call, timezone: str | None) -> requests.PreparedRequest:
        """Return the signed request, put together by hand: what `requests.Session` merges never differs here."""
        request = requests.PreparedRequest()
        request.prepare_method(call.method)
        request.prepare_headers(self.http.headers)
        if call.params:
            request.prepare_url(self._account.origin + call.path, call.params)
        else:  # the path is percent-encoded already
            request.url = self._signature.origin + call.path
        if call.body is not None:
            request.body = call.body.encode()
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(request.body))
        return self._signature.sign(request, timezone)
