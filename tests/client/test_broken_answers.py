"""Servers that answer oddly: whatever comes over the wire, a call ends with a record or an error of this package."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import time as real_time
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.client.transport import Wire
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    OutcomeUnknownError,
    TransientError,
)
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.credentials import Credentials

from .raw_server import RawServer, http

KEY = "5ecret-key-of-the-account"
PUT = Call("PUT", "/external/v1/opportunities/opp_1", body='{"notes": "x"}', writes={"notes": "x"}, fields=("notes",))
PATCH = PUT._replace(method="PATCH", replayable=False)
RECORD = json.dumps({"success": True, "data": {"id": "opp_1", "notes": "x"}, "id": "opp_1"}).encode()
JSON = "Content-Type: application/json"


def chunked(*chunks, headers=()):
    """A body in chunks, as they are written."""
    return "\r\n".join(
        ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Connection: close", JSON, *headers, "", ""]
    ).encode() + b"".join(chunks)


def bomb(size):
    """A body that is `size` bytes once it is decoded, and a thousandth of it on the wire."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * 1_000_000) for _ in range(size // 1_000_000)) + packer.flush()


def session_with(url, *, vendor="raze", timeout=2.0, largest=None, **retry):
    """A session that does not wait between attempts."""
    clock = Clock(sleep=lambda _: None, jitter=lambda: 0.0)
    account = Account(VENDORS[vendor], url, Credentials(KEY), timeout=timeout)
    session = Session(account, retry=RetryRules(**{"attempts": 1, **retry}), clock=clock)
    if largest is not None:
        session._sender.wire = Wire(account, session.http, timeout, largest)
    return session


def ends_of(session):
    """What each kind of call ends with: an error of this package, or None where there was an answer."""
    ends = []
    for call in (
        lambda: session.write(PUT, "opp_1"),
        lambda: session.write(PATCH, "opp_1"),
        lambda: session.read("opp_1"),
        lambda: list(itertools.islice(session.records({}), 5)),
        lambda: session.catalogue(("stage", "custom.cf_x")),
        session.probe,
    ):
        try:
            call()
            ends.append(None)
        except CrmError as err:
            ends.append(err)
    return ends


