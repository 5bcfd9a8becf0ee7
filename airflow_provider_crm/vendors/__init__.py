"""The registry of vendors; each part of what they share is imported from its own module.

`VENDORS` is the only list of vendors. To add one, write `vendors/<name>.py` (or a folder of that name) with an object
`VENDOR` that fits `protocol.Vendor`, and add it to `_MODULES`. Give it a small hook class and a sandbox. The contract
tests run over all of `VENDORS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.protocol import Vendor

_MODULES = {"close": "airflow_provider_crm.vendors.close", "raze": "airflow_provider_crm.vendors.raze"}


class _Vendors(Mapping[str, "Vendor"]):
    """Vendors by connection type, imported when first asked for: a DAG file pays for none of them."""

    def __getitem__(self, name: str) -> Vendor:
        vendor: Vendor = import_module(_MODULES[name]).VENDOR
        return vendor

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


VENDORS: Mapping[str, Vendor] = _Vendors()
