"""Map errors on the way to a vendor's server and back to those of the package, in this one place."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, InvalidURL, LineTooLong, RemoteDisconnected
from typing import NamedTuple

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    InvalidChunkLength,
    InvalidHeader,
    LocationValueError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,  # noqa: A004 - urllib3's own
)

from airflow_provider_crm.client.connections import AnswerTooLargeError
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, TransientError

NOT_SENT = "UNREACHABLE"
"""Code of an error with which surely nothing was sent."""

TOO_LARGE = "TOO_LARGE"
"""Code of an error with which the answer had more bytes than are read."""

RAISED = (HTTPError, HTTPException, OSError, ValueError, AnswerTooLargeError)
"""Everything that `requests`, urllib3 and `http.client` raise for a request and its answer."""

_PLAIN_HTTP = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST|UNKNOWN_PROTOCOL|PACKET_LENGTH")
_BROKEN_RECORD = re.compile(r"BAD_RECORD_MAC|BAD_RECORD_TYPE|BAD_LENGTH|DATA_LENGTH")
_NO_BUNDLE = re.compile(r"NO_CERTIFICATE_OR_CRL_FOUND|PEM|X509|ASN1|Errno")
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})[ ]?([^'\")]*)")
_PROXY_AUTHENTICATION = "407"
_BUNDLE = "REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE)"


class CalledServer(NamedTuple):
    """The server of one account.

    Attributes:
        vendor: Name of the vendor.
        origin: Scheme, host and port.
        timeout: Seconds within which it has to answer.
    """

    vendor: str
    origin: str
    timeout: float


def transport_error(server: CalledServer, err: Exception, *, verify: object) -> CrmError:
    """Return the package's error for a call without a whole answer; its code says whether the call was sent at all.

    Args:
        server: The server that was called.
        err: One of `RAISED`.
        verify: The session's certificates, as `requests` has them.
    """
    root = root_of(err)
    if isinstance(root, SSLError):
        return _tls_error(server, root, verify)
    if isinstance(root, ProxyError):
        return _proxy_error(server, root)
    host, seconds = server.origin, f"{server.timeout:g} seconds"
    if isinstance(root, (ConnectTimeoutError, NewConnectionError)):
        msg = f"{host} cannot be reached. Check the connection's host and the network."
        return TransientError(msg, vendor=server.vendor, code=NOT_SENT)
    if isinstance(root, (LocationValueError, UnicodeEncodeError)) or _is_no_request(root):
        msg = (
            f"The request to {host} could not be made ({type(root).__name__}). Check the connection's host, and the "
            "proxy in the environment (HTTPS_PROXY) if there is one."
        )
        return ConfigurationError(msg, vendor=server.vendor, code="REQUEST")
    if type(root) is OSError or isinstance(root, FileNotFoundError):
        return _no_bundle(server, verify)
    code, sentence = _lost_answer(root, seconds)
    return TransientError(f"{host} {sentence}", vendor=server.vendor, code=code)


def root_of(err: Exception) -> Exception:
    """Return the error beneath those of `requests`, which carry the signed request, and of urllib3's retries."""
    while True:
        inner = err.reason if isinstance(err, MaxRetryError) else err
        if isinstance(err, requests.RequestException) and err.args:
            inner = err.args[0]
        if inner is err or not isinstance(inner, Exception):
            return err
        err = inner


def _is_no_request(root: Exception) -> bool:
    """Return whether `requests` or `http.client` refuses to make the request."""
    if isinstance(root, ProtocolError) and any(isinstance(cause, InvalidURL) for cause in root.args):
        return True
    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(root, requests.RequestException) and not isinstance(root, lost)


