"""The bridge from an Airflow connection to a vendor's session."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from airflow_provider_crm.exceptions import ConfigurationError, CrmError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, hashed_fields, with_tokens
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.values.time_zones import zone
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA, Credentials

if TYPE_CHECKING:
    import pandas as pd
    import requests
    from airflow.sdk import Connection

    from airflow_provider_crm.budget.pacer import StatedLimit
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record

_HOST_NAME = re.compile(r"[\w-]+(\.[\w-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")
_USER = re.compile(r"^(\w+://)?.*@")


class CrmHook(BaseHook):
    """One authenticated session for the account that an Airflow connection names.

    The connection is read once, when it is first needed. Subclasses name their vendor by `conn_type`.

    Args:
        crm_conn_id: Airflow connection of the hook's type.
        ledger_conn_id: Ledger in which OAuth tokens are kept, for a connection that needs one; see the operators.
    """

    conn_name_attr = "crm_conn_id"
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]

    def __init__(self, crm_conn_id: str | None = None, *, ledger_conn_id: str | None = DEFAULT_LEDGER) -> None:
        super().__init__()
        self.crm_conn_id = crm_conn_id or self.default_conn_name
        self.ledger_conn_id = ledger_conn_id
        self._session: Session | None = None

    @classmethod
    def for_connection(cls, crm_conn_id: str, *, ledger_conn_id: str | None = DEFAULT_LEDGER) -> CrmHook:
        """The hook of the vendor that the connection's type names.

        Args:
            crm_conn_id: Airflow connection.
            ledger_conn_id: As for the class.

        Raises:
            ConfigurationError: If the connection is of another type.
        """
        connection = _connection(crm_conn_id)
        if connection.conn_type not in VENDORS:
            msg = (
                f"Connection {crm_conn_id!r} is of type {connection.conn_type!r}; an opportunity can be written to "
                f"a connection of type {' or '.join(VENDORS)}."
            )
            raise ConfigurationError(msg)
        hook: CrmHook = connection.get_hook()  # type: ignore[no-untyped-call]
        hook.ledger_conn_id = ledger_conn_id
        return hook

    @property
    def vendor(self) -> Vendor:
        """The adapter of this hook's vendor."""
        return VENDORS[self.conn_type]

    @property
    def session(self) -> Session:
        """The session, made from the connection when it is first asked for.

        Raises:
            ConfigurationError: Naming everything in the connection that is missing or wrong.
        """
        if self._session is None:
            from airflow_provider_crm.client.session import Session

            self._session = Session(self.account())
        return self._session

    def account(self) -> Account:
        """Read and check the connection, and hide its secrets from logs.

        Raises:
            ConfigurationError: Naming everything in the connection that is missing or wrong.
        """
        return with_tokens(account_of(_connection(self.crm_conn_id), self.vendor), self.ledger_conn_id)

    def get_conn(self) -> requests.Session:
        """The authenticated session: it signs requests to the account's own host and to no other.

        Returns:
            A `requests.Session` with the connection's timeout that follows no redirect.
        """
        return self.session.http

    @property
    def base_url(self) -> str:
        """Scheme, host and port of the account's server."""
        return self.session.account.origin

    def update_opportunity(
        self, record_id: str, fields: Mapping[str, object], *, timezone: str | None = None
    ) -> Record:
        """Write fields of one opportunity; what is not in `fields` stays as it is.

        Args:
            record_id: The vendor's id.
            fields: Value by canonical or vendor field name; None clears.
            timezone: IANA zone for dates and the offset header; default: the connection's.

        Returns:
            The vendor's record after the update.

        Raises:
            InvalidValueError: A value fits no rule; nothing was sent.
            UnknownFieldError: A field that the vendor does not have; nothing was sent.
            RejectedError: The vendor refused the row, or ignored a value (`IgnoredError`).
            CrmError: See `exceptions`.
        """
        from airflow_provider_crm.push.rules import PushRules, check_fields
        from airflow_provider_crm.push.write import write_update
        from airflow_provider_crm.vendors.encoding import calls_of, writes_of

        session, record_id = self.session, self.vendor.canonical_id(record_id)
        zone_name = timezone or session.account.timezone
        catalogue = session.catalogue(tuple(fields))
        check_fields({name: name for name in fields}, self.vendor, catalogue)
        values = ValueRules(timezone=zone_name)
        update = Update(
            row=0,
            record_id=record_id,
            fields={name: values.value(catalogue.fields[name], raw) for name, raw in fields.items()},
        )
        rules = PushRules(timezone=zone_name, date_won_default="server")
        calls = calls_of(record_id, writes_of(update, self.vendor, catalogue))
        return write_update(session, calls, record_id, rules) if calls else session.read(record_id)

    def get_opportunity(self, record_id: str) -> Record:
        """Read one opportunity.

        Raises:
            RejectedError: If there is none of that id.
        """
        return self.session.read(self.vendor.canonical_id(record_id))

    def list_opportunities(self, **filters: object) -> Iterator[Record]:
        """All opportunities that match the vendor's own filters, over all pages.

        Args:
            filters: The vendor's query parameters, such as `status_type="won"`; a list is joined by commas.
        """
        return self.session.records({name: _query_value(value) for name, value in filters.items()})

    def get_df(self, **filters: object) -> pd.DataFrame:
        """`list_opportunities` as a frame: one row per opportunity, columns as the vendor names them."""
        import pandas as pd

        return pd.DataFrame(list(self.list_opportunities(**filters)))

    def test_connection(self) -> tuple[bool, str]:
        """One call that any valid key may make; for the Airflow UI and CLI."""
        try:
            return True, self.session.probe()
        except CrmError as err:
            return False, str(err)


