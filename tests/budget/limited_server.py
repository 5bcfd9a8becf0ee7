"""A Close with a rate limit, in a process of its own: it shares no interpreter with the client whose use it counts.

    python tests/budget/limited_server.py '{"limits": [["aligned", 100, 1.0, 0]], "announces": "seconds"}'

The argument is a `VendorSetup` as JSON. Prints its port. It answers `GET /api/v1/me/` with an organization in dollars,
and each `PUT` of an opportunity with a record of the size that Close sends, or with 429. Only these are counted, and
the limit is one for all keys. `GET /calls` answers with `[seconds, status, key]` of each counted call, in the order in
which they were counted. The seconds are those of the server's clock, which begins with the first counted call.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import NamedTuple
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests are imported as `tests.folder.module`

from tests.budget.limiters import (
    BARE,
    DAY,
    HUBSPOT,
    MILLISECONDS,
    WAIT_ONLY,
    WHOLE_SECONDS,
    Announcement,
    LimitedVendor,
    LimiterRule,
)

ANNOUNCEMENTS = {
    "seconds": WHOLE_SECONDS,
    "milliseconds": MILLISECONDS,
    "seconds and length": Announcement(length=True),
    "milliseconds and length": Announcement("milliseconds", "milliseconds", length=True),
    "length": HUBSPOT,
    "wait": WAIT_ONLY,
    "nothing": BARE,
}
"""What answers say of a limit, by the name that a cell of the benchmark gives it."""

ME = {"id": "user_1", "organizations": [{"id": "orga_1", "currency": "USD", "pipelines": []}]}
RECORD = {
    "date_created": "2026-01-15T09:12:44.120000+00:00",
    "integration_links": [],
    "contact_name": None,
    "lead_name": "Bluth Company",
    "organization_id": "orga_bwwWG475zqWiQGur0thQshwVXo8rIYecQHDWFanqhen",
    "pipeline_name": "Sales",
    "status_label": "Active",
    "status_display_name": "Active",
    "user_name": "A User",
    "attachments": [{"url": "https://app.close.com/go/file/attachment", "filename": "offer.pdf", "size": 182_203}],
    "description": "x" * 830,
}
"""What a record has beside the fields that a call writes: with them an answer has some 1,300 bytes."""
REFUSED = b'{"error": {"message": "API call count exceeded for this key"}}'
_MORE = json.dumps(RECORD).encode()[1:]
_HALVES = 2


@dataclass(frozen=True)
class VendorSetup:
    """What the server does.

    Attributes:
        limits: Kind, units, seconds and units that are used up already, of each limit; calls count for all of them.
        announces: What its answers say of them, see `ANNOUNCEMENTS`.
        latency: Seconds that a call takes: one half before it is counted, the other half afterwards.
        phase: Part of a window that has passed at the first call, where windows are aligned to the server's clock.
        bare_refusals: Probability of a refusal that is none of the limits'.
    """

    limits: tuple[tuple[str, int, float, int], ...]
    announces: str = "seconds"
    latency: float = 0.02
    phase: float = 0.63
    bare_refusals: float = 0.0

    def rules(self):
        """Return the limits; one of a day is named so."""
        names = [f"limit{number}" for number in range(len(self.limits))]
        return [
            LimiterRule(kind, limit, seconds, self.phase * seconds, name, is_daily=seconds == DAY)
            for name, (kind, limit, seconds, _) in zip(names, self.limits, strict=True)
        ]


class Call(NamedTuple):
    """A call that the server has counted or refused."""

    at: float
    status: int
    key: str

    @property
    def accepted(self):
        """Whether it was counted."""
        return self.status == 200


class Connection(asyncio.Protocol):
    """One connection, kept alive; its requests come one after another."""

    def __init__(self, limited):
        self._limited = limited
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    def connection_made(self, transport):
        """Keep what to answer by."""
        self._transport = transport

    def data_received(self, data):
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            if not head.startswith(b"PUT "):
                self._send(self._limited.uncounted(head))
            elif self._limited.latency:
                self._loop.call_later(self._limited.latency / _HALVES, self._count, head, body)
            else:
                self._count(head, body)

    def _count(self, head, body):
        answer = self._limited.counted(head, body)
        if self._limited.latency:
            self._loop.call_later(self._limited.latency / _HALVES, self._send, answer)
        else:
            self._send(answer)

    def _send(self, answer):
        if not self._transport.is_closing():
            self._transport.write(answer)


class Limited:
    """The limits of one account, and the calls that were counted by them."""

    def __init__(self, setup):
        self.latency = setup.latency
        rules, announcement = setup.rules(), ANNOUNCEMENTS[setup.announces]
        self._vendor = LimitedVendor(*((rule, announcement) for rule in rules), bare_refusals=setup.bare_refusals)
        for limiter, (_, _, _, used) in zip(self._vendor.counted.limiters, setup.limits, strict=True):
            if used:
                limiter.count(0.0, used)
        self._began = None
        self._calls = []

    def counted(self, head, body):
        """Return the answer to a call that writes."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        verdict = self._vendor.answer(now - self._began)
        self._calls.append(Call(now - self._began, 200 if verdict.accepted else 429, _key(head)))
        headers = "".join(f"{name}: {value}\r\n" for name, value in headers_of(verdict.limits).items()).encode()
        if not verdict.accepted:
            return _answer(b"429 Too Many Requests", REFUSED, headers)
        record_id = head.split(b" ", 2)[1].strip(b"/").rsplit(b"/", 1)[-1]
        return _answer(b"200 OK", b'{"id": "%b", %b, %b' % (record_id, body.strip()[1:-1], _MORE), headers)

    def uncounted(self, head):
        """Return the answer to a call that no limit counts."""
        path = head.split(b" ", 2)[1]
        return _answer(b"200 OK", json.dumps(self._calls if path == b"/calls" else ME).encode(), b"")


