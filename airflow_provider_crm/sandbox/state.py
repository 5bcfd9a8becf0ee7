"""The state of a sandbox, without its server: APIs, clock, audit, switches and scripts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.api import ApiContext, SandboxApi, refuse_clashes
from airflow_provider_crm.sandbox.audit import Audit
from airflow_provider_crm.sandbox.clock import SandboxClock
from airflow_provider_crm.sandbox.faults import FaultPlan, Script
from airflow_provider_crm.sandbox.switches import Panel, combine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_crm.sandbox.api import ServedApi
    from airflow_provider_crm.sandbox.wire import Json


class SandboxState:
    """Some APIs, with the clock, audit, switches and scripts for calls to them.

    Attributes:
        apis: the descriptions of the APIs, by name.
        clock: what time it is for all vendors; real time until it is set.
        audit: the calls and the applied writes, in order.
    """

    def __init__(self, apis: Iterable[SandboxApi[Any]]) -> None:
        described = tuple(apis)
        refuse_clashes(described)
        self._lock = threading.RLock()
        self._panel = Panel(combine(api.switches for api in described))
        self._plan = FaultPlan()
        self.clock = SandboxClock()
        self.audit = Audit()
        context: ApiContext[Any] = ApiContext(
            clock=self.clock, lock=self._lock, read_switches=lambda: self._panel.current
        )
        self.apis: Mapping[str, SandboxApi[Any]] = {api.name: api for api in described}
        self._served: Mapping[str, ServedApi] = {api.name: api.build(context) for api in described}

    @property
    def display_names(self) -> str:
        """Return the names of the APIs for people, such as `Acme, Bolt and Close`."""
        *first, last = [api.display_name for api in self.apis.values()] or ["nothing"]
        return f"{', '.join(first)} and {last}" if first else last

    def account(self, name: str) -> Json:
        """Return the account of an API: its keys, definitions and records.

        Args:
            name: the API's name, such as `acme`.

        Raises:
            LookupError: the sandbox serves no such API; the message lists those that it does.
        """
        if name not in self._served:
            message = f"The sandbox serves no API {name!r}; it serves {', '.join(self._served)}."
            raise LookupError(message)
        return self._served[name].account

    @property
    def switches(self) -> Json:
        """Return the switches as they are set now: one `Switches` with those of every API."""
        return self._panel.current

    def set(self, **switches: Json) -> None:
        """Set some switches: those of `Switches`, and those of each API in the class `SandboxApi.switches`.

        Raises:
            ValueError: an unknown switch or value; the message lists the known ones.
        """
        with self._lock:
            self._panel.set(switches)
            if not switches.keys().isdisjoint({"seed", "fault_rates"}):
                self._plan.reseed(self._panel.current.seed)

    def reset_switches(self) -> None:
        """Put all switches back to their defaults and drop all scripts."""
        with self._lock:
            self._panel.reset()
            self._plan.clear()
            self._plan.reseed(self._panel.current.seed)

    def script(
        self,
        *,
        faults: Iterable[str | None],
        vendor: str | None = None,
        method: str | None = None,
        path: str | None = None,
    ) -> Script:
        """Script the faults of the next matching calls, one entry for each; later calls are normal.

        Args:
            faults: fault names as in `faults`; None answers normally.
            vendor: the name of an API; None matches all.
            method: such as `PUT`; None matches all.
            path: the exact path as on the wire; None matches all.

        Returns:
            The script, whose `left` counts the entries that have not been used.

        Raises:
            ValueError: a fault that doesn't exist.
        """
        script = Script(faults=faults, vendor=vendor, method=method, path=path)
        with self._lock:
            self._plan.add(script)
        return script
