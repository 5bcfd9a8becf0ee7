"""Find won stages without a date in rows, and add the date, by a vendor's own rules."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import InvalidValueError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from airflow_provider_crm.values.opportunity import FieldValue, Update
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor


def wins_without_date(update: Update, vendor: Vendor, catalogue: Catalogue) -> bool:
    """Return whether an update sets a won stage and leaves the date of the win to the vendor's clock.

    Raises:
        InvalidValueError: If the account has no such stage.
    """
    rules = vendor.wins
    stages = () if rules is None else tuple(name for name in rules.stage_fields if name in update.fields)
    if rules is None or not stages:
        return False
    if rules.date_field is not None and update.fields.get(_date_name(update, rules.date_field, catalogue)) is not None:
        return False
    won = {stage.id for stage in catalogue.stages if stage.type == "won"}
    return any(stage in won for name in stages for stage in _stages(name, update, vendor, catalogue))


def with_win_date(update: Update, day: dt.date, vendor: Vendor, catalogue: Catalogue) -> Update:
    """Return the update with the date of the win in it; as it is for a vendor that does not date wins.

    Raises:
        InvalidValueError: If the vendor does not let anyone write that date.
    """
    rules = vendor.wins
    if rules is None:
        return update
    if rules.date_field is None:
        msg = rules.refusal.format(day=day)
        raise InvalidValueError(msg, vendor=vendor.name, code="DATE_WON", record_id=update.record_id)
    name = _date_name(update, rules.date_field, catalogue)
    return dataclasses.replace(update, fields={**update.fields, name: day})


def with_date_key(
    keys: frozenset[str], names: Mapping[str, str], vendor: Vendor, catalogue: Catalogue
) -> frozenset[str]:
    """Return the keys of a row to write, with the date of the win if the vendor would replace it otherwise.

    Args:
        keys: The keys that change.
        names: The field's name by each key of the row; also of keys whose values the record holds already.
        vendor: The vendor.
        catalogue: What the account offers.
    """
    rules = vendor.wins
    if rules is None or not rules.replaces_date or rules.date_field is None or catalogue.stage_key not in keys:
        return keys
    return keys | ({catalogue.fields[rules.date_field].target} & names.keys())


def _date_name(update: Update, date_field: str, catalogue: Catalogue) -> str:
    """Return the name under which the update has the date, which may be another one of the same field."""
    target = catalogue.fields[date_field].target
    return next((name for name in update.fields if catalogue.fields[name].target == target), date_field)


def _stages(name: str, update: Update, vendor: Vendor, catalogue: Catalogue) -> Sequence[FieldValue]:
    """Return the stage that a field sets, as the vendor writes it."""
    field = catalogue.fields[name]
    return vendor.to_vendor_values(field, [update.fields[name]], catalogue)[field.target]
