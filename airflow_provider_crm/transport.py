"""HTTP to one account's origin: signed, never redirected, always with a timeout, its errors in this package's words."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_crm import __version__
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, TransientError
from airflow_provider_crm.opportunity import offset_hours
from airflow_provider_crm.vendors import Credentials

if TYPE_CHECKING:
    from airflow_provider_crm.account import Account
    from airflow_provider_crm.budget import Clock

LARGEST_POOL = 64
NOT_SENT = "UNREACHABLE"
"""Code of an error after which it is sure that nothing was sent."""

_TOKEN_TIMEOUT = 10.0


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


def sent(http: requests.Session, request: requests.PreparedRequest) -> requests.Response:
    """Send one request and read the whole answer, without the hooks, cookies and redirects that nothing here has.

    Raises:
        requests.RequestException: As `requests.Session.send` does.
    """
    adapter = http.get_adapter(request.url or "")
    response = adapter.send(
        request, verify=True if http.verify is None else http.verify, cert=http.cert, proxies=http.proxies
    )
    _ = response.content  # read here, where a cut answer is an error of the transport
    return response


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
    try:
        with _plain_session(account, min(account.timeout, _TOKEN_TIMEOUT)) as session:
            return session.post(account.origin + path, data=dict(form))
    except requests.RequestException as err:
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


def transport_error(account: Account, err: requests.RequestException, record_id: str | None) -> CrmError:
    """The error of this package for a call without an answer, saying whether it was sent at all."""
    err.request = err.response = None  # they hold credentials, and travel along when the error is pickled
    host, vendor = account.origin, account.vendor.name
    if isinstance(err, requests.exceptions.SSLError) and not _cut(err):
        msg = f"{host} has no valid TLS certificate for this machine."
        return ConfigurationError(msg, vendor=vendor, code="TLS")
    if isinstance(err, (requests.ConnectTimeout, requests.exceptions.ProxyError)) or _never_connected(err):
        msg = f"{host} cannot be reached. Check the connection's host and the network."
        return TransientError(msg, vendor=vendor, code=NOT_SENT, record_id=record_id)
    if isinstance(err, requests.Timeout):
        msg = f"{host} did not answer within {account.timeout:g} seconds."
        return TransientError(msg, vendor=vendor, code="TIMEOUT", record_id=record_id)
    if isinstance(err, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        msg = f"{host} cut the connection before its answer was complete."
        return TransientError(msg, vendor=vendor, code="CONNECTION_CUT", record_id=record_id)
    if isinstance(err, requests.exceptions.ContentDecodingError):
        msg = f"{host} sent an answer that cannot be decoded."
        return TransientError(msg, vendor=vendor, code="NO_RECORD", record_id=record_id)
    msg = f"The request to {host} could not be made ({type(err).__name__}). Check the connection's host."
    return ConfigurationError(msg, vendor=vendor, code="REQUEST")


def _never_connected(err: requests.RequestException) -> bool:
    cause = getattr(err.args[0], "reason", None) if err.args else None
    return type(cause).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


def _cut(err: requests.RequestException) -> bool:
    """Whether a TLS error is only a connection that ended early: a reset by another name."""
    cause = getattr(err.args[0], "reason", err.args[0]) if err.args else None
    return any(isinstance(one, ssl.SSLEOFError) for one in (cause, *getattr(cause, "args", ())))
