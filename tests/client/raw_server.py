"""A server of raw bytes: what it is given it sends, whether that is HTTP or not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable


class RawServer:
    """Reads one request of each connection, then sends the next answer, or the last one again.

    Args:
        answers: Bytes, or pieces that are sent one by one.
        pause: Seconds between two pieces.
        tls: A context of a server, to speak TLS.

    Attributes:
        requests: The first bytes of each request.
    """

    def __init__(self, *answers: bytes | Iterable[bytes], pause: float = 0.0, tls=None):
        self.requests: list[bytes] = []
        self._answers, self._pause, self._tls = answers, pause, tls
        self._stopped = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join(10)
        self._socket.close()

    def _serve(self):
        while not self._stopped.is_set():
            peer, _ = self._socket.accept()
            if self._stopped.is_set():
                peer.close()
                return
            with contextlib.suppress(OSError), peer:
                peer.settimeout(5)
                self._answer(self._tls.wrap_socket(peer, server_side=True) if self._tls else peer)

    def _answer(self, peer):
        request = b""
        while b"\r\n\r\n" not in request and not request.startswith(b"\x16"):  # of a TLS handshake
            if not (part := peer.recv(65_536)):
                return
            request += part
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        for piece in [answer] if isinstance(answer, bytes) else answer:
            if self._stopped.is_set():
                return
            peer.sendall(piece)
            time.sleep(self._pause)
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
        if self._tls:
            peer.close()


def http(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """An answer that is HTTP, with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