NO_HTTP = {
    "nothing": b"",
    "no status": b"hello\r\n\r\n",
    "binary": bytes(range(256)) * 8,
    "status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "status of 5 digits": b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n",
    "negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/9": b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status line without end": b"HTTP/1.1 200 " + b"x" * 70_000,
    "100 for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 200,
}
HEADERS = {
    "huge": http(RECORD, f"X-Large: {'x' * 70_000}"),
    "many": http(RECORD, *[f"X-{number}: 1" for number in range(200)]),
    "no name": http(RECORD, ": value"),
    "no colon": http(RECORD, "nonsense"),
    "bad names": http(RECORD, "X Y\tZ: 1", "\xe9\xff: 2"),
    "two lengths": http(RECORD, "Content-Length: 3"),
    "length of letters": http(RECORD).replace(b"Content-Length: ", b"Content-Length: x"),
    "negative length": http(RECORD).replace(b"Content-Length: ", b"Content-Length: -"),
    "huge length": http(RECORD).replace(b"Content-Length: ", b"Content-Length: " + b"9" * 30),
    "endless digits": http(RECORD).replace(b"Content-Length: ", b"Content-Length: " + b"9" * 5_000),
    "NUL": http(RECORD, "X-N: a\x00b"),
    "cookies": http(RECORD, "Set-Cookie: =;;;=\x01; expires=Thu, 99 Foo 99999 99:99:99 GMT; Max-Age=" + "9" * 5_000),
    "location": http(b"", "Location: http://[::1", status="302 Found"),
    "location with NUL": http(
        b"", "Location: http://\x00\ud7ff".encode("utf-8", "replace").decode("latin-1"), status="307 X"
    ),
    "location of a user": http(b"", f"Location: https://user:{KEY}@elsewhere.example/", status="301 Moved"),
    "folded": http(RECORD, "X-Folded: a\r\n b\r\n\tc"),
}
CHUNKS = {
    "negative": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "minus one": chunked(b"-1\r\nhello\r\n0\r\n\r\n"),
    "letters": chunked(b"xyz\r\nhello\r\n0\r\n\r\n"),
    "huge": chunked(b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n"),
    "empty size": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "cut": chunked(b"5\r\nhel"),
    "no end": chunked(b"%x\r\n" % len(RECORD) + RECORD + b"\r\n"),
    "extension": chunked(b"%x;%s\r\n" % (len(RECORD), b"x" * 70_000) + RECORD + b"\r\n0\r\n\r\n"),
    "trailers": chunked(b"%x\r\n" % len(RECORD) + RECORD + b"\r\n0\r\n" + b"X: 1\r\n" * 500 + b"\r\n"),
    "both lengths": chunked(b"2\r\n{}\r\n0\r\n\r\n", headers=("Content-Length: 9",)),
    "unicode digits": chunked("\u0665\r\nhello\r\n0\r\n\r\n".encode()),
}
ENCODINGS = {
    "bad gzip": http(b"no gzip", "Content-Encoding: gzip", JSON),
    "cut gzip": http(gzip.compress(RECORD)[:-9], "Content-Encoding: gzip", JSON),
    "bad checksum": http(gzip.compress(RECORD)[:-8] + b"12345678", "Content-Encoding: gzip", JSON),
    "bad deflate": http(b"\x00\x01\x02", "Content-Encoding: deflate", JSON),
    "brotli": http(b"\x0b\x02\x80", "Content-Encoding: br", JSON),
    "zstd": http(b"(\xb5/\xfd", "Content-Encoding: zstd", JSON),
    "unknown": http(RECORD, "Content-Encoding: rot13", JSON),
    "twice": http(gzip.compress(gzip.compress(RECORD)), "Content-Encoding: gzip, gzip", JSON),
    "two headers": http(gzip.compress(RECORD), "Content-Encoding: gzip", "Content-Encoding: deflate", JSON),
    "charset": http(RECORD, "Content-Type: application/json; charset=no-such-charset"),
    "charset of no text": http(b"\xff\xfe\xfa", "Content-Type: application/json; charset=hex"),
    "charset idna": http(b"\xff\xfe\xfa", "Content-Type: application/json; charset=idna"),
    "charset NUL": http(b"\xff\xfe\xfa", "Content-Type: application/json; charset=utf-8\x00"),
    "no UTF-8": http(b'{"success": true, "data": {"id": "\xff"}}', JSON),
}
BODIES = {
    "none": b"",
    "half": RECORD[:20],
    "text": b"OK",
    "null": b"null",
    "number": b"1e400",
    "deep": b"[" * 100_000,
    "deep and whole": b'{"errors":' * 900 + b"1" + b"}" * 900,
    "deep fields": b'{"field-errors":' + b'{"a":' * 900 + b'"b"' + b"}" * 901,
    "deep record": b'{"success":true,"id":"opp_1","data":{"id":"opp_1","notes":' + b"[" * 300 + b"]" * 300 + b"}}",
    "huge integer": b'{"success":true,"id":"opp_1","data":{"id":"opp_1","notes":' + b"9" * 5_000 + b"}}",
    "large integer": b'{"success":true,"id":"opp_1","data":{"id":"opp_1","notes":' + b"9" * 4_000 + b"}}",
    "NaN": b'{"success":true,"id":"opp_1","data":{"id":"opp_1","notes":NaN,"x":-Infinity}}',
    "surrogates": b'{"success":false,"error":{"code":"A\\ud800","message":"\\udfff\\u0000"},"errors":["\\ud800"]}',
    "wrong types": b'{"success":false,"error":[{"code":{"a":[]}}],"errors":{"a":1},"field-errors":[1],"data":"x"}',
    "more wrong types": b'{"success":true,"error":1,"data":[1,null],"organizations":[[1]],"fields":[null]}',
    "nothing": b'{"organizations":[null],"fields":{"a":1},"data":{"opportunities":{"a":1},"pagination":[]}}',
    "same key twice": b'{"success":true,"success":false,"data":{},"data":[]}',
    "byte order mark": b"\xef\xbb\xbf" + RECORD,
    "UTF-16": RECORD.decode().encode("utf-16"),
}
CASES = {
    **{f"status line: {name}": answer for name, answer in NO_HTTP.items()},
    **{f"header: {name}": answer for name, answer in HEADERS.items()},
    **{f"chunk: {name}": answer for name, answer in CHUNKS.items()},
    **{f"encoding: {name}": answer for name, answer in ENCODINGS.items()},
    **{f"body: {name}": http(body, JSON) for name, body in BODIES.items()},
    **{f"body of a 400: {name}": http(body, JSON, status="400 Bad Request") for name, body in BODIES.items()},
    **{f"body of a 429: {name}": http(body, JSON, status="429 Slow Down") for name, body in BODIES.items()},
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("vendor", list(VENDORS))
@pytest.mark.parametrize("name", CASES)
def test_whatever_is_answered(vendor, name):
    """Writing, reading, listing, discovering and probing end with a result or a `CrmError`, and no secret in it."""
    with RawServer(CASES[name]) as server, session_with(server.url, vendor=vendor, total=0.05) as session:
        for end in ends_of(session):
            text = f"{end} {vars(end) if end else ''} {end.__cause__!r}" if end else ""
            assert KEY not in text
            text.encode()
            assert "\x00" not in str(end)


PIECES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 400 X\r\n",
            b"HTTP/1.0 204 \r\n",
            b"HTTP/1.1 100 \r\n\r\n",
            b"HTTP/1.1 ",
            b"\r\n",
        ),
        *(
            b"Content-Length: 5\r\n",
            b"Content-Length: -1\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
        ),
        *(b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"Content-Type: text/html; charset=\r\n"),
        *(
            b"RateLimit: limit=1e9, reset=1e9\r\n",
            b"Retry-After: 9\r\n",
            b"Location: //[\r\n",
            b"\r\n\r\n",
            b"0\r\n\r\n",
            b"-5\r\n",
        ),
        *(
            b"{",
            b"}",
            b"[[[",
            b'"',
            RECORD,
            b"\x1f\x8b\x08",
            b"\x00",
            b"\xff\xfe",
            b"ffffffff\r\n",
            b": ",
            b"\t",
            b"\n",
        ),
    ]
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
@settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=list(HealthCheck))
@given(answer=st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join))
def test_pieces_of_answers_in_any_order(answer):
    """HTTP that was shaken up ends as above."""
    with RawServer(answer) as server, session_with(server.url, timeout=0.5, total=0.05) as session:
        for call in (lambda: session.write(PUT, "opp_1"), session.probe):
            with contextlib.suppress(CrmError):
                call()


