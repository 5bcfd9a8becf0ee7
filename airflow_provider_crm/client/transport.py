"""Speak HTTP to one account's origin: signed, never redirected, always with a timeout, with the package's errors."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import DecodeError

from airflow_provider_crm import __version__
from airflow_provider_crm.client.connections import Adapter, AnswerTooLargeError, Bounds, bounded
from airflow_provider_crm.client.exchange import exchange
from airflow_provider_crm.client.plain_answers import PlainAnswer
from airflow_provider_crm.client.replaced import SESSION_METHODS, Unchanged, is_replaced
from airflow_provider_crm.client.transport_errors import RAISED, CalledServer, root_of, transport_error
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.time_zones import offset_hours
from airflow_provider_crm.vendors.credentials import Credentials

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.clock import Clock

LARGEST_POOL = 64
LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes: some hundred times the size of a page of a hundred records."""

_TOKEN_TIMEOUT = 10.0
_PLAIN, _ENCODINGS = ("", "identity"), ("gzip", "x-gzip", "deflate")
_PIECE = 16 * 1024


class Signature(AuthBase):
    """The signature of requests to the account's own origin, and no other: the vendor's headers."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self.origin = origin_of(account)
        self._own = f"{self.origin}/"
        self._authentication = account.vendor.authentication(account.credentials)
        self._options = account.option_headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request that `requests` has prepared."""
        return self.sign(request, None)

    def sign(self, request: requests.PreparedRequest, timezone: str | None) -> requests.PreparedRequest:
        """Sign a request; one to another origin stays as it is.

        Args:
            request: The request.
            timezone: IANA zone of the offset header; None for the account's, unless the request has that header.
        """
        if not (request.url or "").startswith(self._own):
            return request
        vendor, authentication = self._account.vendor, self._authentication
        name = vendor.offset_header
        if name is not None and (timezone is not None or name not in request.headers):
            zone_name = timezone or self._account.timezone or "UTC"
            request.headers[name] = offset_hours(self._clock.now(), zone_name)
        if self._account.tokens is not None:
            fetched = Credentials(extra={"access_token": self._account.tokens.token()})
            authentication = vendor.authentication(fetched)
        for name, value in (*self._options.items(), *authentication.headers.items()):
            request.headers[name] = value
        return request


