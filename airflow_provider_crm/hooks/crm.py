"""Make sessions with the vendor from Airflow connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, ClassVar, Self

from airflow.sdk import BaseHook

from airflow_provider_crm.budget.stated import check_share
from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.hooks.connection import account_of, read_connection, vendor_of, vendor_of_type
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database, with_tokens
from airflow_provider_crm.hooks.shares import DEFAULT_SHARE, daily_share_of
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update

if TYPE_CHECKING:
    import pandas as pd
    import requests

    from airflow_provider_crm.budget.shared_budget import Budget
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.database.database import Database
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record


class CrmHook(BaseHook):
    """One authenticated session for the account that an Airflow connection names.

    The connection is read once, when it is first needed. A vendor has a subclass, in its own distribution, with these
    attributes:

    - `conn_type`: the connection type, which is the vendor's name;
    - `default_conn_name`: id of the connection if none is named;
    - `hook_name`: the vendor's name for people.

    By itself the session may use the vendor's whole limit, and knows only of its own calls. If one of the shares is
    named, it shares the limit through the ledger, with all runs and all other hooks that do. Such a hook is a context
    manager: at its end it gives the calls back that were leased for it and not used.

    Args:
        crm_conn_id: Airflow connection of the hook's type.
        ledger_conn_id: The ledger that stores OAuth tokens, for a connection that needs one, and through which limits
            are shared; see the operators.
        budget_share: Part of the vendor's rate limit that all runs together may have used while this session still
            calls; `DEFAULT_SHARE` if only the other share is named.
        daily_share: The same of a daily limit; what `[crm] daily_share` says if only the other share is named.
    """

    conn_name_attr = "crm_conn_id"
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]

    def __init__(
        self,
        crm_conn_id: str | None = None,
        *,
        ledger_conn_id: str | None = DEFAULT_LEDGER,
        budget_share: float | None = None,
        daily_share: float | None = None,
    ) -> None:
        super().__init__()
        self.crm_conn_id = crm_conn_id or self.default_conn_name
        self.ledger_conn_id = ledger_conn_id
        self.budget_share = budget_share
        self.daily_share = daily_share
        self._session: Session | None = None
        self._database: Database | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the session and the ledger's database; the next call opens them again."""
        session, self._session = self._session, None
        database, self._database = self._database, None
        if session is not None:
            session.close()
        if database is not None:
            database.close()

    @classmethod
    def for_connection(
        cls,
        crm_conn_id: str,
        *,
        ledger_conn_id: str | None = DEFAULT_LEDGER,
        budget_share: float | None = None,
        daily_share: float | None = None,
    ) -> CrmHook:
        """Return the hook of the vendor that the connection's type names.

        Args:
            crm_conn_id: Airflow connection.
            ledger_conn_id: As for the class.
            budget_share: As for the class.
            daily_share: As for the class.

        Raises:
            ConfigurationError: If the connection is of another type, or its vendor cannot be used.
        """
        connection = read_connection(crm_conn_id)
        # The type of another provider has a hook of that provider's.
        own = copy(connection)
        own.conn_type = vendor_of(connection).name
        hook: CrmHook = own.get_hook()  # type: ignore[no-untyped-call]
        hook.ledger_conn_id = ledger_conn_id
        hook.budget_share, hook.daily_share = budget_share, daily_share
        return hook

    @property
    def vendor(self) -> Vendor:
        """The adapter of this hook's vendor.

        Raises:
            ConfigurationError: It cannot be used.
        """
        return vendor_of_type(self.conn_type)

    @property
    def session(self) -> Session:
        """The session, made from the connection when it is first used.

        Raises:
            ConfigurationError: Naming everything in the connection that is missing or wrong; or a share is wrong, or
                there is no ledger to share the limit through.
        """
        if self._session is None:
            from airflow_provider_crm.client.session import Session

            self._session = Session(self.account(), budget=self._budget())
        return self._session

    def account(self) -> Account:
        """Read and check the connection, and hide its secrets from logs.

        Raises:
            ConfigurationError: Naming everything in the connection that is missing or wrong.
        """
        return with_tokens(account_of(read_connection(self.crm_conn_id), self.vendor), self.ledger_conn_id)

    def get_conn(self) -> requests.Session:
        """Return the authenticated session: it signs requests to the account's own host and to no other.

        Its calls are neither paced nor counted here, whatever share the hook has. The vendor counts them, so sessions
        that are paced see them as calls of another program.

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
        """Write fields of one opportunity; fields that are not given stay as they are.

        Args:
            record_id: The vendor's id.
            fields: Value by canonical or vendor field name; None clears.
            timezone: IANA zone for dates and the offset header; default: the connection's.

        Returns:
            The vendor's record after the update.

        Raises:
            InvalidValueError: A value breaks a rule of its field; nothing was sent.
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
        return write_update(session, calls, record_id, rules, catalogue) if calls else session.read(record_id)

    def get_opportunity(self, record_id: str) -> Record:
        """Read one opportunity.

        Raises:
            RejectedError: If no opportunity has that id.
        """
        return self.session.read(self.vendor.canonical_id(record_id))

    def list_opportunities(self, **filters: object) -> Iterator[Record]:
        """Return all opportunities that match the vendor's own filters, from all pages.

        Args:
            filters: The vendor's query parameters, such as `status_type="won"`; a list is joined by commas.
        """
        return self.session.records({name: _query_value(value) for name, value in filters.items()})

    def get_df(self, **filters: object) -> pd.DataFrame:
        """Return `list_opportunities` as a frame: one row per opportunity, columns as the vendor names them."""
        import pandas as pd

        return pd.DataFrame(list(self.list_opportunities(**filters)))

    def _budget(self) -> Budget:
        """Return the part of the vendor's limits that the session may use."""
        from airflow_provider_crm.budget.shared_budget import Budget
        from airflow_provider_crm.hooks.sessions import budget_of

        if self.budget_share is None and self.daily_share is None:
            return Budget(daily_share=1.0)
        share = DEFAULT_SHARE if self.budget_share is None else check_share("budget_share", self.budget_share)
        daily_share = daily_share_of(self.daily_share)
        self._database = ledger_database(self.ledger_conn_id)
        return budget_of(share, daily_share, self._database)

    def test_connection(self) -> tuple[bool, str]:
        """Make one call that any valid key may make; for the Airflow UI and CLI."""
        try:
            return True, self.session.probe()
        except CrmError as err:
            return False, str(err)


def _query_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return ",".join(str(item) for item in value)
    return str(value)
