"""Read the amounts of money in the rows of a plan, in major units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Self

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.values.opportunity import Field
from airflow_provider_crm.vendors.amounts import amount_of, money_fields

if TYPE_CHECKING:
    from airflow_provider_crm.plan.plan_row import PlanRow
    from airflow_provider_crm.vendors.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class AmountReader:
    """Reads amounts of money in plan rows.

    Attributes:
        fields: The fields that hold money, by the vendor's key.
    """

    fields: Mapping[str, Field]

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Self:
        """Make a reader of all amounts of one account."""
        return cls(money_fields(catalogue.fields.values()))

    def amount(self, key: str, text: str | None) -> Decimal | None:
        """Return an amount in major units; None if the field holds no money or the value is not known."""
        if text is None or is_hash(text):
            return None
        return amount_of(key, json.loads(text, parse_float=Decimal), self.fields)

    def change(self, row: PlanRow) -> Decimal | None:
        """Return by how much a row changes an amount; an empty one counts as 0. None if neither amount is known."""
        before, after = (self.amount(row.field, text) for text in (row.before, row.after))
        if before is None and after is None:
            return None
        return (after or Decimal()) - (before or Decimal())