def test_a_replayable_call_survives_a_broken_answer():
    """An answer that is no HTTP is a failure that passes: the same call is sent again, and its record counts."""
    with RawServer(CHUNKS["negative"], NO_HTTP["binary"], http(RECORD, JSON)) as server:
        with session_with(server.url, attempts=3) as session:
            assert session.write(PUT, "opp_1")["notes"] == "x"
        assert len(server.requests) == 3


def test_a_call_that_must_not_be_repeated_is_read_back():
    """After a broken answer to such a call the record is read; it shows that the call landed, so it is sent once."""
    with RawServer(CHUNKS["negative"], http(RECORD, JSON)) as server, session_with(server.url) as session:
        assert session.write(PATCH, "opp_1")["notes"] == "x"
        assert [request.split()[0] for request in server.requests] == [b"PATCH", b"GET"]
    with (
        RawServer(CHUNKS["negative"]) as server,
        session_with(server.url) as session,
        pytest.raises(OutcomeUnknownError),
    ):
        session.write(PATCH, "opp_1")


# Bounds


def test_a_bomb_does_not_fill_the_memory():
    """A tenth of a megabyte that unpacks to 100 MB is given up at the bound, and takes little more memory than that."""
    answer = http(bomb(100_000_000), "Content-Encoding: gzip", JSON)
    with RawServer(answer) as server, session_with(server.url, timeout=30.0) as session:
        tracemalloc.start()
        with pytest.raises(TransientError) as failed:
            session.read("opp_1")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (failed.value.code, peak < 60_000_000) == ("TOO_LARGE", True), peak


@pytest.mark.parametrize(
    "answer",
    [
        http(b" " * 200_000 + RECORD, JSON),
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 200_000,
        chunked(b"30d40\r\n" + b" " * 200_000 + b"\r\n0\r\n\r\n"),
        chunked(b"-1\r\n" + b" " * 200_000),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
        chunked(b"2\r\n{}\r\n0\r\n" + b"X: 1\r\n" * 60_000),
    ],
    ids=["length", "until the end", "chunk", "negative chunk", "informational", "trailers"],
)
def test_an_answer_has_a_largest_size(answer):
    """However it announces its length, an answer is read up to the bound, not to its end."""
    with (
        RawServer(answer) as server,
        session_with(server.url, largest=100_000) as session,
        pytest.raises(TransientError),
    ):
        session.read("opp_1")


def test_pages_of_large_records_fit():
    """A page of 200 records of 20 kB each, packed or not, is far within the bound."""
    records = [{"id": f"oppo_{number}", "note": "é" * 10_000} for number in range(200)]
    body = json.dumps({"data": records, "has_more": False}).encode()
    for answer in (http(body, JSON), http(gzip.compress(body), "Content-Encoding: gzip", JSON)):
        with RawServer(answer) as server, session_with(server.url, vendor="close") as session:
            assert len(list(session.records({}))) == 200


