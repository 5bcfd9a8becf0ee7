"""Batches of Batchly's APIs over HTTP, and the switches for all that can go wrong in them."""

from __future__ import annotations

import pytest

from tests.fake.batch_calls import amounts, update

NAMED = pytest.mark.parametrize("api", ["batchly", "batchly_flat"])


@NAMED
def test_batch_by_name(call, sandbox, api):
    """Rows that fail are named by trace, missing records by id, in a 207; the others are written, in any order."""
    rows = {"70001": {"amount": "1"}, "9": {"amount": "2"}, "70002": {"amount": "x"}, "70003": {"amount": "3"}}
    answer = update(call, api, rows)
    assert answer.status_code == 207
    assert {one["id"]: one["properties"]["amount"] for one in answer.json()["results"]} == {"70001": "1", "70003": "3"}
    errors = {one["code"]: one["context"] for one in answer.json()["errors"]}
    assert errors == {"NOT_FOUND": {"ids": ["9"]}, "INVALID_NUMBER": {"traceId": ["t2"]}}
    assert [one.record_id for one in sandbox.audit.writes] == ["70001", "70003"]


def test_results_are_not_in_order(call, sandbox):
    """Results come in another order than the rows, until a switch puts them in order."""
    rows = {record_id: {"amount": "1"} for record_id in amounts(sandbox)}
    shuffled = [one["id"] for one in update(call, "batchly", rows).json()["results"]]
    assert (sorted(shuffled), shuffled != list(rows)) == (list(rows), True)
    sandbox.set(batchly_shuffled=False)
    assert [one["id"] for one in update(call, "batchly", rows).json()["results"]] == list(rows)


def test_batch_in_order(call, sandbox):
    """Results have the order of their rows and show no value; the status is 200 even if every row failed."""
    answer = update(call, "batchly_mute", {"9": {"amount": "1"}, "70002": {"amount": "2"}})
    assert answer.status_code == 200
    refused, written = answer.json()
    assert (refused["success"], refused["errors"][0]["errorCode"], "id" in refused) == (False, "NOT_FOUND", False)
    assert written == {"id": "70002", "success": True, "errors": []}
    assert amounts(sandbox, "batchly_mute")["70002"] == "2"


def test_a_row_without_trace_refuses_its_call(call, sandbox):
    """A row at fault that has no trace cannot be named: the call is 400 as a whole, and nothing is written."""
    inputs = [{"id": "70001", "properties": {"amount": "1"}}, {"id": "70002", "properties": {"amount": "x"}}]
    refused = call("POST", "batchly/records/batch/update", {"inputs": inputs})
    assert (refused.status_code, sandbox.audit.writes) == (400, [])


def test_largest_batch(call):
    """A hundred and one rows are refused, and so is a body of more than a megabyte."""
    rows = {str(one): {"amount": "1"} for one in range(101)}
    assert "takes 100 records" in update(call, "batchly", rows).json()["message"]
    long = {str(one): {"description": "x" * 60_000} for one in range(17)}
    assert "1000000 bytes" in update(call, "batchly", long).json()["message"]


def test_a_body_without_rows_is_no_error(call, sandbox):
    """A body that wraps its rows wrongly is answered with success, and nothing happens."""
    answer = call("POST", "batchly/records/batch/update", [{"id": "70001", "properties": {"amount": "1"}}])
    assert (answer.status_code, answer.json()["results"], sandbox.audit.writes) == (200, [], [])


def test_batch_read(call):
    """A batch of reads shows the named properties; a missing record is an error by id, or null in its place."""
    body = {"inputs": [{"id": "70001"}, {"id": "9"}], "properties": ["amount"]}
    answer = call("POST", "batchly/records/batch/read", body)
    assert (answer.status_code, answer.json()["errors"][0]["context"]) == (207, {"ids": ["9"]})
    assert answer.json()["results"][0]["properties"] == {"amount": "100.00"}
    in_order = call("POST", "batchly_mute/records/batch/read", {"records": body["inputs"], "properties": ["amount"]})
    assert [one and one["id"] for one in in_order.json()] == ["70001", None]


