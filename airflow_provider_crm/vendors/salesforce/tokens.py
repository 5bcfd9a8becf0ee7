"""Authenticate with Salesforce: by an access token, or by one that an app fetches in one of three ways.

These are client credentials, a signed assertion (JWT), and a refresh token. A session's end is not named: when
Salesforce refuses a token, the next one is fetched.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError
from airflow_provider_crm.vendors.answers import body_of, foreign_error, member, text_of
from airflow_provider_crm.vendors.credentials import Authentication, ExtraField, Grant
from airflow_provider_crm.vendors.oauth import is_refusal, issued_tokens, refusal_error
from airflow_provider_crm.vendors.salesforce.paths import TOKENS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from airflow_provider_crm.vendors.credentials import Credentials, Tokens
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.response import HttpResponse

EXTRA: Mapping[str, ExtraField] = {
    "client_id": ExtraField("Consumer key", "Of an external client app, instead of an access token."),
    "client_secret": ExtraField("Consumer secret", "For client credentials, or with a refresh token.", secret=True),
    "refresh_token": ExtraField("Refresh token", "With consumer key, and secret if the app asks for it.", secret=True),
    "username": ExtraField("User name", "For a signed assertion (JWT): the user for whom the app calls."),
    "private_key": ExtraField(
        "Private key", "For a signed assertion: the PEM text of the app's key.", secret=True, in_header=False
    ),
    "audience": ExtraField(
        "Audience", "Of a signed assertion: https://test.salesforce.com for a sandbox. Default: login.salesforce.com."
    ),
}

_ENDPOINT = "Salesforce's token endpoint"
_DEFAULT_SECONDS = 7200.0
_AUDIENCE = "https://login.salesforce.com"
_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_SECONDS = 170


def authentication(vendor: Vendor, credentials: Credentials) -> Authentication:
    """Sign by a bearer token: the connection's, or one that is fetched.

    Args:
        vendor: Salesforce.
        credentials: Those of the connection, or a fetched token.
    """
    extra = credentials.extra
    if problems := _problems(credentials):
        return Authentication(problems=tuple(problems))
    token = extra.get("access_token") or credentials.api_key
    if token:
        return Authentication(headers={"Authorization": f"Bearer {token}"})
    return Authentication(grant=_grant(vendor, extra))


def _grant(vendor: Vendor, extra: Mapping[str, str]) -> Grant:
    """Return how tokens are fetched with these parts of a connection, which are whole."""
    client_id, read = extra["client_id"], partial(_read_tokens, vendor)
    if extra.get("private_key"):
        assertion = partial(_assertion_form, extra)
        return Grant(TOKENS, client_id, {"grant_type": _JWT}, "", read, assertion)
    secret = {"client_secret": extra["client_secret"]} if extra.get("client_secret") else {}
    refresh_token = extra.get("refresh_token", "")
    kind = "refresh_token" if refresh_token else "client_credentials"
    return Grant(TOKENS, client_id, {"grant_type": kind, "client_id": client_id, **secret}, refresh_token, read)


def _problems(credentials: Credentials) -> list[str]:
    """Ask for exactly one way to sign."""
    extra = credentials.extra
    if extra.get("access_token"):
        return []
    ways = [name for name in ("refresh_token", "private_key") if extra.get(name)]
    app = [name for name in EXTRA if extra.get(name)]
    if not app:
        if credentials.api_key:
            return []
        return ["it has no access token (password), and no app (extra.client_id with client_secret, or a private_key)"]
    if credentials.api_key:
        return [f"besides an app ({', '.join(f'extra.{one}' for one in app)}) an access token is set; keep one of them"]
    if len(ways) > 1:
        return ["extra.refresh_token and extra.private_key are both set; keep one of them"]
    needed = {"private_key": ("client_id", "username"), "refresh_token": ("client_id",)}
    missing = [name for name in needed.get("".join(ways), ("client_id", "client_secret")) if not extra.get(name)]
    problems = [f"for an app extra.{name} is missing, too" for name in missing]
    if "private_key" in ways and _key(extra["private_key"]) is None:
        problems.append("extra.private_key is no RSA key in PEM form without a passphrase")
    return problems


def _key(text: str) -> RSAPrivateKey | None:
    """Return the key; line ends may be written as two characters, as in JSON that was escaped twice."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(text.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _assertion_form(extra: Mapping[str, str], now: dt.datetime) -> Mapping[str, str]:
    """Return the assertion for this time, signed by RS256.

    Raises:
        ConfigurationError: The key cannot sign.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _key(extra["private_key"])
    if key is None:
        msg = "extra.private_key is no RSA key in PEM form without a passphrase."
        raise ConfigurationError(msg)
    claims = {
        "iss": extra["client_id"],
        "sub": extra["username"],
        "aud": extra.get("audience") or _AUDIENCE,
        "exp": int(now.timestamp()) + _ASSERTION_SECONDS,
    }
    parts = (_part(json.dumps(one).encode()) for one in ({"alg": "RS256", "typ": "JWT"}, claims))
    message = ".".join(parts)
    signature = _part(key.sign(message.encode(), PKCS1v15(), SHA256()))
    return {"assertion": f"{message}.{signature}"}


def _part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read_tokens(vendor: Vendor, response: HttpResponse, now: dt.datetime) -> Tokens:
    """Read the token that the endpoint issued.

    Args:
        vendor: Salesforce.
        response: The endpoint's answer.
        now: The time at which it came.

    Raises:
        CrmError: It is none, or one for another host. Of a refusal the error repeats code and reason, no token.
    """
    status, body = response.status_code, body_of(response)
    code = _word(member(body, "error"))
    if status >= HTTPStatus.BAD_REQUEST and not code:
        raise foreign_error(vendor, response, quoted=False)
    if is_refusal(response):
        if code == "invalid_grant":
            msg = (
                "Salesforce refused the grant (invalid_grant): the refresh token was revoked, the user has not "
                "approved the app, or the assertion names another audience (extra.audience) or user."
            )
            raise AuthenticationError(msg, vendor=vendor.name, status=status, code="INVALID_GRANT")
        raise refusal_error(vendor.name, _ENDPOINT, status, code)
    tokens = issued_tokens(response, now, _ENDPOINT, _DEFAULT_SECONDS)
    _check_instance(vendor, text_of(member(body, "instance_url")), response.url or "")
    return tokens


def _check_instance(vendor: Vendor, instance_url: str, asked: str) -> None:
    """Refuse a token that is good at another host than that of the connection.

    Raises:
        ConfigurationError: Naming the host to write.
    """
    other = urlsplit(instance_url).netloc.lower()
    if other and other != urlsplit(asked).netloc.lower():
        msg = f"Salesforce serves this org at {other}; write https://{other} as the connection's host."
        raise ConfigurationError(msg, vendor=vendor.name, code="HOST")


def _word(code: object) -> str:
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z_]{1,40}", code) else ""
