"""The package's own APIs: the only place in the sandbox that knows their names, apart from their folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.state import SandboxState

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.api import SandboxApi
    from airflow_provider_crm.sandbox.close.account import CloseAccount
    from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
    from airflow_provider_crm.sandbox.raze.account import RazeAccount
    from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount


def own_apis() -> tuple[SandboxApi[Any], ...]:
    """Return the APIs of the package; they are imported when this is first called."""
    from airflow_provider_crm.sandbox.close.api import CLOSE
    from airflow_provider_crm.sandbox.hubspot.api import HUBSPOT
    from airflow_provider_crm.sandbox.raze.api import RAZE
    from airflow_provider_crm.sandbox.salesforce.api import SALESFORCE

    return CLOSE, RAZE, HUBSPOT, SALESFORCE


class OwnAccounts(SandboxState):
    """A sandbox's accounts of the package's own APIs, with their types."""

    @property
    def close(self) -> CloseAccount:
        """Return the Close account: an organization with keys, definitions and opportunities.

        Raises:
            LookupError: the sandbox doesn't serve Close.
        """
        account: CloseAccount = self.account("close")
        return account

    @property
    def raze(self) -> RazeAccount:
        """Return the Raze account: keys and opportunities.

        Raises:
            LookupError: the sandbox doesn't serve Raze.
        """
        account: RazeAccount = self.account("raze")
        return account

    @property
    def hubspot(self) -> HubSpotAccount:
        """Return the HubSpot account: settings, tokens, definitions and deals.

        Raises:
            LookupError: the sandbox doesn't serve HubSpot.
        """
        account: HubSpotAccount = self.account("hubspot")
        return account

    @property
    def salesforce(self) -> SalesforceAccount:
        """Return the Salesforce org: sessions, fields, stages, currencies and opportunities.

        Raises:
            LookupError: the sandbox doesn't serve Salesforce.
        """
        account: SalesforceAccount = self.account("salesforce")
        return account
