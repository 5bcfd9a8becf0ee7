"""The state of a sandbox, without its server: accounts, clock, audit, switches and scripts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.audit import Audit
from airflow_provider_crm.sandbox.clock import SandboxClock
from airflow_provider_crm.sandbox.close.account import CloseAccount
from airflow_provider_crm.sandbox.faults import FaultPlan, Script
from airflow_provider_crm.sandbox.raze.account import RazeAccount
from airflow_provider_crm.sandbox.switches import Panel, Switches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_crm.sandbox.wire import Json


class SandboxState:
    """Two accounts, with the clock, audit, switches and scripts for calls to them.

    Attributes:
        clock: what time it is for both vendors; real time until it is set.
        close, raze: the two accounts: keys, definitions, records.
        audit: the calls and the applied writes, in order.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._panel = Panel()
        self._plan = FaultPlan()
        self.clock = SandboxClock()
        self.audit = Audit()
        self.close = CloseAccount(clock=self.clock, lock=self._lock)
        self.raze = RazeAccount(clock=self.clock, lock=self._lock, panel=self._panel)

    @property
    def switches(self) -> Switches:
        """Return the switches as they are set now."""
        return self._panel.current

    def set(self, **switches: Json) -> None:
        """Set some switches; `Switches` lists them all.

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
            vendor: `close` or `raze`; None matches both.
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
