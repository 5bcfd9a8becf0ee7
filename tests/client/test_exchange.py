"""A call over a connection that is open takes a shorter way, with the same bytes and the same ends as any other."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import sys
import threading

import pytest

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.vendors.calls import Call

from .raw_server import http
from .test_broken_answers import CHUNKS, ENCODINGS, HEADERS, JSON, NO_HTTP, RECORD, chunked, session_with

GOOD = http(RECORD, JSON).replace(b"Connection: close\r\n", b"")
PUT = Call("PUT", "/external/v1/opportunities/opp_1", body='{"notes": "x"}', writes={"notes": "x"}, fields=("notes",))
READ = Call("GET", "/external/v1/opportunities/opp_1", params={"a": "b c"})
LAYERS = ("requests.", "urllib3.", "http.", "email.")
MOST_CALLS_OF_LAYERS = 60
SECONDS = 0.6
"""How long an answer is waited for that never ends."""


class KeptServer:
    """Reads the requests of each connection one after another; each gets the next answer.

    Args:
        answers: Bytes, or pieces that are sent one by one; after the last one the connection is closed.

    Attributes:
        requests: The requests, whole.
        connections: How many there were.
    """

    def __init__(self, *answers):
        self.requests, self.connections = [], 0
        self._answers = iter(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                self.connections += 1
                with contextlib.suppress(OSError), peer:
                    peer.settimeout(5)
                    self._answer(peer)

    def _answer(self, peer):
        while (request := self._request(peer)) and (answer := next(self._answers, None)) is not None:
            self.requests.append(request)
            pieces = [answer] if isinstance(answer, bytes) else answer
            for piece in pieces:
                peer.sendall(piece)

    def _request(self, peer):
        request = b""
        while (part := peer.recv(65_536)) and not self._is_whole(request := request + part):
            pass
        return request

    def _is_whole(self, request):
        head, end, body = request.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        return bool(end) and len(body) >= int(length.split(b"\r\n")[0] or 0)


def end_of(session):
    """The record, or what is known of the error."""
    try:
        return session.write(PUT, "opp_1")
    except CrmError as err:
        return type(err), str(err), err.code, err.status, err.maybe_written


def ends_with(answer):
    """The ends of a call over a new connection, and of one over a connection that was used before."""
    with KeptServer(answer) as server, session_with(server.url, timeout=SECONDS) as session:
        new = end_of(session).__repr__().replace(server.url, "")
    with KeptServer(GOOD, answer) as server, session_with(server.url, timeout=SECONDS) as session:
        session.write(PUT, "opp_1")
        used = end_of(session).__repr__().replace(server.url, "")
        assert server.connections == 1
    return new, used


def open_to_the_end(answer):
    """The same answer, without its word that the connection ends."""
    return answer.replace(b"Connection: close\r\n", b"")


END = b"\r\n0\r\n\r\n"
PARTS = {
    "whole": [GOOD],
    "in two": [GOOD[:90], GOOD[90:]],
    "head and body": [GOOD[: -len(RECORD)], RECORD],
    "in many": [GOOD[at : at + 20] for at in range(0, len(GOOD), 20)],
    "chunks": [open_to_the_end(chunked(b"5\r\n", RECORD[:5], b"\r\n%x\r\n" % (len(RECORD) - 5), RECORD[5:])), END],
    "gzip": [open_to_the_end(http(gzip.compress(RECORD), "Content-Encoding: gzip", JSON))],
    "identity": [open_to_the_end(http(RECORD, "Content-Encoding: identity", JSON))],
    "long": [open_to_the_end(http(RECORD + b" " * 200_000, JSON))],
    "repeated headers": [open_to_the_end(http(RECORD, "X-A: 1", "x-a: 2", JSON))],
}


@pytest.mark.parametrize("name", PARTS)
def test_an_answer_in_any_form_is_read(name):
    """An answer is the same in one piece and in several, in chunks and packed; the connection stays open."""
    with KeptServer(GOOD, PARTS[name], GOOD) as server, session_with(server.url) as session:
        records = [session.write(PUT, "opp_1") for _ in range(3)]
    assert records == [json.loads(RECORD)["data"]] * 3
    assert server.connections == 1


BROKEN = {**NO_HTTP, **HEADERS, **CHUNKS, **ENCODINGS, "cut": GOOD[:-5], "cut head": GOOD[:30]}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_ends_the_same(name, closes):
    """What is no answer, or a strange one, ends over an open connection as it does over a new one."""
    new, used = ends_with(BROKEN[name] if closes else open_to_the_end(BROKEN[name]))
    assert used == new


@pytest.mark.parametrize("vendor", ["raze", "close"])
@pytest.mark.parametrize("call", [PUT, READ], ids=["put", "get"])
def test_the_same_bytes_are_sent(vendor, call):
    """The second request, over the open connection, has the very bytes of the first one."""
    with KeptServer(GOOD, GOOD) as server, session_with(server.url, vendor=vendor) as session:
        for _ in range(2):
            session.fetch(call)
        session.http.headers["X-Of-The-User"] = "1"
        with contextlib.suppress(CrmError):
            session.fetch(call)
    assert server.requests[0] == server.requests[1]
    assert server.connections == 1


def test_headers_of_the_user_are_sent():
    """A header that was set on the plain session goes out with each call after that."""
    with KeptServer(GOOD, GOOD, GOOD) as server, session_with(server.url) as session:
        for headers in ({}, {"X-Of-The-User": "1"}, {"X-Of-The-User": "2"}):
            session.http.headers.update(headers)
            session.fetch(PUT)
    lines = [[line for line in request.splitlines() if b"X-Of" in line] for request in server.requests]
    assert lines == [[], [b"X-Of-The-User: 1"], [b"X-Of-The-User: 2"]]


def test_a_connection_that_the_server_closed_is_not_used():
    """Between two calls the server closes: the next call opens a connection, and no attempt is lost."""
    with KeptServer(http(RECORD, JSON), GOOD) as server, session_with(server.url) as session:
        ends = [end_of(session), end_of(session)]
    assert ends == [json.loads(RECORD)["data"]] * 2


def test_the_layers_below_are_left_out():
    """A call over an open connection takes few calls of functions of `requests`, urllib3, `http` and `email`."""
    counted = []

    def count(frame, event, _):
        if event == "call" and frame.f_globals.get("__name__", "").startswith(LAYERS):
            counted.append(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")

    with KeptServer(GOOD, GOOD, GOOD) as server, session_with(server.url) as session:
        session.write(PUT, "opp_1")
        session.write(PUT, "opp_1")
        sys.setprofile(count)
        try:
            session.write(PUT, "opp_1")
        finally:
            sys.setprofile(None)
    assert len(counted) <= MOST_CALLS_OF_LAYERS, counted
