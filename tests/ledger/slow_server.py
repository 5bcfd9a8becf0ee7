"""A PostgreSQL that is slow to answer: a socket in between that holds every answer back for a while."""

from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"
_CHUNK = 1 << 16


class _Connection(socketserver.BaseRequestHandler):
    """Passes on what is asked at once, and what is answered late."""

    def handle(self):
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(self.server.real)
            answers = threading.Thread(target=self._answer, args=(real,))
            answers.start()
            while asked := self.request.recv(_CHUNK):
                real.sendall(asked)
            real.shutdown(socket.SHUT_WR)
            answers.join()

    def _answer(self, real):
        while answered := real.recv(_CHUNK):
            time.sleep(self.server.seconds)
            self.request.sendall(answered)


class _SlowServer(socketserver.ThreadingUnixStreamServer):
    """Attributes: `real`, the server's own socket; `seconds`, by which answers are late, to be set at any time."""

    seconds = 0.0


@contextmanager
def slow_server(url):
    """Put a slow socket in front of a server; gives it, and the URL that leads through it."""
    with tempfile.TemporaryDirectory() as folder, _SlowServer(f"{folder}/{_SOCKET}", _Connection) as server:
        server.real = str(Path(url.query["host"]) / _SOCKET)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server, url.update_query_dict({"host": folder})
        server.seconds = 0.0
        server.shutdown()
        thread.join()
