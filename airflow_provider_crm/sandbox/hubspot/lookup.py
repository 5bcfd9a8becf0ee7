"""Find the deal that a call names: by id, by the id of one that was merged into it, or by a unique value."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.hubspot.account import canonical_deal_id
from airflow_provider_crm.sandbox.hubspot.problems import NOT_FOUND, invalid, refuse
from airflow_provider_crm.sandbox.wire import RefusalError

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
    from airflow_provider_crm.sandbox.records import Fields
    from airflow_provider_crm.sandbox.wire import Json, Request


class DealLookup:
    """Find deals.

    Args:
        account: the account.
        context: the sandbox.
    """

    def __init__(self, account: HubSpotAccount, context: ApiContext[HubSpotSwitches]) -> None:
        self._account = account
        self._context = context

    def resolve(self, sent: Json, id_property: Json = None) -> str | None:
        """Return the id of the record that a call names; None if no record has the unique value.

        Raises:
            RefusalError: 400, the property is not unique.
        """
        text = str(sent)
        if id_property is None:
            record_id = canonical_deal_id(text)
            return self._account.current_id(record_id) if self._context.switches.hubspot_merged_answers else record_id
        definition = self._account.definition(str(id_property))
        if definition is None or not definition.unique:
            raise invalid(f"Unable to perform update/upsert by non-unique 0-3 property {id_property}")
        return self._account.unique_values.find(definition.name, text)

    def for_write(self, record_id: str | None) -> Fields | None:
        """Return a record that can be written, None if there is none or it is archived."""
        stored = None if record_id is None else self._account.records.get(record_id)
        return stored if stored is not None and stored["archived"] is None else None

    def for_read(self, record_id: str | None, request: Request, *, archived: bool = False) -> Fields | None:
        """Return a record as a read sees it: archived ones only if it asks for those."""
        if record_id is None:
            return None
        stored = self._account.records.read(record_id, request, self._context.switches)
        return stored if stored is not None and (stored["archived"] is not None) == archived else None

    def not_found(self) -> RefusalError:
        """Build the 404 for a record, in the form of the switch."""
        form = self._context.switches.hubspot_not_found
        if form == "json":
            message = "Object not found.  objectId are usually numeric."
            return refuse(HTTPStatus.NOT_FOUND, message, category=NOT_FOUND)
        if form == "bare":
            return refuse(HTTPStatus.NOT_FOUND, "resource not found")
        return RefusalError(HTTPStatus.NOT_FOUND, None)
