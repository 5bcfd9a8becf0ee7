"""A faithful local Raze and Close over loopback HTTP, for demos and for tests of DAGs.

`python -m airflow_provider_crm.sandbox` serves it in the foreground; the pytest fixture `crm_sandbox` runs one for a
test. It shares no code with the rest of the package, so it can't share its bugs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.audit import Audit, AuditedCall, Write
    from airflow_provider_crm.sandbox.clock import SandboxClock
    from airflow_provider_crm.sandbox.close.account import CloseAccount
    from airflow_provider_crm.sandbox.faults import Fault, Script
    from airflow_provider_crm.sandbox.raze.account import RazeAccount
    from airflow_provider_crm.sandbox.sandbox import Sandbox
    from airflow_provider_crm.sandbox.switches import RAZE_SERVER_2025, RAZE_SERVER_2026, Switches

__all__ = [
    "RAZE_SERVER_2025",
    "RAZE_SERVER_2026",
    "Audit",
    "AuditedCall",
    "CloseAccount",
    "Fault",
    "RazeAccount",
    "Sandbox",
    "SandboxClock",
    "Script",
    "Switches",
    "Write",
]

_MODULES = {
    "audit": ("Audit", "AuditedCall", "Write"),
    "clock": ("SandboxClock",),
    "close.account": ("CloseAccount",),
    "faults": ("Fault", "Script"),
    "raze.account": ("RazeAccount",),
    "sandbox": ("Sandbox",),
    "switches": ("RAZE_SERVER_2025", "RAZE_SERVER_2026", "Switches"),
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used: every pytest run loads this module, for the sake of the plugin beside it."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
