"""Read an Airflow connection as the account that it leads to; all its mistakes are reported in one error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import copy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import hashed_fields, with_tokens
from airflow_provider_crm.values.time_zones import zone
from airflow_provider_crm.vendors import VENDORS, connection_types, problem_of
from airflow_provider_crm.vendors.adopted import ForeignConnection, adopted_types
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, Credentials

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_crm.budget.stated import StatedLimit
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.vendors.adopted import Adopt
    from airflow_provider_crm.vendors.protocol import Vendor

_HOST_NAME = re.compile(r"[\w-]+(\.[\w-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")
_USER = re.compile(r"^(\w+://)?.*@")


def crm_account(crm_conn_id: str, ledger_conn_id: str | None) -> Account:
    """Read and check a connection to any vendor, and hide its secrets from logs.

    Args:
        crm_conn_id: Airflow connection.
        ledger_conn_id: The ledger that stores OAuth tokens, for a connection that needs one.

    Raises:
        ConfigurationError: Naming everything in the connection that is missing or wrong.
    """
    connection = read_connection(crm_conn_id)
    return with_tokens(account_of(connection, vendor_of(connection)), ledger_conn_id)


def read_connection(crm_conn_id: str) -> Connection:
    """Return an Airflow connection.

    Raises:
        ConfigurationError: If it is not defined.
    """
    try:
        return BaseHook.get_connection(crm_conn_id)
    except AirflowNotFoundException as err:
        msg = (
            f"There is no connection {crm_conn_id!r}; create one of type {connection_types()}, "
            f"or set AIRFLOW_CONN_{crm_conn_id.upper()}."
        )
        raise ConfigurationError(msg) from err


def vendor_of(connection: Connection) -> Vendor:
    """Return the vendor that a connection's type names.

    Raises:
        ConfigurationError: If the connection is of another type, or its vendor cannot be used.
    """
    try:
        return vendor_of_type(connection.conn_type or "")
    except ConfigurationError as err:
        msg = f"Connection {connection.conn_id!r} is of type {connection.conn_type!r}: {err}"
        raise ConfigurationError(msg) from err


def vendor_of_type(conn_type: str) -> Vendor:
    """Return the vendor of a connection type.

    Raises:
        ConfigurationError: No installed distribution has it, or the one that has it cannot be used.
    """
    vendor = VENDORS.get(conn_type) or _adopting(conn_type)
    if vendor is None:
        msg = problem_of(conn_type) or f"an opportunity can be written to a connection of type {connection_types()}."
        raise ConfigurationError(msg)
    return vendor


def _adopting(conn_type: str) -> Vendor | None:
    """Return the vendor that can use connections of a type that another provider defines."""
    return next((vendor for vendor in VENDORS.values() if conn_type in adopted_types(vendor)), None)


def account_of(connection: Connection, vendor: Vendor) -> Account:
    """Turn a connection into an account; its secrets are masked in logs from now on.

    Raises:
        ConfigurationError: Naming everything in the connection that is missing or wrong.
    """
    from airflow_provider_crm.client.account import DEFAULT_TIMEOUT, Account

    problems: list[str] = []
    if (adopt := adopted_types(vendor).get(connection.conn_type or "")) is not None:
        connection = _in_own_form(connection, vendor, adopt, problems)
        if problems:  # what else is missing then follows from these
            raise _wrong(connection, vendor, problems)
    if connection.conn_type != vendor.name:
        problems.append(f"its type is {connection.conn_type!r} instead of {vendor.name!r}")
    extra = _extra(connection, vendor, problems)
    credentials = Credentials(
        api_key=connection.password or None,
        extra={key: str(extra[key]) for key, one in vendor.extra.items() if extra.get(key) and not one.setting},
    )
    settings = _settings(extra, vendor, problems)
    _mask(credentials)
    problems += vendor.authentication(credentials).problems
    problems += [
        f"{label} has characters that no HTTP header can contain"
        for label, secret in (("the API key (password)", credentials.api_key), *_sent_in_headers(credentials, vendor))
        if secret and not re.fullmatch(r"[\x21-\x7e]+", secret)
    ]
    origin = _origin(connection, vendor, problems)
    timezone = _timezone(extra, problems)
    timeout = _timeout(extra, DEFAULT_TIMEOUT, problems)
    stated = _stated(extra, problems)
    if problems:
        raise _wrong(connection, vendor, problems)
    return Account(
        vendor=vendor,
        origin=origin,
        credentials=credentials,
        timezone=timezone,
        timeout=timeout,
        name=str(extra.get("account") or connection.conn_id),
        stated=stated,
        hidden=hashed_fields(),
        connection=str(connection.conn_id),
        settings=settings,
    )


def _wrong(connection: Connection, vendor: Vendor, problems: Sequence[str]) -> ConfigurationError:
    msg = f"Connection {connection.conn_id!r} ({vendor.display_name}): {'; '.join(problems)}."
    return ConfigurationError(msg, vendor=vendor.name)


def _in_own_form(connection: Connection, vendor: Vendor, adopt: Adopt, problems: list[str]) -> Connection:
    """Return a connection of another provider's type as one of the vendor's own; keys of ours in its extra count."""
    foreign = _json_object(connection, problems)
    parts = ForeignConnection(connection.host or "", connection.login or "", connection.password or "", foreign)
    own = adopt(parts)
    problems += own.problems
    ours = (*COMMON_EXTRA, *(key for key, one in vendor.extra.items() if one.setting))
    extra = {key: foreign[key] for key in ours if key in foreign} | dict(own.extra)
    made = copy(connection)
    made.conn_type, made.host, made.password = vendor.name, own.host, own.password or None
    made.extra = json.dumps(extra)
    return made


def _json_object(connection: Connection, problems: list[str]) -> dict[str, Any]:
    """Return the extra of a connection."""
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if isinstance(extra, dict):
        return extra
    problems.append('its extra is no JSON object such as {"timezone": "America/New_York"}')
    return {}


def _extra(connection: Connection, vendor: Vendor, problems: list[str]) -> dict[str, Any]:
    extra = _json_object(connection, problems)
    known = {**COMMON_EXTRA, **vendor.extra}
    unknown = [key for key in extra if key not in known]
    if unknown:
        problems.append(f"its extra has unknown keys {', '.join(map(repr, unknown))}; known are {', '.join(known)}")
    return extra


def _settings(extra: Mapping[str, Any], vendor: Vendor, problems: list[str]) -> dict[str, str]:
    """Return what the connection says for the vendor's settings."""
    settings = {key: str(extra[key]) for key, one in vendor.extra.items() if one.setting and extra.get(key)}
    for key, text in settings.items():
        header = vendor.extra[key].header
        if header is not None and text not in header.values:
            problems.append(f"extra.{key} is {text!r}; write {' or '.join(map(repr, header.values))}, or leave it out")
    return settings


