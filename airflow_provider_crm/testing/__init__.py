"""Tools for tests: of Dags, with the pytest fixture `crm_sandbox`, and of vendors, with `VendorContract`.

```python
from airflow_provider_crm.testing import Example, Subject, VendorContract

class TestAcme(VendorContract):
    subject = Subject(vendor=VENDOR, hook=AcmeHook, sandbox_api=ACME, values={"notes": Example("new", {"note": "new"})})
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_crm.testing.contract import VendorContract
    from airflow_provider_crm.testing.subject import BatchSwitches, Example, Subject

__all__ = ["BatchSwitches", "Example", "Subject", "VendorContract"]

_MODULES = {"BatchSwitches": "subject", "Example": "subject", "Subject": "subject", "VendorContract": "contract"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the names in `__all__`
    """Import a name when it is first used: every pytest run imports this package, and most need nothing of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite(f"{__name__}.claims")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