def headers_of(limits):
    """Return the headers that say this: one limit as Close writes it, its length or several limits as policies."""
    headers, shown = {}, [one for one in limits if one.limit is not None]
    waits = [one.wait for one in limits if one.wait is not None]
    if waits:
        headers["Retry-After"] = f"{max(waits):.10g}"
    if len(shown) > 1 or any(one.length is not None for one in shown):
        names = [f'"{getattr(one, "name", "") or number}"' for number, one in enumerate(shown)]
        headers["RateLimit"] = ", ".join(
            f"{name};r={one.remaining}" + ("" if one.reset is None else f";t={one.reset:.10g}")
            for name, one in zip(names, shown, strict=True)
        )
        headers["RateLimit-Policy"] = ", ".join(
            f"{name};q={one.limit}" + ("" if one.length is None else f";w={one.length:.10g}")
            for name, one in zip(names, shown, strict=True)
        )
    elif shown:
        one = shown[0]
        headers["RateLimit"] = f"limit={one.limit}, remaining={one.remaining}, reset={one.reset:.10g}"
    return headers


def _key(head):
    """Return the API key of a request, which its `Authorization` header has as the user name."""
    at = head.lower().find(b"authorization: basic ")
    coded = head[at + 21 :].split(b"\r\n", 1)[0] if at >= 0 else b""
    return base64.b64decode(coded).decode().rstrip(":")


def _answer(status, text, headers):
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        len(text),
        headers,
        text,
    )


class LimitedServer:
    """A running server."""

    def __init__(self, port, process_id):
        self.url = f"http://127.0.0.1:{port}"
        self._schedule = Path(f"/proc/{process_id}/schedstat")

    def calls(self):
        """Return what was counted and refused so far."""
        with urlopen(f"{self.url}/calls") as answer:
            return [Call(*call) for call in json.load(answer)]

    def core_wait(self):
        """Return the seconds for which the server waits for a core when it has something to do; 0 if they are unknown.

        They say how busy the machine is.
        """
        if not self._schedule.exists():
            return 0.0
        _, waited, times = map(int, self._schedule.read_text().split())
        return waited / max(1, times) / 1e9


@contextmanager
def limited_server(setup: VendorSetup) -> Iterator[LimitedServer]:
    """Run a server, as long as it is needed."""
    command = [sys.executable, __file__, json.dumps(asdict(setup))]
    with Popen(command, stdout=PIPE, text=True) as process:
        try:
            yield LimitedServer(int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


async def main(setup: VendorSetup) -> None:
    """Serve until killed."""
    loop, limited = asyncio.get_running_loop(), Limited(setup)
    server = await loop.create_server(lambda: Connection(limited), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the parent
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(VendorSetup(**json.loads(sys.argv[1]))))