def test_poisoned_rows(call, sandbox):
    """A poisoned row refuses every call that carries it, without a word about the row, and nothing is written."""
    sandbox.set(batchly_poisoned_ids={"0070002"})
    refused = update(call, "batchly", {"70001": {"amount": "1"}, "70002": {"amount": "2"}})
    assert (refused.status_code, sandbox.audit.writes) == (400, [])
    assert "70002" not in refused.text
    assert "t1" not in refused.text
    assert call("PATCH", "batchly/records/70002", {"properties": {"amount": "2"}}).status_code == 400


def test_rejected_locked_and_unnamed_rows(call, sandbox):
    """A rule refuses a record always, a lock only beside others; an error may name no row."""
    sandbox.set(batchly_rejected_ids={"70001"}, batchly_locked_ids={"70002"}, batchly_unnamed_ids={"70001"})
    answer = update(call, "batchly", {one: {"amount": "1"} for one in ("70001", "70002", "70003")})
    assert {one["code"]: one["context"] for one in answer.json()["errors"]} == {
        "RULE": {},
        "LOCKED": {"traceId": ["t1"]},
    }
    assert update(call, "batchly", {"70002": {"amount": "2"}}).status_code == 200
    assert call("PATCH", "batchly/records/70001", {"properties": {"amount": "1"}}).json()["code"] == "RULE"


def test_left_out_and_dropped_rows(call, sandbox):
    """A row may be written and left out of the answer, or be answered with success and not be written."""
    sandbox.set(batchly_left_out_ids={"70001"}, ignored_ids={"70002"}, ignored_fields={"description"})
    rows = {one: {"amount": "1", "description": "new"} for one in ("70001", "70002", "70003")}
    results = {one["id"]: one["properties"] for one in update(call, "batchly", rows).json()["results"]}
    assert results.keys() == {"70002", "70003"}
    assert (results["70002"]["amount"], "description" in results["70003"]) == ("200.00", False)
    assert {one.record_id: dict(one.fields) for one in sandbox.audit.writes} == {
        "70001": {"amount": "1"},
        "70003": {"amount": "1"},
    }


def test_rates_repeat(call, sandbox):
    """Rows are dropped and left out by rates that repeat with the seed."""

    def run():
        sandbox.set(seed=3, batchly_mute_dropped_rate=0.5, batchly_mute_left_out_rate=0.5)
        rows = {record_id: {"amount": "7"} for record_id in amounts(sandbox)}
        answers = [len(update(call, "batchly_mute", rows).json()) for _ in range(4)]
        applied = [one.record_id for one in sandbox.audit.writes]
        sandbox.audit.clear()
        sandbox.set(seed=4)
        update(call, "batchly_mute", rows)
        sandbox.audit.clear()
        return answers, applied

    first = run()
    assert first == run()
    assert 0 < len(first[1]) < 20


@pytest.mark.parametrize("api", ["batchly", "batchly_mute"])
def test_answers_that_say_nothing(call, sandbox, api):
    """A batch can be answered in the right shape without a result, or with nothing at all, and be written."""
    sandbox.set(**{f"{api}_results": "no_results"})
    answer = update(call, api, {"70001": {"amount": "1"}}).json()
    assert (answer if api == "batchly_mute" else answer["results"]) == []
    sandbox.set(**{f"{api}_results": "no_body"})
    answer = update(call, api, {"70002": {"amount": "2"}})
    assert (answer.status_code, answer.content) == (200, b"")
    assert [one.record_id for one in sandbox.audit.writes] == ["70001", "70002"]


def test_status_of_a_batch(call, sandbox):
    """The status of a batch can be 207 always, or 200 always."""
    sandbox.set(batchly_status="207")
    assert update(call, "batchly", {"70001": {"amount": "1"}}).status_code == 207
    sandbox.set(batchly_status="200")
    assert update(call, "batchly", {"70001": {"amount": "x"}}).status_code == 200
