"""The sandbox itself: one process, one port, both vendors."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from airflow_provider_crm.sandbox.app import App
from airflow_provider_crm.sandbox.audit import Audit
from airflow_provider_crm.sandbox.clock import SandboxClock
from airflow_provider_crm.sandbox.close.account import CloseAccount
from airflow_provider_crm.sandbox.close.api import CloseApi
from airflow_provider_crm.sandbox.control import Control
from airflow_provider_crm.sandbox.faults import FaultPlan, Script
from airflow_provider_crm.sandbox.raze.account import RazeAccount
from airflow_provider_crm.sandbox.raze.api import RazeApi
from airflow_provider_crm.sandbox.switches import Panel, Switches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from airflow_provider_crm.sandbox.loopback import Loopback
    from airflow_provider_crm.sandbox.wire import Json


class Sandbox:
    """A local Raze and Close over loopback HTTP.

    ```python
    with Sandbox() as sandbox:
        sandbox.close.add_opportunity("oppo_1", value=50_000)
        ...  # calls to sandbox.url
        assert sandbox.close.opportunity("oppo_1")["value"] == 60_000
    ```

    Everything may be used from any thread while the server runs.

    Attributes:
        clock: what time it is for both vendors; real time until it is set.
        close, raze: the two accounts: keys, definitions, records.
        audit: the calls and the applied writes, in order.
    """

    def __init__(self, *, port: int = 0) -> None:
        """Prepare a sandbox with empty accounts.

        Args:
            port: the port to listen on; 0 takes a free one.
        """
        lock = threading.RLock()
        self._panel = Panel()
        self._plan = FaultPlan()
        self._lock = lock
        self._port = port
        self._server: Loopback | None = None
        self.clock = SandboxClock()
        self.audit = Audit()
        self.close = CloseAccount(clock=self.clock, lock=lock)
        self.raze = RazeAccount(clock=self.clock, lock=lock, panel=self._panel)
        self._app = App(
            apis={"close": CloseApi(self.close, self._panel), "raze": RazeApi(self.raze, self._panel)},
            control=Control(self),
            audit=self.audit,
            clock=self.clock,
            panel=self._panel,
            plan=self._plan,
            lock=lock,
        )

    def __enter__(self) -> Self:
        """Start serving."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.stop()

    def start(self) -> None:
        """Serve in a background thread; returns when connections are accepted.

        Raises:
            OSError: the port is in use.
        """
        from airflow_provider_crm.sandbox.loopback import Loopback  # uvicorn is imported only where a server runs

        if self._server is None:
            self._server = Loopback(self._app, port=self._port, on_connect=self._count_connection)
            self._server.start()

    def stop(self) -> None:
        """Stop serving: connections are closed, records and audit stay readable."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """The base URL of both vendors, such as `http://127.0.0.1:49152`.

        Raises:
            RuntimeError: the sandbox isn't running.
        """
        if self._server is None:
            message = "The sandbox is not running; use it in a with statement or call start()."
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def switches(self) -> Switches:
        """The switches as they are set now."""
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
        """Lay down what happens to the next matching calls, one entry for each; the calls after them are normal.

        Args:
            faults: fault names as in `faults`; None answers normally.
            vendor: `close` or `raze`; None matches both.
            method: such as `PUT`; None matches all.
            path: the exact path as on the wire; None matches all.

        Returns:
            The script, whose `left` tells how many entries have not been used.

        Raises:
            ValueError: a fault that doesn't exist.
        """
        script = Script(faults=faults, vendor=vendor, method=method, path=path)
        with self._lock:
            self._plan.add(script)
        return script

    def connection_uris(self, *, timezone: str = "UTC") -> dict[str, str]:
        """Airflow connections to the sandbox, in JSON form: the value of `AIRFLOW_CONN_<ID>` by connection id.

        Args:
            timezone: the IANA zone that both connections name in their extra.
        """
        keys = {"close": self.close.api_key, "raze": self.raze.api_key}
        return {
            f"{vendor}_default": json.dumps(
                {"conn_type": vendor, "password": key, "host": self.url, "extra": {"timezone": timezone}}
            )
            for vendor, key in keys.items()
        }

    def _count_connection(self) -> None:
        self.audit.connections += 1
