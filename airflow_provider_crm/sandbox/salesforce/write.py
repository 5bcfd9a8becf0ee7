"""Apply writes to opportunities, with the rules that Salesforce runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.salesforce.ids import OPPORTUNITY, USER, long_id
from airflow_provider_crm.sandbox.salesforce.problems import RefusedRowError, no_column
from airflow_provider_crm.sandbox.salesforce.values import stored_value
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, Request

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.records import Fields
    from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches

_STAGE, _CLOSE_DATE, _AMOUNT = "StageName", "CloseDate", "Amount"
_REQUIRED = ("Name", _STAGE, _CLOSE_DATE)


@dataclass(frozen=True, kw_only=True)
class OpportunityDraft:
    """One write that is checked, and not yet applied.

    Attributes:
        stored: the record as it is, or a blank one that is to be created.
        values: the values of the record afterwards.
        accepted: the values that take effect, as they were sent.
    """

    stored: Fields
    values: Mapping[str, Any]
    accepted: Mapping[str, Any]

    @property
    def record_id(self) -> str:
        """Return the id of the record."""
        return str(self.stored["id"])


class OpportunityWriter:
    """Check rows, and apply those that pass.

    Args:
        account: the org.
        context: the sandbox.
    """

    def __init__(self, account: SalesforceAccount, context: ApiContext[SalesforceSwitches]) -> None:
        self._account = account
        self._context = context

    def existing(self, text: str) -> Fields:
        """Return the record of an id.

        Raises:
            RefusedRowError: there is none, or it was deleted.
        """
        record_id = long_id(text)
        if record_id is None or not record_id.startswith(OPPORTUNITY):
            raise RefusedRowError("MALFORMED_ID", f"Opportunity ID: id value of incorrect type: {text}", "Id")
        stored = self._account.records.get(record_id)
        if stored is None or stored["deleted"]:
            raise RefusedRowError("ENTITY_IS_DELETED", "entity is deleted")
        return stored

    def draft(
        self, stored: Fields, sent: Mapping[str, Json], request: Request, *, is_new: bool = False
    ) -> OpportunityDraft:
        """Check one row.

        Raises:
            RefusedRowError: it is refused.
        """
        switches, values = self._context.switches, dict(stored["values"])
        accepted: dict[str, Any] = {}
        for name, value in sent.items():
            field = self._account.visible_field(name, switches)
            if field is None:
                raise RefusedRowError("INVALID_FIELD", no_column(name))
            if not field.updateable:
                message = (
                    f"Unable to create/update fields: {name}. Please check the security settings of this field and "
                    "verify that it is read/write for your profile or permission set."
                )
                raise RefusedRowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, name)
            read = stored_value(field, value, switches)
            if name not in switches.ignored_fields:
                accepted[name], values[name] = value, read
        if is_new and (missing := [name for name in _REQUIRED if not values.get(name) or name not in sent]):
            raise RefusedRowError(
                "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing
            )
        self._run_rules(stored, values, accepted, request)
        self._refuse(stored, values, accepted, request)
        return OpportunityDraft(stored=stored, values=values, accepted=accepted)

    def commit(self, draft: OpportunityDraft, request: Request) -> AppliedChange | None:
        """Apply a draft, unless it is dropped in silence; return what it changed."""
        record_id = draft.record_id
        if request.ignored or record_id in _long(self._context.switches.ignored_ids):
            return None
        after = {**draft.stored, "values": draft.values, "modified": request.at}
        self._account.records.write(record_id, after, request.at)
        return AppliedChange(record_id=record_id, fields=draft.accepted)

    def is_poisoned(self, text: str) -> bool:
        """Return whether a record makes Salesforce refuse each call that writes it."""
        return (long_id(text) or text) in _long(self._context.switches.salesforce_poisoned_ids)

    def _run_rules(self, stored: Fields, values: dict[str, Any], accepted: Mapping[str, Any], request: Request) -> None:
        """Let Salesforce set what follows from the values, and flows what they set."""
        switches, before = self._context.switches, stored["values"]
        if values["HasOpportunityLineItem"] and switches.salesforce_keeps_amount:
            values[_AMOUNT] = before.get(_AMOUNT)
        stage = self._account.stage(values[_STAGE])
        if stage is not None and values[_STAGE] != before[_STAGE]:
            if "Probability" not in accepted:
                values["Probability"] = stage.probability
            if "ForecastCategoryName" not in accepted:
                values["ForecastCategoryName"] = stage.forecast
            today = request.at.date().isoformat()
            is_changed = _CLOSE_DATE in accepted and values[_CLOSE_DATE] != before[_CLOSE_DATE]
            rule = switches.salesforce_close_date
            moves = rule == "always" or (rule == "future" and not is_changed and values[_CLOSE_DATE] > today)
            if stage.is_won and moves:
                values[_CLOSE_DATE] = today
        for name in accepted:
            values |= self._account.flows.get(name, {})

    def _refuse(self, stored: Fields, values: Mapping[str, Any], sent: Mapping[str, Any], request: Request) -> None:
        """Refuse a row by locks, rules of the org, references, and unique values."""
        switches, record_id = self._context.switches, stored["id"]
        if self._is_locked(record_id, request):
            message = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
            raise RefusedRowError("UNABLE_TO_LOCK_ROW", message)
        if switches.salesforce_storage_full:
            raise RefusedRowError("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded")
        allows = request.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
        if record_id in _long(switches.salesforce_duplicate_ids) and "allowsave=true" not in allows:
            raise RefusedRowError("DUPLICATES_DETECTED", "Use one of these records?")
        for name, (refuses, message) in self._account.validation_rules.items():
            if name in sent and refuses(values.get(name)):
                raise RefusedRowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", message, name)
        owner = values["OwnerId"]
        if "OwnerId" in sent and owner.startswith(USER) and owner not in self._account.users:
            raise RefusedRowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", "OwnerId")
        self._refuse_duplicate_values(record_id, values, sent)

    def _refuse_duplicate_values(self, record_id: str, values: Mapping[str, Any], sent: Mapping[str, Any]) -> None:
        for name in sent:
            field, value = self._account.fields.get(name), values.get(name)
            if field is None or not field.unique or value is None:
                continue
            others = [one for one in self.with_value(name, value) if one != record_id]
            if others:
                message = f"duplicate value found: {name} duplicates value on record with id: {others[0][:15]}"
                raise RefusedRowError("DUPLICATE_VALUE", message, name)

    def with_value(self, name: str, value: str) -> list[str]:
        """Return the ids of the records with a text in a field, whatever its case."""
        records = self._account.records
        live = ((one, records.get(one)) for one in records.ids())
        wanted = value.casefold()
        return [
            one
            for one, stored in live
            if stored is not None and not stored["deleted"] and str(stored["values"].get(name)).casefold() == wanted
        ]

    def _is_locked(self, record_id: str, request: Request) -> bool:
        switches = self._context.switches
        if record_id in _long(switches.salesforce_locked_once_ids) and record_id not in self._account.locked_once:
            self._account.locked_once.add(record_id)
            return True
        if record_id not in _long(switches.salesforce_locked_ids):
            return False
        return switches.salesforce_locked_until is None or request.at.timestamp() < switches.salesforce_locked_until


@lru_cache(maxsize=16)
def _long(ids: frozenset[str]) -> frozenset[str]:
    """Return the ids of a switch in eighteen characters."""
    return frozenset(long_id(one) or one for one in ids) if ids else ids
