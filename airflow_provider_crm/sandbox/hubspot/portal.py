"""The settings and definitions of a HubSpot account, which HubSpot calls a portal."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.hubspot.owners import DEAL_OWNERS, DealOwner
from airflow_provider_crm.sandbox.hubspot.pipelines import DEAL_PIPELINES, DealPipeline, DealStage
from airflow_provider_crm.sandbox.hubspot.properties import (
    CURRENCY,
    DEAL_PROPERTIES,
    DealProperty,
    currency_property,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Portal:
    """An account without its tokens and records.

    Attributes:
        portal_id: id of the account.
        time_zone: IANA zone in which people see times, and in which the day of the daily limit ends.
        company_currency: the currency in which HubSpot adds up amounts.
        additional_currencies: the further ones; without any, deals have no property `deal_currency_code`.
        exchange_rates: units of the company currency for one of another, 1 by default.
        ui_domain: the host of the pages for people.
        properties: the properties of deals, by name.
        pipelines: the pipelines, by id.
        owners: the owners, by id.
    """

    def __init__(self, *, lock: AbstractContextManager[Any]) -> None:
        self.portal_id = 12_345_678
        self.time_zone = "US/Eastern"
        self.company_currency = "USD"
        self.additional_currencies: tuple[str, ...] = ("EUR", "BRL")
        self.exchange_rates: dict[str, Decimal] = {"EUR": Decimal("1.1"), "BRL": Decimal("0.2")}
        self.ui_domain = "app.hubspot.com"
        self.properties: dict[str, DealProperty] = {one.name: one for one in DEAL_PROPERTIES}
        self.pipelines: dict[str, DealPipeline] = {one.id: one for one in DEAL_PIPELINES}
        self.owners: dict[str, DealOwner] = {one.id: one for one in DEAL_OWNERS}
        self._lock = lock

    def add_property(self, definition: DealProperty) -> None:
        """Define a property, or replace its definition; records keep their values."""
        with self._lock:
            self.properties[definition.name] = definition

    def change_property(self, name: str, **changes: Any) -> None:
        """Change parts of a property's definition, such as `label`, `type`, `options` or `archived`.

        Raises:
            KeyError: there is no such property.
        """
        with self._lock:
            self.properties[name] = replace(self.properties[name], **changes)

    def remove_property(self, name: str) -> None:
        """Delete a property: calls that write it are refused from now on.

        Raises:
            KeyError: there is no such property.
        """
        with self._lock:
            del self.properties[name]

    def definitions(self) -> dict[str, DealProperty]:
        """Return all properties that deals have, the currency only if the account has several."""
        if not self.additional_currencies:
            return self.properties
        return {**self.properties, CURRENCY: self._currency()}

    def definition(self, name: str) -> DealProperty | None:
        """Return a property that calls may name, None for no or an archived one."""
        if name == CURRENCY and self.additional_currencies:
            return self._currency()
        found = self.properties.get(name)
        return None if found is None or found.archived else found

    def shows(self, name: str) -> bool:
        """Return whether records show a property."""
        found = self.properties.get(name)
        return not found.archived if found is not None else name == CURRENCY and bool(self.additional_currencies)

    def stage(self, pipeline: str | None, stage: str | None) -> DealStage | None:
        """Return a stage of a pipeline, None if the pipeline does not have it."""
        found = self.pipelines.get(pipeline or "")
        return None if found is None or found.archived else found.by_id.get(stage or "")

    def rate(self, code: str) -> Decimal:
        """Return the units of the company currency for one of another."""
        return self.exchange_rates.get(code, Decimal(1))

    def _currency(self) -> DealProperty:
        return currency_property((self.company_currency, *self.additional_currencies))
