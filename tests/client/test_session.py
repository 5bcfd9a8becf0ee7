"""One session against faults over real HTTP, with a clock that does not wait."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import gc
import gzip
import json
import math
import pickle
import socket
import threading
import time as real_time
from collections import deque
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    CrmError,
    LedgerUnavailableError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

RAZE, CLOSE = VENDORS["raze"], VENDORS["close"]
NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
TRANSIENT = ("http_500", "http_502", "http_503", "http_504", "http_408", "html_200", "html_502", "reset_before")
LANDED = ("reset_after", "truncated", "http_500_after", "http_504_after", "html_502_after", "html_200_after")
REDIRECTS = (301, 302, 303, 307, 308)


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
        """The clock that tells this time."""
        return Clock(
            monotonic=self.read,
            now=lambda: NOW + dt.timedelta(seconds=self.seconds),
            sleep=self.sleep,
            jitter=lambda: jitter,
        )


class Server:
    """A tiny HTTP server: it gives the same answer to every call, and keeps what it received."""

    def __init__(self, *, status=200, headers=None, body=b"{}"):
        self.received = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers_in = {name.lower(): value for name, value in self.headers.items()}
                server.received.append((self.command, self.path, headers_in))
                self.send_response(status)
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


def calls(fields, record_id="opp_1"):
    """The calls that write these fields to Raze."""
    return calls_of(record_id, writes_of(Update(0, record_id, fields), RAZE, RAZE.catalogue([])))


PUT = calls({"notes": "new"})[0]
PATCH = calls({"stage": "won"})[0]


def add(session, value="Core"):
    """The call that adds one value to a list in Close: not replayable."""
    update = Update(0, "oppo_1", {"custom.cf_products.add": value})
    catalogue = session.catalogue(("custom.cf_products.add",))
    return calls_of(update.record_id, writes_of(update, CLOSE, catalogue))[0]


def closed_port():
    """An origin where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


# Attempts


@pytest.mark.parametrize("fault", [*TRANSIENT, *LANDED])
def test_a_fault_that_passes_is_survived(raze, sandbox, time, fault):
    """5xx, a proxy's page, cut answers and resets, before and after the write: the PUT is sent again and lands."""
    sandbox.script(faults=[fault, fault])
    record = raze.write(PUT, "opp_1")
    assert (record["notes"], sandbox.raze.opportunity("opp_1")["notes"]) == ("new", "new")
    assert (raze.calls, sandbox.audit.count(method="PUT"), len(time.slept)) == (3, 3, 2)


@settings(deadline=None, derandomize=True)
@given(attempt=st.integers(1, 60), jitter=st.floats(0, 1))
def test_backoff_bounds(attempt, jitter):
    """The wait doubles from 0.25 s up to 30 s, and jitter takes at most half of it away."""
    full = min(30.0, 0.25 * 2 ** (attempt - 1))
    assert full / 2 <= RetryRules().backoff(attempt, jitter) <= full


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_waits_between_attempts(sandbox, connect, time, jitter):
    """A call is tried 8 times, with a growing wait before each further attempt, and none after the last."""
    script = sandbox.script(faults=["http_503"] * 10)
    with pytest.raises(TransientError, match="503") as exhausted:
        connect(sandbox.url, jitter=jitter).write(PUT, "opp_1")
    assert time.slept == [RetryRules().backoff(attempt, jitter) for attempt in range(1, 8)]
    assert (script.left, exhausted.value.record_id) == (2, "opp_1")


def test_attempts_end_with_the_total_time(sandbox, connect, time):
    """No attempt starts after the total time, however many are left."""
    sandbox.set(fault_rates={"http_503": 1.0})
    with pytest.raises(TransientError):
        connect(sandbox.url, attempts=1000, total=20.0).write(PUT, "opp_1")
    assert 0 < time.seconds <= 20.0


def test_a_rejected_row_is_not_tried_again(raze, sandbox, time):
    """400 and 404 are final: one call, no wait."""
    with pytest.raises(RejectedError):
        raze.write(calls({"notes": "new"}, "opp_none")[0], "opp_none")
    assert (raze.calls, time.slept) == (1, [])


@pytest.mark.parametrize("fault", ["http_401", "http_403"])
def test_a_refused_key_is_not_tried_again(raze, sandbox, time, fault):
    """401 and 403 are final: one call, no wait."""
    sandbox.script(faults=[fault])
    with pytest.raises(AuthenticationError):
        raze.write(PUT, "opp_1")
    assert (raze.calls, time.slept) == (1, [])