DRIPS = {
    "status line": lambda: (b"H" for _ in range(1_000)),
    "headers": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], (b"X: 1\r\n" for _ in range(1_000))),
    "informational": lambda: (b"HTTP/1.1 100 Continue\r\n\r\n" for _ in range(1_000)),
    "body": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"], (b" " for _ in range(1_000))),
    "gzip": lambda: itertools.chain(
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"x")[:10]],
        (b"\x00" for _ in range(1_000)),
    ),
    "chunks": lambda: itertools.chain([chunked()], (b"1\r\n \r\n" for _ in range(1_000))),
    "size of a chunk": lambda: itertools.chain([chunked(b"1;")], (b"x" for _ in range(1_000))),
    "trailers": lambda: itertools.chain([chunked(b"2\r\n{}\r\n0\r\n")], (b"X: 1\r\n" for _ in range(1_000))),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("part", DRIPS)
def test_a_dripping_answer_ends(part):
    """Bytes that come one by one, each in time, do not keep a call alive: the whole answer has to come in time."""
    with RawServer(DRIPS[part](), pause=0.02) as server, session_with(server.url, timeout=0.3) as session:
        began = real_time.monotonic()
        with pytest.raises(TransientError) as failed:
            session.read("opp_1")
        assert real_time.monotonic() - began < 1_000 * 0.02  # what all bytes would take
    assert failed.value.code == "TIMEOUT"


def test_plain_requests_may_take_their_time():
    """The bounds are for this package's calls: who uses the session directly may stream for longer than the timeout."""
    pieces = itertools.chain([b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"], (b"x" for _ in range(30)))
    with RawServer(pieces, pause=0.1) as server, session_with(server.url, timeout=2.0) as session:
        assert session.http.get(server.url).text == "x" * 30


# Records and lists


@pytest.mark.parametrize("vendor", list(VENDORS))
def test_a_read_that_shows_another_record(vendor):
    """What is shown under another id is not the record that was asked for, and the message names both."""
    body = json.dumps(
        {"success": True, "data": {"id": "opp_2", "notes": "x"}, "id": "opp_2", "Id": "opp_2", "properties": {}}
    ).encode()
    with RawServer(http(body, JSON)) as server, session_with(server.url, vendor=vendor) as session:
        for call in (lambda: session.read("opp_1"), lambda: session.write(PUT, "opp_1")):
            with pytest.raises(IgnoredError, match=r"'opp_2' instead of 'opp_1'.*merged") as other:
                call()
            assert (other.value.code, other.value.record_id) == ("OTHER_RECORD", "opp_1")


@pytest.mark.parametrize(
    "pages",
    [[[{"id": "a"}, {"id": "b"}]], [[]], [[{"id": "a"}], [{"id": "b"}]], [[{"x": 1}]]],
    ids=["same page", "empty", "in turns", "without ids"],
)
def test_a_list_that_never_ends(pages):
    """`has_more` on a page that brings nothing new ends the list with an error, not with the memory."""
    answers = [http(json.dumps({"data": page, "has_more": True}).encode(), JSON) for page in pages]
    with RawServer(*(answers * 5)) as server, session_with(server.url, vendor="close") as session:
        with pytest.raises(TransientError) as endless:
            list(session.records({}))
        assert (endless.value.code, len(server.requests) <= 4) == ("NO_PROGRESS", True)


@pytest.mark.parametrize("vendor", list(VENDORS))
@pytest.mark.parametrize("start", [0, 280, 290, 299])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "401 Unauthorized", "500 Oops"])
def test_no_part_of_a_secret_is_left(vendor, start, status):
    """A vendor's text is shortened after the secrets are taken out: half a key cannot stand at its end."""
    text = "x" * start + KEY
    escaped = "".join(f"\\u{ord(one):04x}" for one in text)
    for spelt in (text, escaped):
        body = '{"success":false,"error":{"code":"X","message":"%s"},"errors":["%s"],"field-errors":{"a":"%s"}}' % (
            (spelt,) * 3
        )
        close = '{"errors":["%s"],"field-errors":{"a":"%s"}}' % ((spelt,) * 2)
        answer = http((close if vendor == "close" else body).encode(), JSON, status=status)
        with RawServer(answer) as server, session_with(server.url, vendor=vendor) as session:
            ends = [str(end) for end in ends_of(session) if end is not None]
        assert not [end for end in ends if KEY[:6] in end]


@pytest.mark.parametrize(
    "location", ["http://[::1", "//\x7f", "http://a:99999999999/", "https://user:pw@elsewhere.example/x"]
)
def test_a_redirect_to_nowhere(location):
    """A redirect stops the run whatever its target is, and names no user of it."""
    with (
        RawServer(http(b"", f"Location: {location}", status="302 Found")) as server,
        session_with(server.url) as session,
    ):
        for call in (lambda: session.read("opp_1"), session.probe):
            with pytest.raises(ConfigurationError, match="redirect") as stopped:
                call()
            assert "pw" not in str(stopped.value)
