"""Faithful local CRMs over loopback HTTP, for demos and for tests of DAGs.

`python -m airflow_provider_crm.sandbox` serves them in the foreground; the pytest fixture `crm_sandbox` runs them for a
test. They share no code with the rest of the package, so they can't share its bugs. `SandboxApi` describes one more.
"""

from airflow_provider_crm.sandbox.api import ApiContext, SandboxAccount, SandboxApi, ServedApi
from airflow_provider_crm.sandbox.audit import Audit, AuditedCall, Write
from airflow_provider_crm.sandbox.clock import SandboxClock
from airflow_provider_crm.sandbox.faults import Fault, Script
from airflow_provider_crm.sandbox.installed import installed_apis
from airflow_provider_crm.sandbox.own import own_apis
from airflow_provider_crm.sandbox.rate_limit import CallsLeft, Limiter, LimitKind, Rule
from airflow_provider_crm.sandbox.records import Records
from airflow_provider_crm.sandbox.sandbox import Sandbox
from airflow_provider_crm.sandbox.switches import Switches
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, RefusalError, Request, Response, json_response

__all__ = [
    "ApiContext",
    "AppliedChange",
    "Audit",
    "AuditedCall",
    "CallsLeft",
    "Fault",
    "Json",
    "LimitKind",
    "Limiter",
    "Records",
    "RefusalError",
    "Request",
    "Response",
    "Rule",
    "Sandbox",
    "SandboxAccount",
    "SandboxApi",
    "SandboxClock",
    "Script",
    "ServedApi",
    "Switches",
    "Write",
    "installed_apis",
    "json_response",
    "own_apis",
]