def _sent_in_headers(credentials: Credentials, vendor: Vendor) -> list[tuple[str, str]]:
    return [(key, text) for key, text in credentials.extra.items() if vendor.extra[key].in_header]


def _mask(credentials: Credentials) -> None:
    """Mask the secrets in logs, in every form in which they are sent."""
    for secret in credentials.secrets():
        mask_secret(secret)


def _origin(connection: Connection, vendor: Vendor, problems: list[str]) -> str:
    """Return scheme, host and port; the vendor's own if the connection names no host."""
    host = (connection.host or "").strip().removesuffix("/")
    if not host:
        if "{" in vendor.origin:  # each account has a host of its own
            problems.append(f"its host is missing: write that of the account, in the form {vendor.origin}")
        return vendor.origin
    shown = _USER.sub(r"\1***@", host)
    try:
        parts = urlsplit(host if "://" in host else f"https://{host}")
        name = parts.hostname or ""
    except ValueError:  # an unfinished IPv6 address
        parts, name = urlsplit(""), ""
    try:
        port = parts.port or connection.port
    except ValueError:
        port = None
        problems.append(f"host {shown!r} has no valid port")
    beyond = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not _HOST_NAME.fullmatch(name) or beyond:
        problems.append(f"host is {shown!r}; write an origin such as {vendor.origin!r}, without path or user")
    elif parts.scheme == "http" and not _is_loopback(name):
        problems.append(f"host is {shown!r}: plain http would show the key to the network; write https")
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}:{port}" if port else f"{parts.scheme}://{name}"


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _timezone(extra: Mapping[str, Any], problems: list[str]) -> str | None:
    name = extra.get("timezone")
    if name in (None, ""):
        return None
    try:
        zone(str(name))
    except ConfigurationError as err:
        problems.append(str(err).rstrip("."))
    return str(name)


def _timeout(extra: Mapping[str, Any], default: float, problems: list[str]) -> float:
    value = extra.get("timeout")
    if value in (None, ""):
        return default
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - an hour
        problems.append(f"timeout is {value!r}; write seconds, such as 30")
    return seconds


def _stated(extra: Mapping[str, Any], problems: list[str]) -> StatedLimit | None:
    from airflow_provider_crm.budget.stated import StatedLimit

    text = extra.get("budget")
    if text in (None, ""):
        return None
    try:
        return StatedLimit.parse(text)
    except ConfigurationError as err:
        problems.append(str(err).rstrip("."))
        return None