def _lost_answer(root: Exception, seconds: str) -> tuple[str, str]:
    """Return code and sentence for a call that was sent, or may have been."""
    if isinstance(root, (TimeoutError, requests.Timeout, OSError)) and not isinstance(root, requests.ConnectionError):
        return "TIMEOUT", f"did not answer within {seconds}."
    if isinstance(root, AnswerTooLargeError):
        return TOO_LARGE, "sent an answer that is larger than any record or page of records."
    if isinstance(root, (DecodeError, InvalidHeader, InvalidChunkLength)):
        return "NO_RECORD", "sent an answer that cannot be decoded."
    cause = root.args[1] if isinstance(root, ProtocolError) and len(root.args) > 1 else root
    no_http = isinstance(cause, (BadStatusLine, LineTooLong)) and not isinstance(cause, RemoteDisconnected)
    if no_http or type(cause) is HTTPException or isinstance(cause, ValueError):
        return "NO_RECORD", "sent an answer that is no valid HTTP."
    if isinstance(root, requests.ConnectionError):  # an adapter that a test has mounted raised it, with the test's text
        return "CONNECTION_CUT", f"cannot be reached: {' '.join(str(root).split())}"
    return "CONNECTION_CUT", "cut the connection before its answer was complete."


def _tls_error(server: CalledServer, root: SSLError, verify: object) -> CrmError:
    host, vendor = server.origin, server.vendor
    cause = next((one for one in root.args if isinstance(one, ssl.SSLError)), None)
    text = str(root).replace(" ", "_").upper()
    if isinstance(cause, ssl.SSLEOFError) or _BROKEN_RECORD.search(text):
        msg = f"{host} cut the connection before its answer was complete."
        return TransientError(msg, vendor=vendor, code="CONNECTION_CUT")
    if isinstance(cause, ssl.SSLCertVerificationError):
        msg = (
            f"{host} has no valid TLS certificate for this machine: {cause.verify_message.rstrip('.')}. Check the "
            f"connection's host; if it is right, name a file with the certificate of its authority in {_BUNDLE}."
        )
    elif _PLAIN_HTTP.search(text):
        msg = (
            f"{host} does not speak TLS: plain http is answered where the connection says https. Check the "
            "connection's host and port; http:// is for a server on this machine only."
        )
    elif isinstance(verify, str) and _NO_BUNDLE.search(text):
        msg = f"{verify}, which {_BUNDLE} names, holds no TLS certificates. Name a file of certificates in PEM."
    else:
        reason = cause.reason if cause is not None and cause.reason else "the handshake failed"
        msg = f"No TLS connection can be made with {host} ({reason.lower().replace('_', ' ')}). Check the host."
    return ConfigurationError(msg, vendor=vendor, code="TLS")


def _no_bundle(server: CalledServer, verify: object) -> ConfigurationError:
    where = f"the file {verify} is not there" if isinstance(verify, str) else "there are no certificates"
    msg = (
        f"TLS certificates for {server.origin} cannot be checked: {where}. Name a file of certificates in {_BUNDLE}, "
        "or unset it."
    )
    return ConfigurationError(msg, vendor=server.vendor, code="TLS")


def _proxy_error(server: CalledServer, root: ProxyError) -> CrmError:
    """Return the error for a proxy that does not answer, or refuses the call; nothing was sent."""
    refusal = _TUNNEL.search(str(root))
    if refusal is None:
        msg = f"{server.origin} cannot be reached: the proxy in the environment (HTTPS_PROXY) does not answer."
    elif refusal[1] == _PROXY_AUTHENTICATION:
        msg = (
            f"The proxy on the way to {server.origin} wants a user and a password (407). Write them into the "
            "environment as HTTPS_PROXY=http://user:password@host:port, or exclude the host in NO_PROXY."
        )
        return ConfigurationError(
            msg, vendor=server.vendor, status=HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, code="PROXY"
        )
    else:
        answer = f"{refusal[1]} {refusal[2].strip()[:60]}".rstrip()
        msg = f"The proxy on the way to {server.origin} refuses to connect: {answer}"
        msg += ". Ask whoever runs it to allow that host, or exclude it in NO_PROXY."
    return TransientError(msg, vendor=server.vendor, code=NOT_SENT)