def test_a_503_that_names_a_wait_is_obeyed(serve, connect, time):
    """A 503 with `Retry-After` waits as long as it says, not as long as the backoff; beyond `defer_after` it ends."""
    with pytest.raises(TransientError) as short:
        connect(serve(status=503, headers={"Retry-After": "40"}).url, attempts=2).write(PUT, "opp_1")
    with pytest.raises(TransientError) as long:
        connect(serve(status=503, headers={"Retry-After": "61"}).url).write(PUT, "opp_1")
    assert (time.slept, short.value.retry_after, long.value.retry_after) == ([40.0], 40.0, 61.0)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_record_is_no_success(serve, connect, status):
    """2xx and 304 without a body show nothing as written."""
    with pytest.raises(TransientError, match="without a record"):
        connect(serve(status=status, body=b"").url, attempts=2).write(PUT, "opp_1")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_answer_that_cannot_be_decoded(serve, connect):
    """A body that contradicts its `Content-Encoding` is an answer without a record."""
    server = serve(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"{}")[:-12] + b"garbage-garbage-")
    with pytest.raises(TransientError) as failed:
        connect(server.url, attempts=2).write(PUT, "opp_1")
    assert (failed.value.code, len(server.received)) == ("NO_RECORD", 2)
    del failed
    gc.collect()  # requests leaves the connection of such an answer to the garbage collector


# 429


@pytest.mark.parametrize("vendor", ["close", "raze"])
@pytest.mark.parametrize("fault", ["http_429", "http_429_remaining"])
def test_a_429_is_no_attempt(sandbox, connect, time, vendor, fault):
    """Refusals by the budget don't count as attempts, also when the headers claim that calls remain."""
    session = connect(sandbox.url, vendor=VENDORS[vendor], key=getattr(sandbox, vendor).api_key, attempts=1)
    sandbox.script(faults=[fault] * 20)
    session.read({"close": "oppo_1", "raze": "opp_1"}[vendor])
    assert (session.calls, len(time.slept), min(time.slept) >= 0.9) == (21, 20, True)


def test_a_429_is_not_read_back(raze, sandbox):
    """A refused call had no effect: what is not replayable is simply sent again."""
    sandbox.script(faults=["http_429"])
    raze.write(PATCH, "opp_1")
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "PATCH"]


def test_a_wait_up_to_defer_after_is_waited_for(raze, sandbox, time):
    """A wait of 60 s is still worth a worker slot."""
    sandbox.set(throttle_seconds=60.0)
    sandbox.script(faults=["http_429"])
    raze.write(PUT, "opp_1")
    assert time.slept == [60.0]


def test_a_longer_wait_is_the_callers(raze, sandbox, time):
    """A wait above `defer_after` is not waited for: the error says how long it is, and one call was made."""
    sandbox.set(throttle_seconds=3600.0)
    sandbox.script(faults=["http_429"])
    with pytest.raises(RateLimitedError, match="RATE_LIMIT_EXCEEDED") as limited:
        raze.write(PUT, "opp_1")
    assert (limited.value.retry_after, time.slept, raze.calls) == (3600.0, [], 1)


def test_refusals_end_with_the_total_time(raze, sandbox, time):
    """A vendor that refuses without end is given up after the total time, with the wait it asked for."""
    sandbox.set(fault_rates={"http_429": 1.0}, throttle_seconds=50.0)
    with pytest.raises(RateLimitedError) as limited:
        raze.write(PUT, "opp_1")
    assert (limited.value.retry_after, time.seconds) == (50.0, 600.0)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"X-RateLimit-Reset": "1"}])
def test_a_429_without_a_usable_wait_is_not_hammered(serve, connect, time, headers):
    """A refusal that names no wait, or none from now on (clocks differ), pauses all the same."""
    server = serve(status=429, headers=headers)
    with pytest.raises(RateLimitedError):
        connect(server.url, total=10.0).write(PUT, "opp_1")
    assert (min(time.slept) >= 0.5, len(server.received) <= 21) == (True, True)


