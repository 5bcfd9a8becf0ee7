"""Show stored values: money in major units, and hidden values not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.values.hidden_values import HIDDEN as HIDDEN_TEXT
from airflow_provider_crm.values.hidden_values import named_keys
from airflow_provider_crm.values.opportunity import CANONICAL_FIELDS, Field
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.amounts import amount_of, money_fields

if TYPE_CHECKING:
    from airflow_provider_crm.values.opportunity import SourceValue
    from airflow_provider_crm.vendors.records import Json

_EMPTY = ("null", '""', "[]")


@dataclass(frozen=True, slots=True)
class ShownValue:
    """One value as people see it.

    Attributes:
        text: The value for people.
        kind: `value`, `money`, `hidden`, `empty` or `unknown`.
    """

    text: str
    kind: str = "value"


@dataclass(frozen=True, slots=True)
class FieldLabel:
    """The name of a field for people.

    Attributes:
        name: The canonical name where the field has one, such as `deal_value`.
        key: The vendor's own name.
    """

    name: str
    key: str


UNKNOWN = ShownValue("unknown", "unknown")
HIDDEN = ShownValue("hidden", "hidden")
EMPTY = ShownValue("empty", "empty")


@dataclass(frozen=True, slots=True)
class Values:
    """The values of the ledger as pages and commands show them.

    Attributes:
        hidden: Fields that `[crm] ledger_hash_fields` names. Their older values, stored in clear, are hidden as well.
    """

    hidden: frozenset[str]

    def shown(self, account: str, field: str, text: str | None) -> ShownValue:
        """Return a stored value for people; None stands for an unknown one."""
        if text is None:
            return UNKNOWN
        if is_hash(text) or self._hides(account, field):
            return HIDDEN
        if text in _EMPTY:
            return EMPTY
        value: Json = json.loads(text, parse_float=Decimal)
        money = amount(account, field, value)
        if money is not None:
            return ShownValue(f"{money:,.2f}", "money")
        return ShownValue(value if isinstance(value, str) else text)

    def source(self, account: str, value: SourceValue) -> ShownValue:
        """Return a value of the source for people."""
        names = {value.field, self.label(account, value.field).key}
        if value.text == HIDDEN_TEXT or any(self._hides(account, name) for name in names):
            return HIDDEN
        return EMPTY if value.text in (None, "") else ShownValue(value.text)

    def label(self, account: str, field: str) -> FieldLabel:
        """Return the names of a field, by its canonical name or the vendor's."""
        return field_label(account, field)

    def _hides(self, account: str, field: str) -> bool:
        keys = _keys(self.hidden, account.partition(":")[0])
        return field in keys or field.removesuffix(".add").removesuffix(".remove") in keys

    def change(self, account: str, field: str, before: str | None, after: str | None) -> Decimal | None:
        """Return the change of an amount, where an empty or unknown one counts as zero; None if there is no amount."""
        sides = [self.amount(account, field, text) for text in (before, after)]
        if sides == [None, None]:
            return None
        return (sides[1] or Decimal()) - (sides[0] or Decimal())

    def amount(self, account: str, field: str, text: str | None) -> Decimal | None:
        """Return the amount in major units that a stored value stands for; None if it is hidden or no money."""
        if text is None or is_hash(text) or self._hides(account, field):
            return None
        return amount(account, field, json.loads(text, parse_float=Decimal))


@lru_cache(maxsize=16)
def _keys(names: frozenset[str], vendor: str) -> frozenset[str]:
    """Return the vendor's keys of hidden fields, which the ledger has; names may be canonical."""
    known = VENDORS.get(vendor)
    return named_keys(names, {} if known is None else {field.name: field for field in known.documented_fields})


def amount(account: str, field: str, value: Json) -> Decimal | None:
    """Return the amount in major units that a vendor's value stands for; None if it is no money."""
    return amount_of(field, value, _money(account.partition(":")[0]))


def field_label(account: str, field: str) -> FieldLabel:
    """Return the names of a field, by its canonical name or the vendor's."""
    names = _names(account.partition(":")[0])
    return next((one for one in names if field in (one.name, one.key)), FieldLabel(field, field))


@lru_cache(maxsize=16)
def _names(vendor: str) -> tuple[FieldLabel, ...]:
    """Return the fields of a vendor that have a canonical name beside the vendor's own."""
    known = VENDORS.get(vendor)
    fields = () if known is None else known.documented_fields
    return tuple(FieldLabel(one.name, one.target) for one in fields if one.name in CANONICAL_FIELDS)


@lru_cache(maxsize=16)
def _money(vendor: str) -> Mapping[str, Field]:
    """Return the documented fields of a vendor that hold money; none if this version has no such vendor."""
    known = VENDORS.get(vendor)
    return {} if known is None else money_fields(known.documented_fields)
