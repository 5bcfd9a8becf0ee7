"""Read all records that match, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import (
    TransientError,
)

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record


def all_records(vendor: Vendor, fetch: Callable[[Call], Json], filters: Mapping[str, str]) -> Iterator[Record]:
    """Yield all opportunities that match, page by page.

    Raises:
        TransientError: A page is the same as an earlier one, or empty, and is not the last.
        CrmError: A page cannot be read.
    """
    seen = set[int]()
    page, more = 0, True
    while more:
        records, more = vendor.parse_page(fetch(vendor.list_call(filters, page)))
        yield from records
        page += 1
        content = hash(tuple(str(record.get(vendor.id_key)) for record in records))
        if more and (not records or content in seen):
            msg = f"{vendor.display_name}'s list does not end: page {page} brings nothing new and is not the last."
            raise TransientError(msg, vendor=vendor.name, code="NO_PROGRESS")
        seen.add(content)