def test_a_429_holds_all_threads_together(sandbox, connect):
    """After a refusal no thread sends anything until the window opens; then each row lands once."""
    sandbox.clock.set(NOW)
    sandbox.set(raze_limit=10, raze_window=30.0)
    now = sandbox.clock.now

    def sleep(seconds):
        sandbox.clock.advance(math.ceil(seconds * 1e6) / 1e6)  # it has microseconds; less would not move it

    clock = Clock(monotonic=lambda: now().timestamp(), now=now, sleep=sleep, jitter=lambda: 0.0)
    account = Account(RAZE, sandbox.url, Credentials(sandbox.raze.api_key))
    todo = deque(f"opp_{row}" for row in range(100, 140))
    for record_id in todo:
        sandbox.raze.add_opportunity(record_id)

    def work(session):
        while todo:
            with contextlib.suppress(IndexError):
                record_id = todo.popleft()
                session.write(calls({"notes": "x"}, record_id)[0], record_id)

    with Session(account, clock=clock) as session:
        threads = [threading.Thread(target=work, args=(session,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    landed = [write.record_id for write in sandbox.audit.writes]
    windows = {call.at.timestamp() // 30 for call in sandbox.audit.calls}
    assert (sorted(landed), len(landed)) == (sorted(set(landed)), 40)
    assert session.calls - 40 <= 4 * len(windows)


def test_a_429_holds_the_other_threads_too(sandbox):
    """A thread that was not refused itself waits as well, before it sends anything."""
    seconds, waited = [0.0], []

    def sleep(wait):
        waited.append((threading.current_thread().name, len(sandbox.audit.calls)))
        if len(waited) == 1:
            other.start()
            other.join(10)
        seconds[0] += wait

    clock = Clock(monotonic=lambda: seconds[0], sleep=sleep, jitter=lambda: 0.0)
    with Session(Account(RAZE, sandbox.url, Credentials(sandbox.raze.api_key)), clock=clock) as session:
        other = threading.Thread(target=session.read, args=("opp_1",), name="other")
        sandbox.script(faults=["http_429"])
        session.write(PUT, "opp_1")
    assert waited[:2] == [(threading.current_thread().name, 1), ("other", 1)]
    assert [call.method for call in sandbox.audit.calls] == ["PUT", "GET", "PUT"]


# Not replayable


@pytest.mark.parametrize("fault", LANDED)
def test_what_landed_is_not_sent_twice(raze, sandbox, fault):
    """A stage whose answer was lost is read back; it landed, so `won_at` is not stamped a second time."""
    sandbox.script(faults=[fault])
    record = raze.write(PATCH, "opp_1")
    assert record["status"] == "won"
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "GET"]


@pytest.mark.parametrize("fault", ["reset_before", "http_500", "html_502", "html_200", "http_503"])
def test_what_did_not_land_is_sent_again(raze, sandbox, fault):
    """A stage whose answer was lost is read back; it did not land, so it is sent again."""
    sandbox.script(faults=[fault])
    assert raze.write(PATCH, "opp_1")["status"] == "won"
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "GET", "PATCH"]


def test_what_cannot_be_read_back_is_unknown(sandbox, connect):
    """A key that may not read cannot tell whether a stage landed: that is said, and it is not sent twice."""
    session = connect(sandbox.url, key=sandbox.raze.add_key(["opportunities:write"]))
    sandbox.script(faults=["reset_after"])
    with pytest.raises(
        OutcomeUnknownError, match=r"not known whether stage landed.*INSUFFICIENT_PERMISSIONS"
    ) as unknown:
        session.write(PATCH, "opp_1")
    assert (unknown.value.vendor, unknown.value.code, unknown.value.record_id) == ("raze", "NO_ANSWER", "opp_1")
    assert [call.method for call in sandbox.audit.calls] == ["PATCH", "GET"]


@pytest.mark.parametrize("read_fault", ["http_404", "http_500", "http_429"])
def test_a_read_back_that_fails_is_unknown(sandbox, connect, read_fault):
    """Whatever keeps the record from being read back, a stage is not sent twice on a guess."""
    sandbox.set(throttle_seconds=3600.0)
    sandbox.script(faults=["reset_after"], method="PATCH")
    sandbox.script(faults=[read_fault] * 9, method="GET")
    with pytest.raises(OutcomeUnknownError):
        connect(sandbox.url).write(PATCH, "opp_1")
    assert sandbox.audit.count(method="PATCH") == 1


def test_the_last_attempt_is_read_back_too(sandbox, connect):
    """Also when no attempt is left: a stage that landed is a success, not a failure."""
    sandbox.script(faults=["reset_after"])
    assert connect(sandbox.url, attempts=1).write(PATCH, "opp_1")["status"] == "won"


def test_a_replayable_call_is_not_read_back(raze, sandbox):
    """A PUT of the same values does no harm: it is repeated without a read, which a write-only key may not make."""
    sandbox.script(faults=["reset_after"])
    raze.write(PUT, "opp_1")
    assert [call.method for call in sandbox.audit.calls] == ["PUT", "PUT"]


@pytest.mark.parametrize(("fault", "puts"), [("reset_after", 1), ("reset_before", 2)])
def test_adding_a_value_is_not_replayable(sandbox, connect, fault, puts):
    """What Close does with `.add` of a value that is there is not documented: it is read back before it is repeated."""
    session = connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key)
    call = add(session)
    sandbox.script(faults=[fault], method="PUT")
    assert session.write(call, "oppo_1")["custom.cf_products"] == ["Core"]
    assert sandbox.audit.count(method="PUT") == puts


# Transport


def test_what_before_attempt_raises_ends_the_attempts(sandbox, connect):
    """A row that may not be sent is not tried again: its claim is gone, or the ledger's database is."""
    asked = []

    def refuse():
        asked.append(1)
        raise LedgerUnavailableError("The ledger cannot be used.")

    with pytest.raises(TransientError, match="The ledger cannot be used") as failed:
        connect(sandbox.url, attempts=5).write(PUT, "opp_1", before_attempt=refuse)
    assert (len(asked), sandbox.audit.calls, failed.value.maybe_written) == (1, [], False)


@pytest.mark.parametrize(("timezone", "offset"), [(None, "0"), ("Asia/Kolkata", "5.5")])
def test_the_offset_is_computed_once_per_call(sandbox, connect, timezone, offset):
    """The zone of a call, else the account's, else UTC: it makes one header, and no other one is made for it."""
    made = []

    class Counted(type(CLOSE)):
        def headers(self, offset):
            made.append(offset)
            return super().headers(offset)

    session = connect(sandbox.url, vendor=Counted(), key=sandbox.close.api_key)
    update = Update(0, "oppo_1", {"note": "x"})
    call = calls_of("oppo_1", writes_of(update, CLOSE, session.catalogue(("note",))))[0]
    made.clear()
    session.write(call, "oppo_1", timezone=timezone)
    assert (made, sandbox.audit.calls[-1].headers["x-tz-offset"]) == ([offset], offset)


def test_the_timeout_reaches_the_wire(sandbox, connect):
    """A server that does not answer is given up after the account's timeout, in real seconds."""
    sandbox.set(slow_seconds=30.0)
    sandbox.script(faults=["slow"])
    started = real_time.monotonic()
    with pytest.raises(TransientError, match=r"did not answer within 0\.05 seconds") as failed:
        connect(sandbox.url, timeout=0.05, attempts=1).write(PUT, "opp_1")
    assert (failed.value.code, real_time.monotonic() - started < 5) == ("TIMEOUT", True)


def test_the_timeout_holds_for_plain_requests(sandbox, connect):
    """`get_conn()` users get the timeout without naming it."""
    sandbox.set(slow_seconds=30.0)
    sandbox.script(faults=["slow"])
    with pytest.raises(requests.ReadTimeout):
        connect(sandbox.url, timeout=0.05).http.get(f"{sandbox.url}/external/v1/opportunities")


def test_a_late_write_is_sent_again(sandbox, connect):
    """A PUT that timed out is repeated until an answer comes; the value is there once it does."""
    sandbox.set(slow_seconds=30.0)
    sandbox.script(faults=["slow", "slow"])
    assert connect(sandbox.url, timeout=0.05).write(PUT, "opp_1")["notes"] == "new"


def test_a_refused_connection(connect, time):
    """Nothing listens: the message says what to check, and the call is tried again as nothing was sent."""
    origin = closed_port()
    with pytest.raises(TransientError) as failed:
        connect(origin).write(PATCH, "opp_1")
    assert str(failed.value) == f"{origin} cannot be reached. Check the connection's host and the network."
    assert (failed.value.code, failed.value.vendor, len(time.slept)) == ("UNREACHABLE", "raze", 7)


def test_a_server_without_tls(serve, connect):
    """To speak https to a server that speaks http is a wrong host, not an outage."""
    with pytest.raises(ConfigurationError, match="TLS") as failed:
        connect(serve().url.replace("http:", "https:")).write(PUT, "opp_1")
    assert failed.value.code == "TLS"


def test_a_cut_tls_handshake_is_a_reset(connect, time):
    """A TLS connection that is closed before it is made is an outage, not a wrong certificate: it is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up():
            for _ in range(2):
                peer, _address = listening.accept()
                peer.recv(1024)
                peer.close()

        listening.settimeout(5)
        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with pytest.raises(TransientError) as failed:
            connect(f"https://127.0.0.1:{listening.getsockname()[1]}", attempts=2).write(PUT, "opp_1")
        thread.join(5)
    assert (failed.value.code, len(time.slept)) == ("CONNECTION_CUT", 1)


@pytest.mark.parametrize("origin", ["https://[::1", "https://a b.example", "https://*.example"])
def test_an_origin_that_is_none(connect, origin):
    """An origin that no request can be made to is a wrong set-up, told when the session is made."""
    with pytest.raises(ConfigurationError, match="host"):
        connect(origin)


# Redirects, origins, environment


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_is_not_followed(sandbox, serve, connect, status):
    """A redirect to another host stops the run, and that host receives nothing: no call, no credentials."""
    other = serve()
    sandbox.set(redirect_to=f"{other.url}/elsewhere")
    sandbox.script(faults=[f"redirect_{status}"])
    with pytest.raises(ConfigurationError, match=other.url.removeprefix("http://")) as refused:
        connect(sandbox.url).write(PUT, "opp_1")
    assert (refused.value.code, refused.value.status, other.received) == ("REDIRECT", status, [])


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_is_not_followed_by_plain_requests(sandbox, serve, connect, status):
    """`get_conn()` hands the redirect itself to the caller, also when asked to follow it."""
    other = serve()
    sandbox.set(redirect_to=f"{other.url}/elsewhere")
    sandbox.script(faults=[f"redirect_{status}"])
    response = connect(sandbox.url).http.get(f"{sandbox.url}/external/v1/opportunities", allow_redirects=True)
    assert (response.status_code, other.received) == (status, [])


def test_a_probe_follows_no_redirect_either(sandbox, serve, connect):
    """The connection test says that the host redirects."""
    other = serve()
    sandbox.set(redirect_to=other.url)
    sandbox.script(faults=["redirect_302"])
    with pytest.raises(ConfigurationError, match="redirect"):
        connect(sandbox.url).probe()
    assert other.received == []


@pytest.mark.parametrize(("vendor", "extra"), [(RAZE, {}), (CLOSE, {}), (CLOSE, {"access_token": "t0ken"})])
def test_the_signature_is_for_the_own_origin_only(sandbox, serve, connect, vendor, extra):
    """Another origin, even another port of the same host, gets no credentials and no vendor headers."""
    other = serve()
    session = connect(sandbox.url, vendor=vendor, key="" if extra else "k3y", extra=extra)
    session.http.get(other.url + "/x")
    session.http.get(f"{sandbox.url}/external/v1/opportunities")
    own = sandbox.audit.calls[-1].headers
    secret = {"authorization", "x-api-key", "x-tz-offset"}
    assert (secret & other.received[0][2].keys(), bool(secret & own.keys())) == (set(), True)


def test_netrc_is_not_read(serve, connect, tmp_path, monkeypatch):
    """A netrc file would send other credentials in place of the account's; it is not read."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password 5ecret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve()
    connect(server.url, vendor=CLOSE, key="k3y").http.get(server.url)
    connect(closed_port(), vendor=CLOSE, key="k3y").http.get(server.url)
    own = "Basic " + base64.b64encode(b"k3y:").decode()
    assert [headers.get("authorization") for _, _, headers in server.received] == [own, None]


def test_the_environment_is_read_once(connect, monkeypatch):
    """Proxies and certificates of the environment hold for the session's life, and cost nothing per call."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/first.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:1")
    session = connect("https://api.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/second.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:2")
    settings = session.http.merge_environment_settings("https://api.example/", {}, None, None, None)
    assert (session.http.trust_env, settings["verify"]) == (False, "/first.pem")
    assert settings["proxies"]["https"] == "http://proxy.example:1"


def test_curl_ca_bundle_is_the_second_choice(connect, monkeypatch):
    """Like requests: `REQUESTS_CA_BUNDLE`, else `CURL_CA_BUNDLE`, else requests' own certificates."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("CURL_CA_BUNDLE", "/curl.pem")
    first = connect("https://api.example").http.verify
    monkeypatch.delenv("CURL_CA_BUNDLE")
    assert (first, connect("https://api.example").http.verify) == ("/curl.pem", True)


def test_a_proxy_of_the_environment_is_used(sandbox, serve, connect, monkeypatch):
    """`HTTP_PROXY` takes the calls."""
    proxy = serve(body=json.dumps({"success": True, "data": {"id": "opp_1"}}).encode())
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    connect(sandbox.url).read("opp_1")
    assert [path for _, path, _ in proxy.received] == [f"{sandbox.url}/external/v1/opportunities/opp_1"]
    assert sandbox.audit.calls == []


def test_no_proxy_is_honoured(sandbox, serve, connect, monkeypatch):
    """`NO_PROXY` lets the calls to its hosts go straight."""
    proxy = serve()
    for name, value in {"HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    connect(sandbox.url).read("opp_1")
    assert (proxy.received, len(sandbox.audit.calls)) == ([], 1)


def test_a_dead_proxy_cannot_be_reached(sandbox, connect, monkeypatch):
    """A proxy that does not answer is told as a host that cannot be reached: nothing was sent."""
    monkeypatch.setenv("http_proxy", closed_port())
    with pytest.raises(TransientError) as failed:
        connect(sandbox.url, attempts=1).write(PATCH, "opp_1")
    assert failed.value.code == "UNREACHABLE"


def test_cookies_are_not_kept(serve, connect):
    """An answer's cookie is not sent back: calls don't depend on earlier ones."""
    server = serve(headers={"Set-Cookie": "session=1; Path=/"})
    session = connect(server.url)
    session.http.get(server.url)
    session.http.get(server.url)
    assert [headers.get("cookie") for _, _, headers in server.received] == [None, None]


def test_who_is_calling(serve, connect):
    """Every call names the package and asks for JSON."""
    server = serve()
    connect(server.url).http.get(server.url)
    headers = server.received[0][2]
    assert headers["user-agent"].startswith("airflow-provider-crm/")
    assert headers["accept"] == "application/json"


def test_nan_is_never_sent():
    """JSON has no NaN; were one to slip through, no call is made of it."""
    with pytest.raises(ValueError, match="JSON compliant"):
        calls({"deal_value": Decimal("NaN")})


# Reading


def test_the_catalogue_is_asked_for_once(sandbox, connect):
    """Stages and custom fields are read once per session, and custom fields only when one is mapped."""
    session = connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key)
    for _ in range(3):
        session.catalogue(("stage",))
        session.catalogue(("custom.cf_health", "stage"))
    paths = [call.path for call in sandbox.audit.calls]
    assert paths == ["/api/v1/me/", "/api/v1/me/", "/api/v1/custom_field_schema/opportunity/"]


def test_a_catalogue_that_is_refused(sandbox, connect):
    """A host that does not tell what it offers is a wrong set-up, not a rejected row."""
    sandbox.script(faults=["http_404"])
    with pytest.raises(ConfigurationError, match="does not tell what the account offers") as refused:
        connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key).catalogue(("stage",))
    assert refused.value.status == 404


