"""Read the amounts of money that fields hold, in major units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.vendors.answers import exact_number

if TYPE_CHECKING:
    from airflow_provider_crm.values.opportunity import Field
    from airflow_provider_crm.vendors.records import Json


def money_fields(fields: Iterable[Field]) -> dict[str, Field]:
    """Return the fields that hold money, by the vendor's key."""
    return {field.target: field for field in fields if field.amount_digits is not None}


def amount_of(key: str, value: Json, fields: Mapping[str, Field]) -> Decimal | None:
    """Return the amount in major units that a written or stored value stands for; None if it is no money.

    Args:
        key: The vendor's key.
        value: The value as the vendor's API has it, with numbers as Decimal where they have to be exact.
        fields: The fields that hold money, by the vendor's key; see `money_fields`.
    """
    field = fields.get(key)
    number = None if field is None else exact_number(value)
    if field is None or number is None:
        return None
    return number.scaleb(-field.amount_digits) if field.amount_digits else number
