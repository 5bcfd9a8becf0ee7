"""Claims about errors: what stops, what waits, what refuses a row, and what is no verdict."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_crm.exceptions import (
    AuthenticationError,
    CrmError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.testing.bench import NOW
from airflow_provider_crm.testing.claims.bench_fixture import Claims
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors.answers import FOREIGN_ANSWER
from airflow_provider_crm.vendors.limits import Limits

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.testing.bench import Bench
    from airflow_provider_crm.vendors.response import HttpResponse

STATUSES: Mapping[int, type[CrmError]] = {
    400: RejectedError, 401: AuthenticationError, 403: AuthenticationError, 404: RejectedError, 429: RateLimitedError,
    500: TransientError, 502: TransientError, 503: TransientError, 504: TransientError,
}  # fmt: skip
REFUSALS = (400, 401, 402, 403, 404, 405, 407, 409, 410, 413, 415, 421, 422, 423, 426, 431, 451, 499)
FOREIGN = (
    b"", b"<html>", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000, b"{}", b'{"message": "Not found"}',
    b'{"detail": "Not Found"}', b'{"error": {"code": 404, "message": "No.", "status": "NOT_FOUND"}}',
    b'{"status": 404, "error": "Not Found", "path": "/api"}', b'{"success": false, "message": "Route not found"}',
    b'{"success": false, "errors": [{"code": 1015}], "messages": [], "result": null}',
)  # fmt: skip
PAGE = b"<!DOCTYPE html><html><head><title>Zscaler: access\n denied</title>"
ROUNDS = 40
_ANY_JSON: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1e300,
    10**400,
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"id": {}},
)


class ErrorClaims(Claims):
    """Claims about errors."""

    @pytest.mark.parametrize("status", STATUSES)
    def test_every_status(self, bench: Bench, status: int) -> None:
        """In the vendor's own shape a status says whether to stop, to wait, or to give up this row."""
        vendor = self.subject.vendor
        bench.script(f"http_{status}")
        error = vendor.error(_get(bench.session, bench))
        assert (type(error), error.vendor, error.status) == (STATUSES[status], vendor.name, status)
        assert (bool(error.code), error.code == FOREIGN_ANSWER) == (True, False)
        assert str(error).startswith(f"{vendor.display_name} answered {status}")

    @pytest.mark.parametrize("body", FOREIGN, ids=lambda body: str(body[:30]))
    def test_a_foreign_answer_is_no_verdict(self, body: bytes) -> None:
        """With any status an answer in another shape is temporary: it refuses neither a row nor the key."""
        vendor = self.subject.vendor
        for status in REFUSALS:
            error = vendor.error(HandmadeAnswer(status, body))
            assert (type(error), error.vendor, error.status, error.code) == (
                TransientError, vendor.name, status, FOREIGN_ANSWER,
            )  # fmt: skip
            assert f"answered {status} with" in str(error)
            assert f"no answer of {vendor.display_name}" in str(error)
        for status in (429, 500, 503):
            error = vendor.error(HandmadeAnswer(status, body))
            assert (type(error), error.vendor, error.code) == (STATUSES[status], vendor.name, f"HTTP_{status}")
            assert str(error).startswith(f"{vendor.display_name} answered {status} with ")

    def test_a_foreign_answer_names_its_sender(self) -> None:
        """The page's title, a gateway's message and the `Server` header help to find who has answered."""
        vendor = self.subject.vendor
        headers = {"Content-Type": "text/html; charset=utf-8", "Server": "nginx/1.2"}
        text = str(vendor.error(HandmadeAnswer(403, PAGE, headers)))
        assert 'a body of text/html that says "Zscaler: access denied" from server nginx/1.2' in text
        assert 'that says "Not found"' in str(vendor.error(HandmadeAnswer(404, {"message": "Not found"})))
        assert "with an empty body" in str(vendor.error(HandmadeAnswer(407)))

    @pytest.mark.parametrize(
        "fault", ["html_200", "html_401", "html_403", "html_404", "html_502", "http_500", "http_503"]
    )
    def test_what_passes_is_tried_again(self, bench: Bench, fault: str) -> None:
        """A page of a proxy, whatever its status, and a 5xx are tried again, and the row lands."""
        name, value = self._row(bench)
        record_id = bench.add()
        (call, *_) = bench.calls(record_id, {name: value})
        bench.script(fault, fault, call=call)
        bench.write(record_id, {name: value})
        assert len(bench.sent(call)) == 3
        assert len(bench.sandbox.audit.writes) == len(bench.calls(record_id, {name: value}))
        bench.script(fault)
        assert bench.session.read(record_id)

    def test_a_401_stops(self, bench: Bench) -> None:
        """A refused key is not tried twice."""
        record_id = bench.add()
        calls = bench.calls(record_id, dict([self._row(bench)]))
        bench.sandbox.audit.clear()
        with bench.connect(password="wrong") as session:
            for attempt in (
                lambda: session.write(calls[0], record_id, bench.catalogue),
                lambda: session.read(record_id),
                session.probe,
            ):
                with pytest.raises(AuthenticationError):
                    attempt()
        assert len(bench.sent()) == 3

    def test_a_refused_row(self, bench: Bench) -> None:
        """A rejected row has the vendor's message for each field, with status, code and record."""
        record_id = bench.add()
        with pytest.raises(RejectedError) as refused:
            bench.write(record_id, self.subject.refused)
        error, vendor = refused.value, self.subject.vendor
        assert (type(error), error.status in (400, 422), error.vendor) == (RejectedError, True, vendor.name)
        assert (error.record_id, bool(error.code)) == (record_id, True)
        keys = {key for name in self.subject.refused for key in bench.catalogue.fields[name].keys}
        assert error.field_errors
        assert error.field_errors.keys() <= keys
        assert [text for text in error.field_errors.values() if text not in str(error)] == []
        assert bench.sandbox.audit.writes == []

    def test_a_long_text_is_shortened(self, bench: Bench) -> None:
        """A page of text in an error does not flood the log."""
        for body in self._errors(bench):
            for long in _with_leaf(body, "x" * 10_000):
                assert len(str(self.subject.vendor.error(HandmadeAnswer(400, long)))) < 1_000
        assert len(str(self.subject.vendor.error(HandmadeAnswer(400, b"<title>" + b"x" * 10_000)))) < 1_000

    @pytest.mark.parametrize("seed", range(10))
    def test_no_body_breaks_a_vendor(self, bench: Bench, seed: int) -> None:
        """Reading any JSON yields a record, a page, a catalogue or a `CrmError`: nothing else."""
        dice = random.Random(seed)
        bodies = [*self._bodies(bench), *self._errors(bench)]
        for _ in range(ROUNDS):
            body = _spoilt(dice.choice(bodies), dice)
            for status in (200, 207, 400, 403, 429, 500):
                self._read_all(HandmadeAnswer(status, body), bench)
            self._read_catalogue(body)

    def _read_all(self, response: HttpResponse, bench: Bench) -> None:
        vendor, catalogue = self.subject.vendor, bench.catalogue
        for read in (vendor.read, vendor.check_probe):
            with contextlib.suppress(CrmError):
                answer = read(response)
                assert isinstance(answer, (dict, str))
        with contextlib.suppress(CrmError):
            record = vendor.read(response)
            for field in catalogue.fields.values():
                assert isinstance(vendor.shows(field.target, "x", record, catalogue, echo=True), bool)
                assert isinstance(vendor.shows(field.target, None, record, catalogue, echo=False), bool)
                assert len(vendor.stored_value(field.target, record, catalogue)) < 2
        assert isinstance(vendor.error(response), CrmError)
        limits = vendor.limits(response, NOW, catalogue.timezone)
        assert all(isinstance(one, Limits) for one in limits)

    def _read_catalogue(self, body: Any) -> None:  # noqa: ANN401 - any JSON
        vendor = self.subject.vendor
        page = vendor.parse_page(body, None)
        assert all(isinstance(record, dict) for record in page.records)
        assert page.cursor is None or isinstance(page.cursor, str)
        documented = {field.name for field in vendor.documented_fields}
        for names in ((), tuple(self.subject.values)):
            answers = [body] * len(vendor.catalogue_calls(names))
            assert vendor.catalogue(answers, {}).fields.keys() >= documented

    def _row(self, bench: Bench) -> tuple[str, object]:
        """Return a field and a value that a call may be sent twice for."""
        for name, example in self.subject.values.items():
            calls = bench.calls("x", {name: example.value})
            if calls and all(call.replayable for call in calls):
                return name, example.value
        pytest.skip(f"no call of {self.subject.vendor.display_name} may be sent twice")

    def _bodies(self, bench: Bench) -> list[Any]:
        """Return answers of the vendor to every reading call."""
        record_id = bench.add()
        vendor = self.subject.vendor
        calls = [*vendor.catalogue_calls(tuple(self.subject.values)), vendor.probe()]
        calls += [vendor.read_call(record_id, ()), vendor.list_call({}, None, ())]
        if vendor.batch_read is not None:
            calls.append(vendor.batch_read.call([record_id, bench.missing()], _keys(bench)))
        return [bench.session.fetch(call) for call in calls]

    def _errors(self, bench: Bench) -> list[Any]:
        """Return errors of the vendor."""
        bench.add()
        bodies = []
        for status in (400, 403, 404, 429, 500):
            bench.script(f"http_{status}")
            bodies.append(_get(bench.session, bench).json())
        return bodies