def test_calls_are_counted(raze, sandbox):
    """`calls` counts every HTTP call, attempts and reads included."""
    sandbox.script(faults=["reset_before", None, "http_500"])
    raze.write(PATCH, "opp_1")
    assert raze.calls == len(sandbox.audit.calls) == 5


# Secrets

SECRETS = {"key": "5ecret-key/+=", "token": "5ecret-t0ken"}
FORMS = {*SECRETS.values(), base64.b64encode(b"5ecret-key/+=:").decode()}


def shown(value):
    """All that a value shows of itself."""
    return f"{value} {value!r}"


def leaks(text):
    """The secrets in a text."""
    return [secret for secret in FORMS if secret in text]


def echoing(secret):
    """Bodies of vendors that repeat the request in their error."""
    return [
        {"error": f"bad {secret} key", "errors": [secret], "field-errors": {"value": [f"no {secret}"]}},
        {"success": False, "error": {"code": secret, "message": secret, "details": {"fields": {"notes": secret}}}},
        {"success": False, "message": f"Bearer {secret}"},
        {"error": {"message": f"Authorization: Basic {base64.b64encode(f'{secret}:'.encode()).decode()}"}},
    ]


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize(("vendor", "form"), [("raze", "key"), ("close", "key"), ("close", "token")])
def test_a_secret_in_a_vendors_text_is_taken_out(serve, connect, status, vendor, form):
    """A vendor, or a proxy, that repeats the key in its error does not bring it into ours: not in any form."""
    secret = SECRETS[form]
    for body in echoing(secret):
        server = serve(status=status, body=json.dumps(body).encode())
        extra = {"access_token": secret} if form == "token" else {}
        key = None if extra else secret
        session = connect(server.url, vendor=VENDORS[vendor], key=key, extra=extra, attempts=1, total=1.0)
        for call in (partial(session.write, PUT, "opp_1"), partial(session.fetch, PUT), session.probe):
            try:
                call()
            except CrmError as err:
                text = shown(err) + repr(vars(err)) + repr(pickle.dumps(err))
                assert leaks(text) == [], text


