"""A clock that does not wait, tiny servers, and sessions with the sandbox."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.vendors.credentials import Credentials

from .session_calls import NOW, RAZE


class Time:
    """Time that passes only by waiting, so that no test waits."""

    def __init__(self):
        self.seconds = 0.0
        self.slept = []
        self.readings = 0
        self._lock = threading.Lock()

    def read(self):
        """What time it is; a call that goes on for ever ends here."""
        self.readings += 1
        assert self.readings < 10_000
        return self.seconds

    def sleep(self, seconds):
        """Pass the time for everybody."""
        with self._lock:
            self.slept.append(seconds)
            self.seconds += seconds

    def clock(self, jitter):
        """The clock with this time."""
        return Clock(
            monotonic=self.read,
            now=lambda: NOW + dt.timedelta(seconds=self.seconds),
            sleep=self.sleep,
            jitter=lambda: jitter,
        )


class Server:
    """A tiny HTTP server: the same answer to every call, but for the first ones; it keeps what it received."""

    def __init__(self, *, status=200, headers=None, body=b"{}", first=()):
        self.received = []
        server, first = self, iter(first)

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers_in = {name.lower(): value for name, value in self.headers.items()}
                server.received.append((self.command, self.path, headers_in))
                self.send_response(next(first, status))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_PATCH = answer  # noqa: N815 - the base class looks for these

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def time():
    """The time of the test."""
    return Time()


@pytest.fixture
def connect(time):
    """Open a session."""
    with contextlib.ExitStack() as stack:

        def connect(origin, *, vendor=RAZE, key="gr_live_sandbox", extra=None, timeout=5.0, jitter=0.0, **retry):
            account = Account(vendor, origin, Credentials(key, extra or {}), timeout=timeout)
            return stack.enter_context(Session(account, retry=RetryRules(**retry), clock=time.clock(jitter)))

        yield connect


@pytest.fixture
def sandbox(crm_sandbox):
    """A sandbox with one opportunity of each vendor."""
    crm_sandbox.raze.add_opportunity("opp_1", status="new")
    crm_sandbox.close.add_opportunity("oppo_1")
    return crm_sandbox


@pytest.fixture
def raze(sandbox, connect):
    """A session with the sandbox's Raze."""
    return connect(sandbox.url)


@pytest.fixture
def serve():
    """Start a tiny server."""
    with contextlib.ExitStack() as stack:
        yield lambda **answer: stack.enter_context(Server(**answer))
