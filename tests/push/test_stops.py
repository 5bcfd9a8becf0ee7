"""Test the errors that stop a run before its last row, over real HTTP with a clock that does not wait."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import AuthenticationError, RateLimitedError, TransientError
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.push.run import Push
from airflow_provider_crm.push.stops import FirstError
from airflow_provider_crm.values.opportunity import OutcomeWord, Update
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from airflow_provider_crm.vendors.raze import Raze

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
GOOD, BAD = 30, 20


@pytest.fixture
def push():
    """Make a push to Raze at some origin; waiting passes no real time."""
    with contextlib.ExitStack() as stack:

        def push(origin, key="key", *, vendor=VENDORS["raze"], real=False, **rules):
            waited, lock = [0.0], threading.Lock()

            def sleep(seconds):
                with lock:
                    waited[0] += seconds

            unreal = {"monotonic": lambda: waited[0], "now": lambda: NOW, "sleep": sleep, "jitter": lambda: 0.0}
            clock = Clock(**({} if real else unreal))
            account = Account(vendor, origin, Credentials(key), timeout=10.0)
            session = stack.enter_context(Session(account, retry=RetryRules(), clock=clock))
            return Push(session, session.catalogue(("notes",)), PushRules(**rules))

        yield push


def rows(record_ids):
    """A note for each record."""
    return [Update(row, record_id, {"notes": f"row {row}"}, NOW) for row, record_id in enumerate(record_ids)]


# Rows that always fail


def bad(sandbox, kind, count=BAD):
    """Ids of records that the CRM never answers well."""
    if kind == "500":
        sandbox.set(raze_uuid_ids=True)
        return [f"deal-{number}" for number in range(count)]
    ids = [str(uuid.UUID(int=1_000 + number)) for number in range(count)]
    for record_id in ids:
        sandbox.raze.add_opportunity(record_id)
        sandbox.script(vendor="raze", method="PUT", path=f"/external/v1/opportunities/{record_id}", faults=[kind] * 50)
    return ids


def mixed(good, poor, order):
    """The rows in some order."""
    if order == "interleaved":
        return [record_id for pair in zip(good, poor, strict=False) for record_id in pair] + good[len(poor) :]
    first = {"first": 0, "middle": GOOD // 3, "last": GOOD}[order]
    return [*good[:first], *poor, *good[first:]]


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize(
    ("kind", "order"),
    [("500", "first"), ("500", "middle"), ("500", "last"), ("500", "interleaved"), ("reset_before", "middle"),
     ("html_404", "first")],
)  # fmt: skip
def test_rows_that_always_fail_are_no_outage(push, crm_sandbox, kind, order, concurrency):
    """They are `failed`, every other row lands in this run, nothing stops, and the number of calls is bounded."""
    good = [str(uuid.UUID(int=number + 1)) for number in range(GOOD)]
    for record_id in good:
        crm_sandbox.raze.add_opportunity(record_id)
    pushing = push(crm_sandbox.url, crm_sandbox.raze.api_key, concurrency=concurrency)
    outcomes = {
        outcome.record_id: outcome.word for outcome in pushing.run(rows(mixed(good, bad(crm_sandbox, kind), order)))
    }
    assert (pushing.stopped, pushing.wait) == (None, None)
    assert {record_id for record_id, word in outcomes.items() if word is OutcomeWord.UPDATED} == set(good)
    assert list(outcomes.values()).count(OutcomeWord.FAILED) == BAD
    questions = crm_sandbox.audit.count(method="GET")
    assert questions <= BAD // 5
    if concurrency == 1 and order != "interleaved":
        assert len(crm_sandbox.audit.calls) == GOOD + 5 * 8 + (BAD - 5) * 2 + questions
    assert len(crm_sandbox.audit.calls) <= GOOD + BAD * 8 + questions


def test_a_vendor_that_goes_down_among_rows_that_always_fail(push, crm_sandbox):
    """The vendor is asked again while rows go on failing: an outage that begins then is found, and stops the run."""
    poor = bad(crm_sandbox, "500", 40)
    pushing = push(crm_sandbox.url, crm_sandbox.raze.api_key, concurrency=1)
    outcomes = []
    for outcome in pushing.run(rows(poor)):
        outcomes.append(outcome)
        if len(outcomes) == 12:
            crm_sandbox.set(fault_rates={"http_503": 1.0})
    assert pushing.stopped.code == "OUTAGE"
    assert [outcome.word for outcome in outcomes] == [OutcomeWord.FAILED] * 15 + [OutcomeWord.NOT_SENT] * 25


# The first reason


class Server:
    """Answers each record's PUT with a status, when something allows it."""

    def __init__(self, answers):
        self.arrived = {record_id: threading.Event() for record_id in answers}
        self.may_answer = {record_id: threading.Event() for record_id in answers}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                record_id = self.path.rpartition("/")[2]
                status, code = answers.get(record_id, (200, ""))
                time.sleep(0.02)  # a CRM that is as far away asks for several rows at once
                if record_id in answers:
                    server.arrived[record_id].set()
                    server.may_answer[record_id].wait(10)
                error = {"code": code, "message": "m", "retry_after": 3600}
                body = {"success": True, "data": {"id": record_id, **sent}}
                raw = json.dumps(body if status == 200 else {"success": False, "error": error}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

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


REFUSED, PAUSE = (401, "INVALID_API_KEY"), (429, "RATE_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("first", "second", "kind", "wait"),
    [(REFUSED, PAUSE, AuthenticationError, None), (PAUSE, REFUSED, RateLimitedError, 3600.0)],
)
def test_the_first_reason_stands(push, first, second, kind, wait):
    """A 401 and then the 429 of a row in flight is a wrong key, not an hour's wait; and the other way round."""
    with Server({"one": first, "two": second}) as server:
        # Only these two are in flight: a third call would be kept back by the pause itself, before it is known as such.
        pushing = push(server.url, real=True, concurrency=2)

        def answer():
            assert server.arrived["one"].wait(10)
            assert server.arrived["two"].wait(10)
            server.may_answer["one"].set()
            while pushing.stopped is None:
                threading.Event().wait(0.001)
            server.may_answer["two"].set()

        answering = threading.Thread(target=answer)
        answering.start()
        outcomes = list(pushing.run(rows(["a", "b", "c", "one", "two", *(f"later {number}" for number in range(200))])))
        answering.join(10)
    assert server.may_answer["two"].is_set()
    assert (type(pushing.stopped), pushing.wait) == (kind, wait)
    refused = [outcome for outcome in outcomes if outcome.word is OutcomeWord.NOT_SENT]
    assert {"one", "two", "later 199"} <= {outcome.record_id for outcome in refused}
    assert {outcome.code for outcome in refused} == {first[1]}


def test_a_reason_cannot_be_replaced(push, crm_sandbox):
    """The first error of many threads stays, and cannot be assigned from outside."""
    with pytest.raises(AttributeError):
        push(crm_sandbox.url).stopped = TransientError("later")
    reason, errors = FirstError(), [TransientError(str(number)) for number in range(50)]
    assert reason.error is None
    threads = [threading.Thread(target=reason.add, args=(err,)) for err in errors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = reason.error
    assert first in errors
    assert (reason.add(TransientError("later")), reason.error) == (first, first)


# Exceptions from outside the package


class Buggy(Raze):
    """A vendor whose adapter does not understand some answers."""

    def read(self, response):
        """Fail for two records, each in its own way."""
        record = super().read(response)
        if record["id"] == "opp_2":
            raise ValueError("secret text of the answer")
        if record["id"] == "opp_3":
            raise RecursionError
        return record


def test_an_unexpected_exception_is_its_rows_alone(push, crm_sandbox, caplog):
    """The row is `failed` and says of which type; the traceback is logged once for each type, and the others land."""
    for number in range(10):
        crm_sandbox.raze.add_opportunity(f"opp_{number}")
    pushing = push(crm_sandbox.url, crm_sandbox.raze.api_key, vendor=Buggy())
    with caplog.at_level(logging.ERROR):
        outcomes = list(pushing.run(rows([*(f"opp_{number}" for number in range(10)), *["opp_2"] * 5])))
    assert pushing.stopped is None
    failed = {outcome.record_id: outcome for outcome in outcomes if outcome.word is not OutcomeWord.UPDATED}
    assert [outcome.word for outcome in outcomes].count(OutcomeWord.UPDATED) == 8
    assert {record_id: (one.word, one.code) for record_id, one in failed.items()} == {
        "opp_2": (OutcomeWord.FAILED, "UNEXPECTED"),
        "opp_3": (OutcomeWord.FAILED, "UNEXPECTED"),
    }
    assert "An unexpected ValueError ended this row" in failed["opp_2"].reason
    assert "secret" not in failed["opp_2"].reason
    logged = [record for record in caplog.records if record.exc_info]
    assert sorted(record.exc_info[0].__name__ for record in logged) == ["RecursionError", "ValueError"]
