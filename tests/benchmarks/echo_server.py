"""A Close that does nothing but echo, after a set time: fast enough never to be what a benchmark measures.

    python tests/benchmarks/echo_server.py [seconds of latency] [bytes that a record has at least]

Prints its port. Answers `GET /api/v1/me/` with an organization in dollars, `GET /connections` with the number of
connections that were opened so far (`opened`) and of requests that were being answered at the same time at most
(`at_once`), any other call with its own JSON body, if it has one, and the id of its path, as Close's record would
show it, with as many other members as make the record so long. Below `/batchly/` it answers like the vendor in
`tests/fake`: a call for many rows, `{"inputs": [...]}`, with these rows as `results`.
"""

from __future__ import annotations

import asyncio
import json
import sys

ME = {"id": "user_1", "organizations": [{"id": "orga_1", "currency": "USD", "pipelines": []}]}
CUSTOM = {"fields": []}
BATCHLY = {
    b"account": {"accountId": 1, "timeZone": "UTC", "currencies": ["USD"]},
    b"pipelines": {"results": []},
    b"schema": {"results": [{"name": "c_confidence", "type": "number", "label": "Confidence"}]},
}
INPUTS = b'{"inputs": '
OTHERS = (
    ("organization_id", "orga_2tTkyy1bBoq3sQZSCqUwqi"),
    ("lead_name", "Wayne Enterprises (Sample Lead)"),
    ("status_label", "Proposal sent"),
    ("status_type", "active"),
    ("value_formatted", "$1,000,000.50"),
    ("annualized_value", 100000050),
    ("expected_value", 75000037),
    ("date_lost", None),
    ("is_stalled", False),
    ("date_created", "2026-02-11T09:21:07.264000+00:00"),
)
"""Members of the kinds that a record of Close has; each is repeated, numbered, until the record is long enough."""


def members(size):
    """Other members of a record, of that many bytes, or a few more."""
    written, number = "", 0
    while len(written) < size:
        name, value = OTHERS[number % len(OTHERS)]
        written += f"{json.dumps(f'{name}_{number // len(OTHERS)}')}: {json.dumps(value)}, "
        number += 1
    return written.encode()


class Echo(asyncio.Protocol):
    """One connection, kept alive; requests of one connection come one after another."""

    connections = 0
    answering = 0
    at_once = 0

    def __init__(self, latency: float, others: bytes) -> None:
        self.latency = latency
        self.others = others
        self.buffer = b""

    def connection_made(self, transport):
        """Count the connections."""
        Echo.connections += 1
        self.transport = transport

    def data_received(self, data):
        """Answer each whole request."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            Echo.answering += 1
            Echo.at_once = max(Echo.at_once, Echo.answering)
            answer = self.answer(head.split(b" ", 2)[1].split(b"?")[0], body)
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.send, answer)
            else:
                self.send(answer)

    def answer(self, path, body):
        """The record that the call would have made."""
        parts = path.strip(b"/").split(b"/")
        if parts[-1] == b"me":
            text = json.dumps(ME).encode()
        elif parts[-1] == b"connections":
            text = json.dumps({"opened": Echo.connections, "at_once": Echo.at_once}).encode()
        elif body.startswith(INPUTS):
            text = b'{"status": "COMPLETE", "results": ' + body[len(INPUTS) :]
        elif parts[0] == b"batchly" and parts[-1] in BATCHLY:
            text = json.dumps(BATCHLY[parts[-1]]).encode()
        elif body:
            text = b'{"id": "' + parts[-1] + b'", ' + self.others + body.lstrip()[1:]
        elif parts[-2] == b"opportunity":
            text = b'{"id": "' + parts[-1] + b'"}'
        else:
            text = json.dumps(CUSTOM).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)

    def send(self, answer):
        """Write, unless the client has gone."""
        Echo.answering -= 1
        if not self.transport.is_closing():
            self.transport.write(answer)


async def main(latency=0.0, size=0.0):
    """Serve until killed."""
    loop, others = asyncio.get_running_loop(), members(size)
    server = await loop.create_server(lambda: Echo(latency, others), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the parent
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(float, sys.argv[1:])))
