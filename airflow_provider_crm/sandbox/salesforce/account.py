"""The Salesforce org as Python sees it: its sessions, fields, stages, currencies and opportunities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.records import Fields, Records
from airflow_provider_crm.sandbox.salesforce.fields import CURRENCY, STAGES, Choice, OpportunityField, default_fields
from airflow_provider_crm.sandbox.salesforce.ids import OPPORTUNITY, USER, long_id, numbered_id
from airflow_provider_crm.sandbox.salesforce.tokens import SalesforceTokens
from airflow_provider_crm.sandbox.salesforce.values import stamp
from airflow_provider_crm.sandbox.wire import Json, parse_utc

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow_provider_crm.sandbox.clock import SandboxClock
    from airflow_provider_crm.sandbox.salesforce.fields import OpportunityStage
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches

ORG_ID = "00Dak000000SBOXEA4"
_HUNDRED = 100
_MOST_DISCOUNT = 60
_TIMES = {"CreatedDate": "created", "LastModifiedDate": "modified"}
_COMPUTE: dict[str, Callable[[Fields], Any]] = {
    "Id": lambda stored: stored["id"],
    "IsDeleted": lambda stored: stored["deleted"],
    "CreatedDate": lambda stored: stamp(stored["created"]),
    "LastModifiedDate": lambda stored: stamp(stored["modified"]),
    "SystemModstamp": lambda stored: stamp(stored["modified"]),
}
_COMPUTED = frozenset({"ExpectedRevenue", "IsClosed", "IsWon", "Margin__c", *_COMPUTE})


class SalesforceAccount:
    """One org; all of it can be changed while the server runs.

    Attributes:
        access_token: the token of a session that does not end by itself.
        tokens: all sessions, and the app that starts them.
        fields: the fields of opportunities, by API name.
        stages: the stages.
        currencies: decimal places by code; the first one is the corporate currency.
        users: e-mail address by id, of active users.
        flows: values that a flow sets when a call writes another field, by that field.
        validation_rules: message by field, and the test of a value that it refuses.
        refusals: codes and messages with which the next calls are refused, one for each call.
        records: the opportunities, as they are stored.
    """

    def __init__(self, *, clock: SandboxClock, lock: AbstractContextManager[Any]) -> None:
        self._clock = clock
        self._lock = lock
        self._added = 0
        self.org_id = ORG_ID
        self.users = {numbered_id(USER, 1): "ada@sandbox.example", numbered_id(USER, 2): "grace@sandbox.example"}
        self.access_token = "00Dak000000SBOX!sandbox"  # noqa: S105 - the sandbox's own
        self.tokens = SalesforceTokens(clock=clock, org_id=self.org_id, user_id=next(iter(self.users)))
        self.tokens.add(self.access_token)
        self.fields = default_fields()
        self.stages: tuple[OpportunityStage, ...] = STAGES
        self.currencies = {"USD": 2, "EUR": 2, "JPY": 0}
        self.flows: dict[str, dict[str, Json]] = {}
        self.validation_rules: dict[str, tuple[Callable[[Any], bool], str]] = {
            "Discount__c": (lambda value: value is not None and value > _MOST_DISCOUNT, "Ask for approval first.")
        }
        self.refusals: list[tuple[str, str]] = []
        self.records = Records()
        self.locked_once: set[str] = set()

    def add_opportunity(self, id: str | None = None, **fields: Json) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Add an opportunity as it stands: no rule of the API runs on it.

        Args:
            id: its id, of fifteen or eighteen characters; an invented one by default.
            **fields: its fields, and `HasOpportunityLineItem`; `CreatedDate` and `LastModifiedDate` may be given, too.

        Returns:
            The record with all fields.

        Raises:
            ValueError: a field that an opportunity does not have, or that Salesforce calculates; or an id that is none.
        """
        with self._lock:
            record_id = self.new_id() if id is None else long_id(id)
            if record_id is None or not record_id.startswith(OPPORTUNITY):
                message = f"{id!r} is no id of an opportunity; write {OPPORTUNITY} and twelve or fifteen characters."
                raise ValueError(message)
            stored_names = [name for name in (*self.fields, CURRENCY.name) if name not in _COMPUTED]
            unknown = sorted(fields.keys() - _TIMES.keys() - set(stored_names))
            if unknown:
                message = f"An opportunity has no stored field {', '.join(unknown)}. Known: {', '.join(stored_names)}."
                raise ValueError(message)
            times = {_TIMES[name]: parse_utc(str(text)) for name, text in fields.items() if name in _TIMES}
            stored = self.blank(record_id) | times
            values = {name: _exact(value) for name, value in fields.items() if name not in _TIMES}
            stored["values"] = {"Name": f"Opportunity {record_id}", **stored["values"], **values}
            self.records.seed(record_id, stored)
            return self.opportunity(record_id)

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return the record with all fields, as the API shows it to a user who may see them all.

        Raises:
            KeyError: there is no such opportunity.
        """
        with self._lock:
            stored = self.records.get(long_id(id) or id)
            if stored is None:
                raise KeyError(id)
            return {name: self.value_of(name, stored) for name in (*self.fields, CURRENCY.name)}

    def delete_opportunity(self, id: str) -> None:  # noqa: A002 - the API's word
        """Move an opportunity to the recycle bin, as a person would.

        Raises:
            KeyError: there is no such opportunity.
        """
        with self._lock:
            stored = self.records.get(long_id(id) or id)
            if stored is None:
                raise KeyError(id)
            self.records.write(stored["id"], {**stored, "deleted": True}, self._clock.now())

    def hide_field(self, name: str) -> None:
        """Take a field away from the running user by field-level security: it is as if it did not exist."""
        self.fields[name] = replace(self.fields[name], visible=False)

    def lock_field(self, name: str) -> None:
        """Let the running user read a field and not write it."""
        self.fields[name] = replace(self.fields[name], updateable=False)

    def visible_fields(self, switches: SalesforceSwitches) -> dict[str, OpportunityField]:
        """Return the fields that the running user sees, by name."""
        shown = ((name, self.visible_field(name, switches)) for name in (*self.fields, CURRENCY.name))
        return {name: one for name, one in shown if one is not None}

    def visible_field(self, name: str, switches: SalesforceSwitches) -> OpportunityField | None:
        """Return a field with its choices; None if the running user sees no such field."""
        field = self.fields.get(name)
        if name == CURRENCY.name and switches.salesforce_multi_currency:
            return replace(CURRENCY, choices=tuple(Choice(value=code, label=code) for code in self.currencies))
        if field is None or not field.visible or name != "StageName":
            return field if field is not None and field.visible else None
        by_label = switches.salesforce_stage_values == "label"
        choices = tuple(
            Choice(value=one.label if by_label else one.api_name, label=one.label, active=one.is_active)
            for one in self.stages
        )
        return replace(field, choices=choices)

    def stage(self, label: str | None) -> OpportunityStage | None:
        """Return a stage; None for a text that is none."""
        return next((one for one in self.stages if label in (one.label, one.api_name)), None)

    def value_of(self, name: str, stored: Fields) -> Any:  # noqa: ANN401 - any value
        """Return the value of a field of a record, as an answer has it."""
        values = stored["values"]
        amount = values.get("Amount")
        if name == "ExpectedRevenue":
            probability = values.get("Probability")
            return None if amount is None or probability is None else amount * probability / _HUNDRED
        if name == "Margin__c":
            return None if amount is None else amount - (values.get("Cost__c") or 0)
        compute = _COMPUTE.get(name)
        if compute is not None:
            return compute(stored)
        if name in ("IsClosed", "IsWon"):
            stage = self.stage(values.get("StageName"))
            return stage is not None and (stage.is_won if name == "IsWon" else stage.is_closed)
        return values.get(name)

    def blank(self, record_id: str) -> Fields:
        """Return an opportunity of which only the required fields are known."""
        now = self._clock.now()
        values: dict[str, Any] = {
            "StageName": "Prospecting",
            "Probability": 10,
            "ForecastCategoryName": "Pipeline",
            "CloseDate": now.date().isoformat(),
            "OwnerId": next(iter(self.users)),
            "CurrencyIsoCode": next(iter(self.currencies)),
            "HasOpportunityLineItem": False,
            "Is_Active__c": False,
        }
        return {"id": record_id, "values": values, "created": now, "modified": now, "deleted": False}

    def new_id(self) -> str:
        """Return an id that no opportunity has."""
        while True:
            self._added += 1
            record_id = numbered_id(OPPORTUNITY, self._added)
            if self.records.get(record_id) is None:
                return record_id


def _exact(value: Json) -> Json:
    return Decimal(str(value)) if isinstance(value, float) else value
