"""A vendor whose rows share calls, and its server: Close, with a route of its own for many rows.

It is for tests of the core. The body of a shared call is `{"rows": [{"id": ..., "trace": ..., <values>}]}`, its answer
`{"rows": [{"id": ..., "trace": ..., "status": 200, <values>}]}`.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.answers import body_of, error_class, member, objects_of, record_error
from airflow_provider_crm.vendors.batches import match_by, match_by_position, with_members
from airflow_provider_crm.vendors.calls import BatchCall, BatchRead, Call, WriteCall

MANY = "/api/v1/opportunities/"
ONE = "/api/v1/opportunity/"


class BatchClose(type(VENDORS["close"])):
    """A Close whose `PUT` has a form for many rows.

    Args:
        match: By what the items of an answer are matched to rows: "id", "trace" or "position".
        shows_values: Whether answers show the written values, of both forms.
        reads: How many records one call reads; None for one.
        limits: Further attributes of the `BatchCall`.
    """

    def __init__(self, match="id", *, shows_values=True, largest=100, reads=None, **limits):
        self.match = match
        self.shows_values = shows_values
        self.batch = BatchCall("PUT", MANY, largest, join, self._split, shows_values=shows_values, **limits)
        self.batch_read = None if reads is None else BatchRead(reads, self._reading, self._records)

    def write_calls(self, keys):
        """Let the rows of a `PUT` share calls."""
        return tuple(
            WriteCall(one.method, one.path, one.keys, one.replayable, shows_values=self.shows_values, batch=self.batch)
            for one in super().write_calls(keys)
        )

    def _reading(self, record_ids, keys):
        return Call("GET", MANY, params={"ids": ",".join(record_ids)})

    def _records(self, response, record_ids):
        items = objects_of(member(body_of(response), "rows"))
        return match_by(record_ids, [(item["id"], item) for item in items])

    def _split(self, response, rows):
        items = objects_of(member(body_of(response), "rows"))
        if not isinstance(member(body_of(response), "rows"), list):
            raise record_error(self.display_name, response)
        answers = [item if item["status"] == 200 else self._error(item) for item in items]
        if self.match == "position":
            return match_by_position(rows, answers)
        texts = [row.record_id if self.match == "id" else row.trace for row in rows]
        return match_by(texts, zip([item.get(self.match, "") for item in items], answers, strict=True))

    def _error(self, item):
        kind = error_class(item["status"])
        return kind(item["message"], vendor=self.name, status=item["status"], code=f"ROW_{item['status']}")


def join(rows):
    """The body of a shared call."""
    texts = [with_members(row.body, f'"id": {json.dumps(row.record_id)}, "trace": "{row.trace}"') for row in rows]
    return f'{{"rows": [{", ".join(texts)}]}}'


class Crm:
    """The server: it follows its attributes, which tests set, and keeps what it received.

    Attributes:
        records: The opportunities by id; only these exist.
        calls: Method, path and record ids of each call.
        bodies: The body of each call.
        message: The message of refusals, if not the usual one.
        faults: What happens to the next shared calls, one after another: None for nothing, "lost" for an answer that
            never comes, "unsent" for a call that changes nothing and is cut, a status, or an event to wait for.
        poisoned: Ids that make the vendor refuse the whole call with a status.
        refused: Ids whose row alone is refused, with a status.
        left_out: Ids of which an answer says nothing in a shared call.
        dropped: Ids whose values are silently not written.
        unreadable: Ids that make the vendor refuse a reading call with a 503.
        silent: Whether answers show ids only.
        shuffled: Whether a shared answer has its items in another order.
        surplus: Whether a shared answer has an item too many.
        merged: Ids in place of which a shared answer shows another.
        throttled: Seconds that a 429 asks to wait.
        down: Whether every call is refused with a 503.
        at_once: The most calls at once, and the records that were in two calls at once.
    """

    def __init__(self, count=1_000):
        self.records = {f"oppo_{row}": {"note": "old"} for row in range(count)}
        self.calls, self.bodies, self.faults = [], [], []
        self.message = None
        self.poisoned, self.refused = {}, {}
        self.left_out, self.dropped = set(), set()
        self.silent = self.shuffled = self.surplus = False
        self.unreadable = set()
        self.merged, self.throttled, self.down = {}, 1, False
        self.overlapping = set()
        self.seconds = 0.0
        self.arrived = threading.Event()
        self._flying = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def writing(self):
        """The records of each call that writes."""
        return [ids for method, _, ids in self.calls if method == "PUT"]

    @property
    def reading(self):
        """The records of each call that reads some."""
        return [ids for method, _, ids in self.calls if method == "GET" and ids]

    @property
    def sizes(self):
        """How many rows each call that writes carried."""
        return list(map(len, self.writing))

    def notes(self):
        """The note of each record."""
        return {record_id: record["note"] for record_id, record in self.records.items()}

    def answer(self, method, path, body):
        """The status and body of the answer to a call, or None for no answer."""
        path, _, query = path.partition("?")
        rows = _rows(method, path, query, body)
        ids = [row["id"] for row in rows]
        with self._lock:
            self.calls.append((method, path, ids))
            self.bodies.append(body)
            fault = self.faults.pop(0) if (method, path) == ("PUT", MANY) and self.faults else None
            self.overlapping |= {record_id for record_id in ids if self._flying[record_id]}
            self._flying.update(ids)
        try:
            time.sleep(self.seconds)
            return self._answer(method, path, rows, fault)
        finally:
            with self._lock:
                self._flying.subtract(ids)

    def _answer(self, method, path, rows, fault):
        if self.down:
            return 503, {"error": "down"}
        if not rows:
            return 200, {"id": "user_1", "organizations": [{"id": "orga_1", "currency": "USD", "name": "o"}]}
        if method == "GET":
            return self._read(path, [row["id"] for row in rows])
        if path != MANY:
            return self._one(rows[0])
        if isinstance(fault, threading.Event):
            self.arrived.set()
            fault.wait(20)
        if isinstance(fault, int):
            return fault, {"error": "the whole call"}
        answer = None if fault == "unsent" else self._many(rows)
        return None if fault == "lost" else answer

    def _many(self, rows):
        for row in rows:
            if row["id"] in self.poisoned:
                return self.poisoned[row["id"]], {"error": self.message or "something in these rows is wrong"}
        items = [self._item(row) for row in rows if row["id"] not in self.left_out]
        if self.shuffled:
            random.Random(1).shuffle(items)
        if self.surplus:
            items.append({**items[0], "trace": "another"})
        return 207, {"rows": items}

    def _read(self, path, ids):
        if self.unreadable.intersection(ids):
            return 503, {"error": "not now"}
        found = [{"id": record_id, **self.records[record_id]} for record_id in ids if record_id in self.records]
        if path == MANY:
            return 200, {"rows": found}
        return (200, found[0]) if found else (404, {"error": "Not found."})

    def _one(self, row):
        status = self.poisoned.get(row["id"]) or self.refused.get(row["id"])
        if status is not None:
            return status, {"error": f"{row['id']} has a wrong note"}
        item = self._item(row)
        return item["status"], {key: value for key, value in item.items() if key not in {"status", "trace"}}

    def _item(self, row):
        record_id, values = row["id"], {key: row[key] for key in row if key not in {"id", "trace"}}
        trace = {"trace": row["trace"]} if "trace" in row else {}
        status = self.refused.get(record_id, 200 if record_id in self.records else 404)
        if status != 200:
            return {
                "id": record_id,
                **trace,
                "status": status,
                "message": self.message or f"{record_id} has a wrong note",
            }
        if record_id not in self.dropped:
            self.records[record_id].update(values)
        shown = self.merged.get(record_id, record_id)
        return {"id": shown, **trace, "status": 200, **({} if self.silent else self.records[record_id])}


def _rows(method, path, query, body):
    """The rows that a call is about; of one that reads, their ids."""
    if path == MANY:
        ids = parse_qs(query).get("ids", [""])[0].split(",")
        return body["rows"] if method == "PUT" else [{"id": record_id} for record_id in ids]
    return [{"id": path.split("/")[4], **body}] if path.startswith(ONE) else []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, crm, *args):
        self.crm = crm
        super().__init__(*args)

    def do_GET(self):
        """Any call."""
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.crm.answer(self.command, self.path, json.loads(raw or b"{}"))
        if answer is None:
            self.close_connection = True
            return
        status, body = answer
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if status == 429:
            self.send_header("Retry-After", str(self.crm.throttled))
        self.end_headers()
        self.wfile.write(text)

    do_PUT = do_GET  # noqa: N815 - the base class looks for it

    def log_message(self, *_):
        pass
