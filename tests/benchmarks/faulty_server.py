"""A Close that fails at random, and always at the same calls: the fault of a record's first, second, ... call is set.

    python tests/benchmarks/faulty_server.py [seconds of latency]

Prints its port. Answers like `echo_server.py`, with records of the size that Close sends, but for some of the calls
that write, see `FAULTS`. `GET /written` answers with the value that each record has, and how often it was written;
`GET /calls` with the number of writing calls by their fault.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parent))

from echo_server import Echo, members

FAULTS = {"429": 0.0025, "reset": 0.01, "500": 0.01, "cut": 0.01}
"""Parts of the calls: refused without a word; written, and the connection reset; not written; written, answer cut."""

_SIZE = 1_300
_LINGER = struct.pack("ii", 1, 0)


def fault_of(record_id: str, call: int) -> str:
    """The fault of a record's call of that number, from 1; empty for none."""
    digest = hashlib.blake2b(f"{record_id}:{call}".encode(), digest_size=8).digest()
    drawn = int.from_bytes(digest) / 2**64
    for fault, part in FAULTS.items():
        if drawn < part:
            return fault
        drawn -= part
    return ""


class Faulty(Echo):
    """One connection to the server that fails."""

    calls: ClassVar = Counter()
    written: ClassVar = {}
    faults: ClassVar = Counter()

    def answer(self, path, body):
        """The record that the call has made, or its fault."""
        if path in (b"/written", b"/calls"):
            return _response(200, json.dumps(Faulty.written if path == b"/written" else Faulty.faults).encode())
        record_id = path.strip(b"/").rpartition(b"/")[2].decode()
        if not body:
            return super().answer(path, body)
        Faulty.calls[record_id] += 1
        fault = fault_of(record_id, Faulty.calls[record_id])
        Faulty.faults[fault] += 1
        if fault in ("429", "500"):
            return _response(int(fault), b"{}" if fault == "429" else b'{"error": "Internal error"}')
        before = Faulty.written.get(record_id, [None, 0])
        Faulty.written[record_id] = [json.loads(body)["value"], before[1] + 1]
        answer = super().answer(path, body)
        return {"reset": None, "cut": (answer[: len(answer) // 2],)}.get(fault, answer)

    def send(self, answer):
        """Write the answer, or a part of it, or none."""
        if isinstance(answer, bytes):
            super().send(answer)
            return
        Echo.answering -= 1
        if answer is None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self.transport.abort()
        else:
            self.transport.write(answer[0])
            self.transport.close()


def _response(status, text):
    head = b"HTTP/1.1 %d Status\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(text))
    return head + text


async def main(latency):
    """Serve until killed."""
    loop, others = asyncio.get_running_loop(), members(_SIZE)
    server = await loop.create_server(lambda: Faulty(latency, others), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the parent
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.02))