def test_an_unknown_outcome_holds_no_secret(serve, connect):
    """The message about a failed read-back repeats two vendor texts; both are free of secrets."""
    secret = SECRETS["key"]
    body = {"success": False, "error": {"code": "INTERNAL_ERROR", "message": f"key {secret}"}}
    with pytest.raises(OutcomeUnknownError) as unknown:
        connect(serve(status=500, body=json.dumps(body).encode()).url, key=secret, attempts=2).write(PATCH, "opp_1")
    assert (leaks(shown(unknown.value) + repr(vars(unknown.value))), "***" in str(unknown.value)) == ([], True)


@pytest.mark.parametrize(("vendor", "form"), [("raze", "key"), ("close", "key"), ("close", "token")])
def test_nothing_shows_a_secret(vendor, form):
    """Neither credentials nor account nor session nor what signs show a secret in `repr` or `str`."""
    extra = {"access_token": SECRETS["token"]} if form == "token" else {}
    credentials = Credentials(None if extra else SECRETS["key"], extra)
    account = Account(VENDORS[vendor], "https://api.example", credentials)
    with Session(account) as session:
        parts = (credentials, account, session, session.http, session.http.auth, VENDORS[vendor].auth(credentials))
        assert [leaks(shown(part)) for part in parts] == [[]] * len(parts)
        assert leaks(repr(session.http.headers)) == []


