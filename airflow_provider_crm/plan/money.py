"""Amounts of money in the rows of a plan, in major units."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.database.field_hashes import is_hash

if TYPE_CHECKING:
    from airflow_provider_crm.plan.plan_row import PlanRow
    from airflow_provider_crm.vendors.protocol import Vendor


@dataclass(frozen=True, slots=True)
class AmountReader:
    """Reads amounts of money in plan rows.

    Attributes:
        vendor: The adapter, which knows its units.
    """

    vendor: Vendor

    def amount(self, key: str, text: str | None) -> Decimal | None:
        """Return an amount in major units; None if the field holds no money or the value is not known."""
        if text is None or is_hash(text):
            return None
        return self.vendor.amount(key, json.loads(text, parse_float=Decimal))

    def change(self, row: PlanRow) -> Decimal | None:
        """Return by how much a row changes an amount; an empty one counts as 0. None if neither amount is known."""
        before, after = (self.amount(row.field, text) for text in (row.before, row.after))
        if before is None and after is None:
            return None
        return (after or Decimal()) - (before or Decimal())
