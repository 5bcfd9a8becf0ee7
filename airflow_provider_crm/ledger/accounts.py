"""Name the account that a connection leads to, where the vendor names no organization.

A key belongs to one organization, so two connections with one key lead to one account. A connection with a new key may
lead to another account; if anything was written before, a person has to confirm it. The account has the name of the
connection that was used first. All of this is stored beside the ledger, so that all workers agree.
"""

from __future__ import annotations

import datetime as dt
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import sqlalchemy as sa

from airflow_provider_crm.database.schema import accounts, field_states, plan_reads, plans, rejects, runs
from airflow_provider_crm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.database.database import Database

_CONNECTION, _KEY = "connection", "key"
_JUST_NOTED = dt.timedelta(minutes=1)  # far more than passes until a run that has noted its key is on record itself


class VendorName(Protocol):
    """The vendor of an account."""

    @property
    def name(self) -> str:
        """Return its name, which is its connection type."""
        ...

    @property
    def display_name(self) -> str:
        """Return the name that people read."""
        ...


class CrmAddress(Protocol):
    """An account as its connection describes it.

    Attributes:
        vendor: Its vendor.
        connection: Id of the connection; empty if the account was made without one.
        name: What the connection calls the account, else the connection's id.
        host: Host and port.
        place: Vendor and host, which begin the account's name.
        key_fingerprint: A slow hash of the key.
    """

    @property
    def vendor(self) -> VendorName: ...  # noqa: D102 - above
    @property
    def connection(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def host(self) -> str: ...  # noqa: D102
    @property
    def host_prefix(self) -> str: ...  # noqa: D102
    @property
    def key_fingerprint(self) -> str: ...  # noqa: D102


class _Known(NamedTuple):
    """The account of a connection's name, and the one of its key; None for what was never used."""

    of_connection: str | None
    of_key: str | None


class AccountNames:
    """The accounts at vendors that name no organization.

    Every method raises `TransientError` if the database cannot be used.

    Args:
        database: The ledger's.
        clock: Time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def resolve(self, account: CrmAddress, *, note: bool) -> str:
        """Return the name of the account that a connection leads to.

        Args:
            account: What the connection says.
            note: Whether a connection or key that was never used is noted; a dry run does not.

        Raises:
            ConfigurationError: The connection's key has changed, and it is not confirmed that it leads to the same
                organization.
        """
        fingerprint = account.key_fingerprint
        with self._transaction(account) as connection:
            known = self._known(connection, account, fingerprint)
            if known.of_connection is not None and known.of_connection == known.of_key:
                return known.of_key
            if known.of_connection is not None and self._is_in_use(connection, account, known.of_connection):
                raise ConfigurationError(_changed(account, known), vendor=account.vendor.name, code="ACCOUNT_CHANGED")
            name = known.of_key or known.of_connection or f"{account.host_prefix}{account.name}"
            if note:
                # A key with which nothing was ever written may be a wrong one, so it says nothing about the account.
                self._forget_keys(connection, account, None if known.of_key else known.of_connection)
                self._put(connection, account, _CONNECTION, account.name, name)
                self._put(connection, account, _KEY, fingerprint, name)
        return name

    def confirm(self, account: CrmAddress, by: str) -> str:
        """Accept a connection's present key; return the consequence as a sentence.

        Args:
            account: What the connection says.
            by: The user who confirms it.
        """
        fingerprint = account.key_fingerprint
        with self._transaction(account) as connection:
            known = self._known(connection, account, fingerprint)
            if known.of_connection is None:
                return f"Connection {account.connection!r} was not used with this ledger yet: nothing to confirm."
            if known.of_connection == known.of_key:
                return f"Connection {account.connection!r} leads to {known.of_key}, as before: nothing to confirm."
            if known.of_key is None:
                self._put(connection, account, _KEY, fingerprint, known.of_connection, by=by)
                return f"Connection {account.connection!r} leads to {known.of_connection} also with its new key."
            self._put(connection, account, _CONNECTION, account.name, known.of_key, by=by)
            return f"Connection {account.connection!r} leads to {known.of_key} from now on, whose key it has."

    def _transaction(self, account: CrmAddress) -> AbstractContextManager[Connection]:
        """Begin a transaction in which no other worker decides about accounts at this host."""
        return self._database.transaction(lock=f"accounts {account.host_prefix}")

    @staticmethod
    def _known(connection: Connection, account: CrmAddress, fingerprint: str) -> _Known:
        query = sa.select(accounts.c.kind, accounts.c.account).where(
            accounts.c.vendor == account.vendor.name,
            accounts.c.host == account.host,
            sa.tuple_(accounts.c.kind, accounts.c.name).in_([(_CONNECTION, account.name), (_KEY, fingerprint)]),
        )
        found: dict[str, str] = {row.kind: row.account for row in connection.execute(query)}
        return _Known(found.get(_CONNECTION), found.get(_KEY))

    def _is_in_use(self, connection: Connection, account: CrmAddress, name: str) -> bool:
        """Return whether the ledger knows anything of an account, or a run with its key may be about to write."""
        state = field_states.c
        known = state.known | state.as_of.is_not(None) | state.claim_token.is_not(None)
        of_name = (
            accounts.c.vendor == account.vendor.name,
            accounts.c.host == account.host,
            accounts.c.account == name,
        )
        queries = (
            sa.select(state.account).where(state.account == name, known),
            sa.select(rejects.c.account).where(rejects.c.account == name),
            sa.select(plans.c.account).where(plans.c.account == name),
            sa.select(runs.c.account).where(runs.c.account == name, runs.c.finished_at.is_(None)),
            sa.select(accounts.c.account).where(*of_name, accounts.c.since > self._clock.now() - _JUST_NOTED),
        )
        return any(connection.execute(query.limit(1)).first() is not None for query in queries)

    @staticmethod
    def _forget_keys(connection: Connection, account: CrmAddress, name: str | None) -> None:
        """Drop the keys of an account that has nothing on record."""
        keys = (accounts.c.vendor == account.vendor.name, accounts.c.host == account.host, accounts.c.kind == _KEY)
        connection.execute(sa.delete(accounts).where(*keys, accounts.c.account == name))

    def _put(
        self, connection: Connection, account: CrmAddress, kind: str, name: str, leads_to: str, *, by: str | None = None
    ) -> None:
        """Note the account of a connection or a key, instead of the one that was noted before."""
        row_key = {"vendor": account.vendor.name, "host": account.host, "kind": kind, "name": name}
        connection.execute(
            sa.delete(accounts).where(*(accounts.c[column] == value for column, value in row_key.items()))
        )
        row = {**row_key, "account": leads_to, "since": self._clock.now(), "confirmed_by": by}
        connection.execute(sa.insert(accounts), row)


def _changed(account: CrmAddress, known: _Known) -> str:
    connection, title = f"Connection {account.connection or account.name!r}", account.vendor.display_name
    confirm = f"airflow crm account confirm {account.connection or account.name}"
    if known.of_key is not None:
        return (
            f"{connection} led to the account {known.of_connection} until now, and has the key of {known.of_key}. "
            f"Nothing was sent. If it is to lead there from now on, run `{confirm}`; else put the right key into it."
        )
    return (
        f"{connection} has another key than the account {known.of_connection} was written with before, and {title} "
        "does not name the key's organization: the ledger would hold wrong values for the records of another one. "
        f"Nothing was sent. If it is a new key of the same organization, run `{confirm}`; if it is another "
        "organization, use another connection id, or another name in the key `account` of the connection's extra."
    )


def has_seen_host(database: Database, host_prefix: str) -> bool:
    """Return whether a vendor's host has ever shown a record to a run.

    Args:
        database: The ledger's.
        host_prefix: Vendor and host, see `Account.host_prefix`.

    Raises:
        LedgerUnavailableError: The database cannot be used.
    """
    shown = (
        sa.select(field_states.c.account).where(field_states.c.acknowledged_at.is_not(None)),
        sa.select(plan_reads.c.account).where(plan_reads.c.record_id != ""),
        sa.select(plans.c.account),
    )
    with database.transaction() as connection:
        of_host = (
            query.where(query.selected_columns.account.startswith(host_prefix, autoescape=True)) for query in shown
        )
        return any(connection.execute(query.limit(1)).first() is not None for query in of_host)
