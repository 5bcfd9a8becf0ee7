"""How a kept value is shown: money in major units, personal data not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.values.hidden_values import named_keys
from airflow_provider_crm.vendors import VENDORS

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json

_EMPTY = ("null", '""', "[]")


@dataclass(frozen=True, slots=True)
class Shown:
    """One value as a page shows it.

    Attributes:
        text: For people.
        kind: `value`, `money`, `hidden`, `empty` or `unknown`.
    """

    text: str
    kind: str = "value"


UNKNOWN = Shown("unknown", "unknown")
HIDDEN = Shown("hidden", "hidden")
EMPTY = Shown("empty", "empty")


@dataclass(frozen=True, slots=True)
class Values:
    """Shows values.

    Attributes:
        hidden: Fields that `[crm] ledger_hash_fields` names; what was kept in clear before is hidden as well.
    """

    hidden: frozenset[str]

    def shown(self, account: str, field: str, text: str | None) -> Shown:
        """A value that is kept as JSON text; None is one that nobody knows."""
        if text is None:
            return UNKNOWN
        if is_hash(text) or self._hides(account, field):
            return HIDDEN
        if text in _EMPTY:
            return EMPTY
        value: Json = json.loads(text, parse_float=Decimal)
        money = amount(account, field, value)
        if money is not None:
            return Shown(f"{money:,.2f}", "money")
        return Shown(value if isinstance(value, str) else text)

    def _hides(self, account: str, field: str) -> bool:
        keys = _keys(self.hidden, account.partition(":")[0])
        return field in keys or field.removesuffix(".add").removesuffix(".remove") in keys

    def change(self, account: str, field: str, before: str | None, after: str | None) -> Decimal | None:
        """By how much an amount changes; an empty or unknown one counts as nothing, None if there is no amount."""
        sides = [self.amount(account, field, text) for text in (before, after)]
        if sides == [None, None]:
            return None
        return (sides[1] or Decimal()) - (sides[0] or Decimal())

    def amount(self, account: str, field: str, text: str | None) -> Decimal | None:
        """The money that a kept value stands for, in major units; None if it is hidden or holds none."""
        if text is None or is_hash(text) or self._hides(account, field):
            return None
        return amount(account, field, json.loads(text, parse_float=Decimal))


@lru_cache(maxsize=16)
def _keys(names: frozenset[str], vendor: str) -> frozenset[str]:
    """The vendor's keys of hidden fields; a name may be a canonical one, the ledger has the vendor's."""
    known = VENDORS.get(vendor)
    return named_keys(names, {} if known is None else {field.name: field for field in known.documented_fields})


def vendor_of(account: str) -> Vendor | None:
    """The vendor of an account of the ledger; None for one that this version does not know."""
    return VENDORS.get(account.partition(":")[0])


def amount(account: str, field: str, value: Json) -> Decimal | None:
    """The money, in major units, that a vendor's value stands for; None if it holds none."""
    vendor = vendor_of(account)
    return None if vendor is None else vendor.amount(field, value)
