"""HTTP to one account's origin: signed, never redirected, always with a timeout, its errors in this package's words."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,  # noqa: A004 - urllib3's own
)

from airflow_provider_crm import __version__
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, TransientError
from airflow_provider_crm.moments import offset_hours
from airflow_provider_crm.vendors import Credentials

if TYPE_CHECKING:
    from airflow_provider_crm.account import Account
    from airflow_provider_crm.budget import Clock

LARGEST_POOL = 64
NOT_SENT = "UNREACHABLE"
"""Code of an error after which it is sure that nothing was sent."""

_TOKEN_TIMEOUT = 10.0
_NO_RETRIES = Retry(False)  # noqa: FBT003 - urllib3's word for errors as they are


class Signature(AuthBase):
    """Signs requests to the account's own origin, and no other, with credentials and the vendor's headers."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        try:  # as requests itself writes it: lower case, punycode
            self.origin = _origin_of(requests.Request("GET", account.origin).prepare().url or "")
        except requests.RequestException as err:
            msg = f"No request can be made to {account.origin!r}. Check the connection's host."
            raise ConfigurationError(msg, vendor=account.vendor.name, code="REQUEST") from err

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign; a request to another origin stays as it is."""
        if _origin_of(request.url or "") != self.origin:
            return request
        offset = offset_hours(self._clock.now(), self._account.timezone or "UTC")
        for name, value in self._account.vendor.headers(offset).items():
            request.headers.setdefault(name, value)
        credentials = self._account.credentials
        if self._account.tokens is not None:
            credentials = Credentials(extra={"access_token": self._account.tokens.token()})
        signed: requests.PreparedRequest = self._account.vendor.auth(credentials)(request)
        return signed


class _NeverRedirected(requests.Session):
    """A redirect is an answer like any other: following it would carry credentials to another place."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - part of requests' interface
        return None


class _Adapter(HTTPAdapter):
    """Sets the account's timeout on every request that names none."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        super().__init__(pool_connections=1, pool_maxsize=LARGEST_POOL)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)


class Wire:
    """The connections beneath a session of requests, which share its pool, proxies and certificates.

    Sends requests that are put together and signed already, without the hooks, cookies and redirects that nothing here
    has, and without the merging and wrapping that take `requests.Session` as long as the call itself.

    Args:
        http: The session.
        origin: Scheme, host and port of all calls, as requests itself writes it.
        timeout: Seconds to wait for a connection, and for each part of an answer.
    """

    def __init__(self, http: requests.Session, origin: str, timeout: float) -> None:
        self._http = http
        self._origin = origin
        self._timeout = Timeout(timeout)
        self._lock = threading.Lock()
        self._opened: tuple[HTTPConnectionPool, str] | None = None

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        """Send one request and read the whole answer.

        Raises:
            urllib3.exceptions.HTTPError: There is no whole answer.
        """
        pool, prefix = self._opened or self._open()
        raw = pool.urlopen(
            request.method or "GET",
            prefix + (request.url or "").removeprefix(self._origin),
            request.body,
            request.headers,
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            timeout=self._timeout,
        )
        response = requests.Response()
        response.status_code = raw.status
        response.reason = raw.reason or ""
        response.headers = CaseInsensitiveDict(raw.headers)
        response.url = request.url or ""
        response._content = raw.data  # noqa: SLF001 - requests has no other way to take a body that was read already
        return response

    def _open(self) -> tuple[HTTPConnectionPool, str]:
        """The pool, and what stands before each path: a plain proxy is asked for whole addresses."""
        with self._lock:
            if self._opened is None:
                template = requests.Request("GET", self._origin).prepare()
                adapter = cast("HTTPAdapter", self._http.get_adapter(self._origin))
                verify = True if self._http.verify is None else self._http.verify
                found = adapter.get_connection_with_tls_context(template, verify, proxies=self._http.proxies)
                pool = cast("HTTPConnectionPool", found)
                adapter.cert_verify(pool, self._origin, verify, None)  # type: ignore[no-untyped-call, unused-ignore]
                whole = adapter.request_url(template, self._http.proxies).startswith("http")
                self._opened = pool, self._origin if whole else ""
            return self._opened


def authenticated_session(account: Account, signature: Signature) -> requests.Session:
    """A plain session that signs calls to the account's origin and always has a timeout."""
    session = _plain_session(account, account.timeout)
    session.auth = signature
    return session


def post_form(account: Account, path: str, form: Mapping[str, str]) -> requests.Response:
    """Post a form that holds secrets to the account's origin, unsigned, once; redirects are not followed.

    Raises:
        CrmError: If there is no answer.
    """
    timeout = min(account.timeout, _TOKEN_TIMEOUT)
    with _plain_session(account, timeout) as session:
        request = session.prepare_request(requests.Request("POST", account.origin + path, data=dict(form)))
        try:
            return Wire(session, _origin_of(request.url or ""), timeout).send(request)
        except HTTPError as err:
            raise transport_error(account, err, None) from err


def _plain_session(account: Account, timeout: float) -> requests.Session:
    """The environment's proxies and certificates are read once, here, instead of on every call."""
    session = _NeverRedirected()
    session.headers["User-Agent"] = f"airflow-provider-crm/{__version__}"
    session.headers["Accept"] = "application/json"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.proxies = requests.utils.get_environ_proxies(account.origin)
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.trust_env = False
    adapter = _Adapter(timeout)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def transport_error(account: Account, err: HTTPError, record_id: str | None) -> CrmError:
    """The error of this package for a call without an answer, saying whether it was sent at all."""
    host, vendor = account.origin, account.vendor.name
    if isinstance(err, SSLError) and not _cut(err):
        msg = f"{host} has no valid TLS certificate for this machine."
        return ConfigurationError(msg, vendor=vendor, code="TLS")
    if isinstance(err, (ConnectTimeoutError, NewConnectionError, ProxyError)):
        msg = f"{host} cannot be reached. Check the connection's host and the network."
        return TransientError(msg, vendor=vendor, code=NOT_SENT, record_id=record_id)
    if isinstance(err, TimeoutError):
        msg = f"{host} did not answer within {account.timeout:g} seconds."
        return TransientError(msg, vendor=vendor, code="TIMEOUT", record_id=record_id)
    if isinstance(err, (ProtocolError, SSLError)):
        msg = f"{host} cut the connection before its answer was complete."
        return TransientError(msg, vendor=vendor, code="CONNECTION_CUT", record_id=record_id)
    if isinstance(err, DecodeError):
        msg = f"{host} sent an answer that cannot be decoded."
        return TransientError(msg, vendor=vendor, code="NO_RECORD", record_id=record_id)
    msg = f"The request to {host} could not be made ({type(err).__name__}). Check the connection's host."
    return ConfigurationError(msg, vendor=vendor, code="REQUEST")


def _cut(err: SSLError) -> bool:
    """Whether a TLS error is only a connection that ended early: a reset by another name."""
    return any(isinstance(cause, ssl.SSLEOFError) for cause in err.args)
