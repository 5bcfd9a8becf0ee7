"""Timeouts, TLS, redirects, origins and the environment: calls reach the account's own host, and no other."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time as real_time
from decimal import Decimal

import pytest
import requests

from airflow_provider_crm.exceptions import (
    ConfigurationError,
    LedgerUnavailableError,
    TransientError,
)
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

from .raw_server import RawServer
from .session_calls import CLOSE, PATCH, PUT, RAZE, calls, closed_port

REDIRECTS = (301, 302, 303, 307, 308)


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
def test_a_call_has_one_offset_header(sandbox, connect, timezone, offset):
    """The zone of a call, else the account's, else UTC makes the one header that the vendor names."""
    session = connect(sandbox.url, vendor=CLOSE, key=sandbox.close.api_key)
    update = Update(0, "oppo_1", {"note": "x"})
    call = calls_of("oppo_1", writes_of(update, CLOSE, session.catalogue(("note",))))[0]
    session.write(call, "oppo_1", timezone=timezone)
    assert sandbox.audit.calls[-1].headers["x-tz-offset"] == offset


@pytest.mark.parametrize(
    ("vendor", "lines"),
    [(CLOSE, [b"x-tz-offset: 0", b"Authorization: Basic a2V5OnM6"]), (RAZE, [b"X-API-Key: key:s"])],
)
def test_signing_headers_come_last(connect, vendor, lines):
    """The offset header, where the vendor has one, and then the signature follow all other headers, each once."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with RawServer(answer) as server:
        session = connect(server.url, vendor=vendor, key="key:s")
        session.fetch(Call("PUT", "/api/v1/me/", body="{}"))
        session.http.put(f"{server.url}/api/v1/me/", json={})
    for request in server.requests:
        head = request.partition(b"\r\n\r\n")[0].splitlines()
        assert head[-len(lines) :] == lines
        assert len({line.partition(b":")[0].lower() for line in head}) == len(head)


def test_the_timeout_reaches_the_wire(sandbox, connect):
    """A server that does not answer is given up after the account's timeout, in real seconds, long before an answer."""
    sandbox.set(slow_seconds=30.0)
    sandbox.script(faults=["slow"])
    started = real_time.monotonic()
    with pytest.raises(TransientError, match=r"did not answer within 0\.05 seconds") as failed:
        connect(sandbox.url, timeout=0.05, attempts=1).write(PUT, "opp_1")
    assert (failed.value.code, real_time.monotonic() - started < 30) == ("TIMEOUT", True)


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
    # A machine that is busy may take longer than some hundredths of a second for an answer that is not slow.
    assert connect(sandbox.url, timeout=1.0).write(PUT, "opp_1")["notes"] == "new"


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
    """An origin that no request can be made to is a wrong set-up, reported when the session is made."""
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
    """A proxy that does not answer is reported as a host that cannot be reached: nothing was sent."""
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
