"""A faithful local Raze and Close over loopback HTTP, for demos and for tests of DAGs.

`python -m airflow_provider_crm.sandbox` serves it in the foreground; the pytest fixture `crm_sandbox` runs one for a
test. It shares no code with the rest of the package, so it can't share its bugs.
"""

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
