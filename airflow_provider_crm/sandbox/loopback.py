"""The HTTP server: uvicorn's protocol on an event loop of its own, in a background thread, on the loopback interface.

uvicorn's `Server` reads its stop flag ten times a second and waits for connections. Here start and stop take
milliseconds, and the application can reach the connection of a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.sandbox.app import App

HOST = "127.0.0.1"
_KEEP_ALIVE_SECONDS = 75
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BACKLOG = 1024


class UvicornProtocol(Protocol):
    """A uvicorn protocol, as far as it is used here."""

    client: tuple[str, int] | None
    cycle: Any
    transport: asyncio.Transport


class Loopback:
    """A server of one application, until it is stopped."""

    def __init__(self, app: App, *, port: int, on_connect: Callable[[], None]) -> None:
        """Bind the port; 0 takes a free one.

        Raises:
            OSError: the port is in use.
        """
        self._app = app
        self._on_connect = on_connect
        # The protocol is named because asyncio switches Nagle's delay off only for sockets that are TCP by name.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._state = ServerState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crm-sandbox", daemon=True)

    def start(self) -> None:
        """Start the thread and return when the server accepts connections.

        Raises:
            RuntimeError: the server could not start.
        """
        self._app.link = self
        self._thread.start()
        self._ready.wait()
        if self._loop is None:
            message = "The sandbox's server did not start; the traceback of its thread says why."
            raise RuntimeError(message)

    def stop(self) -> None:
        """Close all connections and end the thread. Calls under way are cut."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    async def pause(self, seconds: float) -> None:
        """Wait in real time, but no longer than the server runs."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def reset(self, client: tuple[str, int]) -> None:
        """Cut a connection with a TCP reset: without lingering, closing sends RST."""
        protocol = self._protocol(client)
        if protocol is not None:
            raw = protocol.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            protocol.cycle.disconnected = True
            protocol.transport.abort()

    def hang_up(self, client: tuple[str, int]) -> None:
        """Close a connection after what was written so far."""
        protocol = self._protocol(client)
        if protocol is not None:
            protocol.cycle.disconnected = True
            protocol.transport.close()

    def _protocol(self, client: tuple[str, int]) -> UvicornProtocol | None:
        """Find the uvicorn protocol of a connection; all of its HTTP/1.1 ones have these attributes."""
        connections: set[Any] = self._state.connections
        return next((one for one in connections if one.client == client), None)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        config = Config(
            self._app,
            lifespan="off",
            interface="asgi3",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        config.load()

        def connect() -> asyncio.Protocol:
            self._on_connect()
            protocol: Any = AutoHTTPProtocol
            made = protocol(config=config, server_state=self._state, app_state={})
            # The setting above silences uvicorn's logger, but a later configuration of logging enables it again.
            made.access_log = False
            silent: asyncio.Protocol = made
            return silent

        server = await loop.create_server(connect, sock=self._socket, backlog=_BACKLOG)
        self._loop = loop
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for protocol in list(self._state.connections):
            protocol.transport.abort()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
