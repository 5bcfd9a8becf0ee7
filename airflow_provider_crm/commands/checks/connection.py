"""Check one connection: what it says, what the vendor says to its key, and the vendor's clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.commands.checks.clocks import clock_result
from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem, warning
from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, CrmError
from airflow_provider_crm.hooks.connection import account_of, read_connection, vendor_of
from airflow_provider_crm.hooks.ledger import with_tokens

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.clock import Clock

_NEW_KEY = "Put a key into the connection that is valid, and that may do what the vendor's answer names."
_READS = "Give the key the right to read opportunities, if tasks plan, undo, or use on_conflict."
_REACH = "Check the connection's host, the network and proxies from this machine; then run this again."


class ConnectionCheck:
    """The checks of one connection.

    Args:
        crm_conn_id: Id of the connection.
        ledger_conn_id: The ledger in which its OAuth tokens are kept.
        clock: The time of this machine.
    """

    def __init__(self, crm_conn_id: str, ledger_conn_id: str, clock: Clock) -> None:
        self._crm_conn_id = crm_conn_id
        self._ledger_conn_id = ledger_conn_id
        self._clock = clock
        self._account: Account | None = None

    @property
    def signs_in_by_oauth(self) -> bool:
        """Whether it is complete, and its tokens are kept in the ledger."""
        account = self._account
        return account is not None and account.vendor.authentication(account.credentials).grant is not None

    def settings(self) -> Iterator[CheckResult]:
        """Check what stands in the connection; no call is made."""
        try:
            connection = read_connection(self._crm_conn_id)
            self._account = account = account_of(connection, vendor_of(connection))
        except CrmError as err:
            yield problem("connection", str(err), self._where())
            return
        secret = "OAuth tokens" if self.signs_in_by_oauth else "a secret"
        title = account.vendor.display_name
        yield ok("connection", f"{self._crm_conn_id} is complete: {title} at {account.origin}, with {secret}.")

    def answers(self, *, has_ledger: bool) -> Iterator[CheckResult]:
        """Make the call of Airflow's connection test, and those that a task makes before it writes.

        Args:
            has_ledger: Whether there is a ledger of this version, in which a renewed OAuth token can be stored.
        """
        if self._account is None:
            return
        if self.signs_in_by_oauth and not has_ledger:
            sentence = "The key was not tried: OAuth tokens are kept in the ledger, and there is none to use yet."
            yield warning("authentication", sentence, "See the result of the ledger's check.")
            return
        try:
            account = with_tokens(self._account, self._ledger_conn_id)
        except ConfigurationError as err:
            yield problem("authentication", str(err), "Correct what that names.")
            return
        with Session(account, retry=RetryRules(attempts=1, total=30.0), clock=self._clock) as session:
            yield from _asked(session)
            server_time = session.server_time()
        if server_time is not None:
            whose = account.vendor.display_name
            yield clock_result(whose, (server_time - self._clock.now()).total_seconds())

    def _where(self) -> str:
        name = f"AIRFLOW_CONN_{self._crm_conn_id.upper()}"
        if name in os.environ:
            return f"Correct the environment variable {name}."
        return "Correct the connection in Airflow, under Admin and Connections, or in your secrets backend."


def _asked(session: Session) -> Iterator[CheckResult]:
    """Ask the vendor."""
    vendor = session.account.vendor
    try:
        yield ok("authentication", session.probe())
    except AuthenticationError as err:
        yield problem("authentication", str(err), _NEW_KEY)
        return
    except CrmError as err:
        yield problem("authentication", str(err), _REACH)
        return
    try:
        session.catalogue((vendor.documented_fields[0].name,))
    except CrmError as err:
        yield problem("scopes", str(err), _NEW_KEY)
        return
    try:
        session.fetch(vendor.list_call({}, None, ()))
    except CrmError as err:
        yield warning("scopes", f"The key may not read opportunities: {err}", _READS)
        return
    yield ok("scopes", "The key may read fields and opportunities; only a write shows whether it may write.")
