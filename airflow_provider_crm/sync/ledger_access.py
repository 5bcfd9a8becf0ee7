"""Open the ledger's database when one task first needs it, and close it when the task ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.guardrails.limits import COMPARING
from airflow_provider_crm.hooks.ledger import field_hashes, hashed_keys, keeps_deal_names, ledger_database

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_crm.hooks.sessions import Account, Database, Session
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.plan.store import PlanStore
    from airflow_provider_crm.vendors.catalogue import Catalogue

log = logging.getLogger(__name__)
_LEASE_MARGIN = 30.0


class LedgerAccess:
    """Access of one task to the ledger.

    Args:
        ledger_conn_id: The argument of the operator; None for no ledger.
    """

    def __init__(self, ledger_conn_id: str | None) -> None:
        self._ledger_conn_id = ledger_conn_id
        self._database: Database | None = None

    @property
    def database(self) -> Database | None:
        """Return the database, or None for no ledger."""
        if self._database is None:
            self._database = ledger_database(self._ledger_conn_id)
        return self._database

    def required(self) -> Database:
        """Return the database.

        Raises:
            ConfigurationError: If there is no ledger.
        """
        if self.database is None:
            msg = (
                f"Plans, capture_before and the guardrails {' and '.join(COMPARING)} need the ledger, "
                "and ledger_conn_id is None; name a connection to PostgreSQL or SQLite."
            )
            raise ConfigurationError(msg)
        return self.database

    def set_up_file(self) -> None:
        """Let SQLite set up the ledger's file, before a query is open that may read the same file.

        Raises:
            TransientError: If it cannot be opened.
        """
        if self.database is not None and self.database.dialect.is_file:
            with self.database.errors(), self.database.engine.connect():
                pass

    def plan_store(self) -> PlanStore:
        """Return the store of plans.

        Raises:
            ConfigurationError: If there is no ledger.
        """
        from airflow_provider_crm.plan.store import PlanStore

        database = self.required()
        database.open()
        return PlanStore(database)

    def plan_reads(
        self, account: str, run_key: str, catalogue: Catalogue, keys: Collection[str], *, resumed: bool
    ) -> PlanReads:
        """Return the store of the records that a plan has read: in the ledger, if it may store all of their values.

        Args:
            account: Name of the account.
            run_key: Name of the run.
            catalogue: The fields and stages of the account.
            keys: The vendor's keys of the fields in the plan.
            resumed: Whether the task goes on after a deferral.
        """
        from airflow_provider_crm.plan.reads import PlanReads

        if not hashed_keys(catalogue.fields).isdisjoint(keys):
            return PlanReads.temporary()
        return PlanReads(self.required(), account, run_key, resumed=resumed)

    def account_name(self, session: Session, catalogue: Catalogue, *, note: bool) -> str:
        """Return the name of the account that a session leads to.

        Args:
            session: The session with the CRM.
            catalogue: The fields and stages of the account.
            note: Whether a connection that was never used is noted, see `AccountNames`.

        Raises:
            ConfigurationError: The vendor names no organization, and the key has changed without a confirmation.
        """
        from airflow_provider_crm.ledger.accounts import AccountNames

        if catalogue.organization is not None or self.database is None:
            return session.account.key(catalogue)
        return AccountNames(self.database, session.clock).resolve(session.account, note=note)

    def open_ledger(self, session: Session, catalogue: Catalogue, account: str, run_key: str) -> Ledger:
        """Return the ledger of an account, for one run.

        Raises:
            ConfigurationError: If there is no ledger.
        """
        from airflow_provider_crm.ledger.ledger import Ledger
        from airflow_provider_crm.report.combined import with_verdict

        hashes = field_hashes(catalogue.fields)
        has_name = catalogue.name_key is not None and catalogue.name_key not in hashes.fields
        return Ledger(
            self.required(),
            combine=with_verdict,
            account=account,
            run_key=run_key,
            lease=2 * session.account.timeout + _LEASE_MARGIN,
            clock=session.clock,
            hashes=hashes,
            keeps_names=has_name and keeps_deal_names(),
        )

    def has_seen_host(self, account: Account) -> bool:
        """Return whether the host of an account is known to have shown a record before."""
        from airflow_provider_crm.ledger import accounts

        try:
            return self.database is not None and accounts.has_seen_host(self.database, account.host_prefix)
        except TransientError as err:
            log.warning("It is not known whether %s has ever answered: %s", account.origin, err)
            return False

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None