def _keys(bench: Bench) -> list[str]:
    """Return the vendor's keys of all fields."""
    return sorted({field.target for field in bench.catalogue.fields.values()})


def _get(session: Session, bench: Bench) -> Any:  # noqa: ANN401 - a `requests.Response`, which only the client imports
    """Send a reading call once, and return its answer."""
    path = bench.vendor.read_call("x", ()).path
    return session.http.request("GET", session.account.origin + path)


def _with_leaf(body: Any, leaf: str) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Yield copies of a body, each with another one of its texts replaced."""
    for path in _paths(body):
        copy = json.loads(json.dumps(body))
        if isinstance(_replaced(copy, path, leaf), str):
            yield copy


def _spoilt(body: Any, dice: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return a copy of a body with some of its values replaced by any others."""
    copy = json.loads(json.dumps(body))
    for _ in range(dice.randint(1, 3)):
        if paths := list(_paths(copy)):
            _replaced(copy, dice.choice(paths), json.loads(json.dumps(dice.choice(_ANY_JSON))))
    return copy if dice.random() < 0.95 else dice.choice(_ANY_JSON)


def _paths(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    """Yield the path of each value in a body."""
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(body, dict):
        items = list(body.items())
    elif isinstance(body, list):
        items = list(enumerate(body))
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Replace the value at a path, and return what was there."""
    *outer, last = path
    for key in outer:
        body = body[key]
    before, body[last] = body[last], value
    return before
