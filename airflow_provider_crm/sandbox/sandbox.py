"""Serve vendors' APIs from one process and one port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.app import App
from airflow_provider_crm.sandbox.control import Control
from airflow_provider_crm.sandbox.own import OwnAccounts, own_apis

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from airflow_provider_crm.sandbox.api import SandboxApi
    from airflow_provider_crm.sandbox.loopback import Loopback


class Sandbox(OwnAccounts):
    """Local CRMs over loopback HTTP: the package's own ones, unless others are named.

    ```python
    with Sandbox() as sandbox:
        sandbox.close.add_opportunity("oppo_1", value=50_000)
        ...  # calls to sandbox.url
        assert sandbox.close.opportunity("oppo_1")["value"] == 60_000
    ```

    Everything may be used from any thread while the server runs.
    """

    def __init__(self, *, port: int = 0, apis: Iterable[SandboxApi[Any]] | None = None) -> None:
        """Prepare a sandbox with empty accounts.

        Args:
            port: the port to listen on; 0 takes a free one.
            apis: the APIs to serve, such as `[*own_apis(), ACME]`; None: the package's own ones.

        Raises:
            ValueError: two APIs have one name, root or switch.
        """
        super().__init__(own_apis() if apis is None else apis)
        self._port = port
        self._server: Loopback | None = None
        self._app = App(
            apis=self._served,
            roots={root: api.name for api in self.apis.values() for root in api.roots},
            control=Control(self, lambda: self.url),
            audit=self.audit,
            clock=self.clock,
            panel=self._panel,
            plan=self._plan,
            lock=self._lock,
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
        """Return the base URL of all APIs, such as `http://127.0.0.1:49152`.

        Raises:
            RuntimeError: the sandbox isn't running.
        """
        if self._server is None:
            message = "The sandbox is not running; use it in a with statement or call start()."
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._server.port}"

    def connection_uris(self, *, timezone: str = "UTC") -> dict[str, str]:
        """Return Airflow connections to the sandbox as JSON: the value of `AIRFLOW_CONN_<ID>` by connection id.

        Args:
            timezone: the IANA zone that the connections name in their extra.
        """
        connections = [api.connection(self.url, timezone=timezone) for api in self._served.values()]
        return {f"{one['conn_type']}_default": json.dumps(one) for one in connections}

    def _count_connection(self) -> None:
        self.audit.connections += 1