def _connection(crm_conn_id: str) -> Connection:
    try:
        return BaseHook.get_connection(crm_conn_id)
    except AirflowNotFoundException as err:
        msg = (
            f"There is no connection {crm_conn_id!r}; create one of type {' or '.join(VENDORS)}, "
            f"or set AIRFLOW_CONN_{crm_conn_id.upper()}."
        )
        raise ConfigurationError(msg) from err


def account_of(connection: Connection, vendor: Vendor) -> Account:
    """Turn a connection into an account; its secrets are masked in logs from here on.

    Raises:
        ConfigurationError: Naming everything in the connection that is missing or wrong.
    """
    from airflow_provider_crm.client.account import DEFAULT_TIMEOUT, Account

    problems: list[str] = []
    if connection.conn_type != vendor.name:
        problems.append(f"its type is {connection.conn_type!r} instead of {vendor.name!r}")
    extra = _extra(connection, vendor, problems)
    credentials = Credentials(
        api_key=connection.password or None,
        extra={key: str(extra[key]) for key in vendor.extra if extra.get(key)},
    )
    _mask(credentials)
    problems += vendor.credential_problems(credentials)
    problems += [
        f"{label} holds characters that no HTTP header can carry"
        for label, secret in (("the API key (password)", credentials.api_key), *credentials.extra.items())
        if secret and not re.fullmatch(r"[\x21-\x7e]+", secret)
    ]
    origin = _origin(connection, vendor, problems)
    timezone = _timezone(extra, problems)
    timeout = _timeout(extra, DEFAULT_TIMEOUT, problems)
    stated = _stated(extra, problems)
    if problems:
        msg = f"Connection {connection.conn_id!r} ({vendor.display_name}): {'; '.join(problems)}."
        raise ConfigurationError(msg, vendor=vendor.name)
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
    )


def _extra(connection: Connection, vendor: Vendor, problems: list[str]) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        problems.append('its extra is no JSON object such as {"timezone": "America/New_York"}')
        return {}
    known = {**COMMON_EXTRA, **vendor.extra}
    unknown = [key for key in extra if key not in known]
    if unknown:
        problems.append(f"its extra has unknown keys {', '.join(map(repr, unknown))}; known are {', '.join(known)}")
    return extra


def _mask(credentials: Credentials) -> None:
    """Hide the secrets from logs, in every form in which they travel."""
    for secret in credentials.secrets():
        mask_secret(secret)


def _origin(connection: Connection, vendor: Vendor, problems: list[str]) -> str:
    """Scheme, host and port; the vendor's own if the connection names no host."""
    host = (connection.host or "").strip().removesuffix("/")
    if not host:
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
    from airflow_provider_crm.budget.pacer import StatedLimit

    text = extra.get("budget")
    if text in (None, ""):
        return None
    try:
        return StatedLimit.parse(text)
    except ConfigurationError as err:
        problems.append(str(err).rstrip("."))
        return None


def _query_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return ",".join(str(item) for item in value)
    return str(value)
