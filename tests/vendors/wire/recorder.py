"""Record the requests of a client, byte for byte, on their way to a server; and write them down as readable text.

The recorder is a server of its own between the two, so that it depends on neither: it sees what came over the wire,
with the order and the spelling of the headers. It passes on what the real server does, lost connections included.
"""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
from contextlib import suppress
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# What the HTTP library decides, by its version and by what is installed beside it.
_LEFT_OUT = frozenset({"user-agent", "accept", "accept-encoding", "connection"})
# Each is made up by the sandbox, and of the same length.
_TOKEN = re.compile(r"\b(access|refresh)_[0-9a-f]{16}\b")


class Recorder:
    """A server that passes each request on and keeps it; use it in a with statement.

    Args:
        url: The real server.

    Attributes:
        url: Where clients connect.
    """

    def __init__(self, url: str) -> None:
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._requests: list[bytes] = []
        self._server = _Server(("127.0.0.1", 0), self._pass_on)
        self._host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._tokens: dict[str, str] = {}
        self.url = f"http://{self._host}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def taken(self) -> list[str]:
        """Return the requests since the last call of this function, as readable text."""
        requests, self._requests = self._requests, []
        return [self._readable(request) for request in requests]

    def _readable(self, request: bytes) -> str:
        """Leave out what belongs to the library or to this machine, and give tokens names that are always the same."""
        head, _, body = request.partition(_HEAD_END)
        first, *headers = head.decode("latin-1").split("\r\n")
        kept = [line for line in headers if line.partition(":")[0].lower() not in _LEFT_OUT]
        text = "\n".join([first, *kept]).replace(self._host, "{host}") + "\n"
        if body:
            text += f"\n{body.decode()}\n"
        return _TOKEN.sub(lambda match: self._tokens.setdefault(match[0], self._new_name(match[1])), text)

    def _new_name(self, kind: str) -> str:
        return f"{{{kind} token {1 + sum(name.startswith(f'{{{kind} ') for name in self._tokens.values())}}}"

    def _pass_on(self, client: socket.socket) -> None:
        """Pass on the requests of one connection, one after another."""
        with socket.create_connection(self._target) as server:
            while request := _message(client):
                self._requests.append(request)
                server.sendall(request)
                try:
                    answer = _message(server)
                except ConnectionResetError:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    return
                client.sendall(answer)
                if not _is_whole(answer):
                    return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address, pass_on):
        self._pass_on = pass_on
        super().__init__(address, None)

    def finish_request(self, request, client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            self._pass_on(request)

    def shutdown_request(self, request):
        request.close()  # without a shutdown before, which would be an orderly end where a reset is due


def _message(peer: socket.socket) -> bytes:
    """Return the next HTTP message, as far as it comes; nothing at the end of the connection."""
    message = b""
    while not _is_whole(message) and (part := peer.recv(65_536)):
        message += part
    return message


def _is_whole(message: bytes) -> bool:
    head, end, body = message.partition(_HEAD_END)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)
