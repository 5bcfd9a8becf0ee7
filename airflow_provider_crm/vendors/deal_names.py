"""Read the name of an opportunity, by which people know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record


def deal_name(record: Record, vendor: Vendor, catalogue: Catalogue) -> str | None:
    """Return the name in a record; None if the record shows none."""
    if catalogue.name_key is None:
        return None
    shown = vendor.stored_value(catalogue.name_key, record, catalogue)
    return next((name for name in shown if isinstance(name, str) and name.strip()), None)
