"""Ask a vendor how opportunities are found by the values of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import RecordLookup
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor


@runtime_checkable
class Searchable(Protocol):
    """A vendor whose API finds opportunities by the values of a field."""

    def lookup(self, key: str, catalogue: Catalogue) -> RecordLookup:
        """Return how opportunities are found by a field.

        Args:
            key: The vendor's key of the field.
            catalogue: What the account offers.

        Raises:
            ConfigurationError: The API cannot look for values of this field.
        """
        ...


def lookup_of(vendor: Vendor, key: str, catalogue: Catalogue) -> RecordLookup | None:
    """Return how a vendor finds opportunities by a field; None for one whose list has to be read.

    Raises:
        ConfigurationError: The vendor cannot look for values of this field.
    """
    return vendor.lookup(key, catalogue) if isinstance(vendor, Searchable) else None