class _NeverRedirected(requests.Session):
    """A session that never follows a redirect, which would carry credentials to another host."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - part of requests' interface
        return None


class Wire:
    """The sender of one session's requests through its adapter; it reads each answer within bounds.

    Whatever adapter is mounted on the session sends them, and a replaced `Session.send` does, so a test that replaces
    either sends nothing. The rest of `Session.send` is left out: hooks, cookies and redirects are not used here, and
    cost as much time as the call itself. Where nothing is mounted and nothing replaced, also in urllib3, requests to
    the own origin take a shorter way over connections that are open, see `exchange`.

    Args:
        account: Whose server is called.
        http: The session.
        timeout: Seconds to make a connection, and as many for the whole answer.
        largest_answer: Bytes of an answer at most, as it is sent and as it is decoded.
    """

    def __init__(
        self, account: Account, http: requests.Session, timeout: float, largest_answer: int = LARGEST_ANSWER
    ) -> None:
        self._account = account
        self._server = CalledServer(account.vendor.name, account.origin, timeout)
        self._http = http
        self._adapter = http.adapters.get("https://")
        self._unchanged = Unchanged(http)
        self._timeout = timeout
        self._bounds = Bounds(timeout, largest_answer)

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        """Send one request and read the whole answer.

        Raises:
            CrmError: There is no whole answer.
        """
        direct = bool(self._unchanged)
        if not direct:
            self._check_replaced()
        try:
            response = self._exchanged(request) if direct else None
            if response is not None:
                return response
            with bounded(self._bounds):
                return self._whole(self._sent(request))
        except RAISED as err:
            failure = transport_error(self._server, err, verify=self._http.verify)
            root = root_of(err)
        # Out here, because the errors of `requests` carry the signed request.
        raise failure from None if isinstance(root, requests.RequestException) else root

    def _exchanged(self, request: requests.PreparedRequest) -> requests.Response | None:
        """Send over a connection that is open, and return the whole answer; None if nothing was sent."""
        http, adapter = self._http, self._adapter
        if not isinstance(adapter, Adapter) or any(one is not adapter for one in http.adapters.values()):
            return None
        direct = adapter.direct_route(request, http)
        answer = None if direct is None else exchange(*direct, request, self._bounds)
        if answer is None or isinstance(answer, PlainAnswer):
            return answer
        return self._whole(adapter.build_response(request, answer))

    def _sent(self, request: requests.PreparedRequest) -> requests.Response:
        """Return the answer as far as its headers."""
        http = self._http
        settings: dict[str, Any] = {
            "stream": True,
            "timeout": self._timeout,
            "verify": http.verify,
            "cert": http.cert,
            "proxies": http.proxies,
        }
        if is_replaced(http.send):
            response = http.send(request, allow_redirects=False, **settings)
        else:
            response = http.get_adapter(request.url or "").send(request, **settings)
        if not isinstance(response, requests.Response):
            msg = (
                "The method that sends the session's requests was replaced, and returned a "
                f"{type(response).__name__}: a test has to return a requests.Response, as the library `responses` does."
            )
            raise ConfigurationError(msg, vendor=self._account.vendor.name, code="REPLACED")
        return response

    def _whole(self, response: requests.Response) -> requests.Response:
        """Return the same answer with its decoded body, whose size is known only then."""
        raw: Any = response.raw
        if not hasattr(raw, "stream"):  # it comes from an adapter that a test has mounted
            if len(response.content) > self._bounds.size:
                raise AnswerTooLargeError
            return response
        try:
            body = self._body(raw)
        except BaseException:
            raw.close()
            raise
        response.raw = io.BytesIO(body)
        return response

    def _body(self, raw: BaseHTTPResponse) -> bytes:
        encoding = raw.headers.get("Content-Encoding", "").strip().lower()
        if encoding in _PLAIN:
            body = raw.read(self._bounds.size + 1)
            if len(body) > self._bounds.size:
                raise AnswerTooLargeError
            raw.release_conn()
            return body
        if encoding not in _ENCODINGS:  # several in a row are refused, too: each can multiply the size
            msg = f"Content-Encoding {encoding!r} was not asked for"
            raise DecodeError(msg)
        pieces, size = [], 0
        for piece in raw.stream(_PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > self._bounds.size:
                raise AnswerTooLargeError
        return b"".join(pieces)

    def _check_replaced(self) -> None:
        """Refuse to send a request if a test has replaced a method through which no call goes.

        Raises:
            ConfigurationError: The message says what to replace instead.
        """
        for name in SESSION_METHODS:
            method = getattr(self._http, name)
            if is_replaced(method) and not hasattr(method, "__wrapped__"):
                msg = (
                    f"requests.Session.{name} was replaced, and calls to {self._account.vendor.display_name} do not go "
                    "through it: nothing was sent. Replace requests.Session.send, mount an adapter on the session, or "
                    "use a library such as `responses` or `vcrpy`."
                )
                raise ConfigurationError(msg, vendor=self._account.vendor.name, code="REPLACED")


def authenticated_session(account: Account, signature: Signature) -> requests.Session:
    """Return a plain session that signs calls to the account's origin and always has a timeout."""
    session = _plain_session(account, account.timeout)
    session.auth = signature
    return session


def post_form(account: Account, path: str, form: Mapping[str, str]) -> requests.Response:
    """Post a form with secrets to the account's origin, unsigned, once; redirects are not followed.

    Raises:
        CrmError: There is no answer.
    """
    timeout = min(account.timeout, _TOKEN_TIMEOUT)
    with _plain_session(account, timeout) as session:
        request = session.prepare_request(requests.Request("POST", account.origin + path, data=dict(form)))
        return Wire(account, session, timeout).send(request)


def _plain_session(account: Account, timeout: float) -> requests.Session:
    """Return a session that reads the environment's proxies and certificates once, here, instead of on every call."""
    session = _NeverRedirected()
    session.headers["User-Agent"] = f"airflow-provider-crm/{__version__}"
    session.headers["Accept"] = "application/json"
    session.headers["Accept-Encoding"] = "gzip, deflate"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.proxies = requests.utils.get_environ_proxies(account.origin)
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.trust_env = False
    adapter = Adapter(origin_of(account), timeout, LARGEST_POOL)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def origin_of(account: Account) -> str:
    """Return the account's origin as `requests` itself writes it: lower case, punycode.

    Raises:
        ConfigurationError: No request can be made to it.
    """
    try:
        if any(map(str.isspace, account.origin)):  # some versions of requests let it pass
            raise requests.exceptions.InvalidURL
        return _origin_of(requests.Request("GET", account.origin).prepare().url or "")
    except (requests.RequestException, ValueError) as err:
        msg = f"No request can be made to {account.origin!r}. Check the connection's host."
        raise ConfigurationError(msg, vendor=account.vendor.name, code="REQUEST") from err


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