def test_credentials_do_not_leave_the_process():
    """Credentials, and so account and session, cannot be pickled: no XCom, cache or trigger can carry them away."""
    account = Account(RAZE, "https://api.example", Credentials(SECRETS["key"]))
    with Session(account) as session:
        for part in (account.credentials, account, session):
            with pytest.raises(TypeError):
                pickle.dumps(part)


def test_values_of_a_row_stay_out_of_transport_errors(connect):
    """What fails on the way is told by host and cause, never by what was sent."""
    call = calls({"email": "jane@example.com"})[0]
    with pytest.raises(TransientError) as failed:
        connect(closed_port(), attempts=1).write(call, "opp_1")
    assert "jane" not in shown(failed.value) + repr(vars(failed.value))


def test_a_transport_error_keeps_no_request(crm_sandbox, monkeypatch):
    """The HTTP library leaves the signed request on its errors; the cause of ours has none."""
    hook = CrmHook.for_connection("close_default")
    crm_sandbox.close.add_opportunity("oppo_1")
    crm_sandbox.script(vendor="close", method="GET", faults=["reset_before"])
    with pytest.raises(TransientError) as cut:
        hook.session.probe()
    key = hook.session.account.credentials.secrets()
    assert not [secret for secret in key if secret in repr(vars(cut.value.__cause__)) + repr(cut.value.__cause__)]
    assert not hasattr(cut.value.__cause__, "request")


@pytest.mark.parametrize("fault", ["http_400", "http_401", "http_404", "redirect_302"])
def test_no_error_is_its_own_cause(crm_sandbox, fault):
    """Whoever walks along the causes of an error comes to an end."""
    hook = CrmHook.for_connection("close_default")
    crm_sandbox.set(fault_rates={fault: 1.0})
    for call in (hook.session.probe, lambda: hook.get_opportunity("oppo_1")):
        with pytest.raises(CrmError) as refused:
            call()
        assert refused.value.__cause__ is None
