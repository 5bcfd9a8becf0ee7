"""Claims about HubSpot's batches: each answer on record says what became of each row, and nothing is guessed."""

from __future__ import annotations

import json

import pytest

from airflow_provider_crm.exceptions import ConfigurationError, RejectedError, TransientError
from airflow_provider_crm.testing.handmade import HandmadeAnswer
from airflow_provider_crm.vendors.calls import BatchRow
from tests.vendors.hubspot.by_hand import HUBSPOT, answer_of

GOOD, GONE = "171591000199", "unknownIdentifier888"


def batch():
    """Return the call that writes several deals."""
    (call,) = HUBSPOT.write_calls(("amount",))
    return call.batch


def rows(*ids):
    """Return rows of these deals, with traces."""
    return [BatchRow(one, '{"properties": {"amount": "1"}}', f"t{number}") for number, one in enumerate(ids)]


def split(answer, *ids):
    """Return what an answer says about rows of these deals."""
    return batch().split(answer, rows(*ids))


def test_the_body_of_a_batch():
    """Each row has its id and a trace of its own, in the member without which HubSpot would write nothing."""
    assert json.loads(batch().join(rows("1", "2"))) == {
        "inputs": [
            {"id": "1", "objectWriteTraceId": "t0", "properties": {"amount": "1"}},
            {"id": "2", "objectWriteTraceId": "t1", "properties": {"amount": "1"}},
        ]
    }
    assert (batch().largest, batch().path) == (100, "/crm/objects/2026-03/deals/batch/update")


def test_a_batch_in_which_all_is_well():
    """The recorded results are matched by id, also in another order."""
    first, second = split(answer_of("update-success"), GOOD, "171591000198")
    assert (first["properties"]["firstname"], second["properties"]["firstname"]) == ("Ada (updated)", "Ben (updated)")


def test_a_batch_in_which_one_id_is_unknown():
    """The recorded 207 rejects that row with the status 404, and says nothing about a row that it does not name."""
    written, gone, unnamed = split(answer_of("update-partial-success", 207), GOOD, GONE, "7")
    assert (written["id"], type(gone), gone.status, gone.code) == (GOOD, RejectedError, 404, "OBJECT_NOT_FOUND")
    assert unnamed is None


def test_an_error_that_names_a_row_by_its_trace():
    """The recorded 207 with a trace rejects the row of that trace: its unique value belongs to another record."""
    body = json.loads(answer_of("create-conflict-of-a-row").text.replace('["0"]', '["t1"]'))
    written, taken = split(HandmadeAnswer(207, body), "171596044870", "5")
    assert (written["id"], type(taken), taken.status) == ("171596044870", RejectedError, 409)
    assert "171591000198" in str(taken)


@pytest.mark.parametrize(
    ("category", "kind", "status"),
    [
        ("VALIDATION_ERROR", RejectedError, 400),
        ("SOMETHING_NEW", RejectedError, 400),
        ("LOCKED", TransientError, 423),
        ("INTERNAL_ERROR", TransientError, 500),
        ("MISSING_SCOPES", ConfigurationError, 403),
    ],
)
def test_the_error_of_a_row_has_the_status_of_its_own_call(category, kind, status):
    """A row of a batch fails as it would alone."""
    error = {"category": category, "message": "No.", "context": {"objectWriteTraceId": ["t0"]}}
    (answer,) = split(HandmadeAnswer(207, {"status": "COMPLETE", "results": [], "errors": [error]}), "1")
    assert isinstance(answer, kind)
    assert answer.status == status


def test_a_deleted_property_ends_the_run_from_within_a_207():
    """A row whose property does not exist shows that no row with it can land."""
    message = 'Property values were not valid: [{"error": "PROPERTY_DOESNT_EXIST", "name": "score", "message": "No."}]'
    error = {"category": "VALIDATION_ERROR", "message": message, "context": {"objectWriteTraceId": ["t0"]}}
    (answer,) = split(HandmadeAnswer(207, {"results": [], "errors": [error]}), "1")
    assert (type(answer), answer.code) == (ConfigurationError, "PROPERTY_DOESNT_EXIST")
    assert "'score'" in str(answer)


@pytest.mark.parametrize(
    "body",
    [
        {"status": "COMPLETE", "results": []},
        {"status": "PENDING", "results": []},
        {"status": "COMPLETE", "results": [], "errors": [{"message": "x", "category": "VALIDATION_ERROR"}]},
        {"status": "COMPLETE", "results": [{"id": "9", "properties": {}}]},
        {"status": "COMPLETE", "results": ["text", None, {"properties": {}}], "errors": "text"},
    ],
)
def test_what_is_not_named_has_not_landed(body):
    """A 200 that names no row, as after a call that did nothing, says nothing about any."""
    assert split(HandmadeAnswer(200, body), "1", "2") == [None, None]


def test_an_answer_without_results_is_not_hubspots():
    """An answer of another shape is not about the rows, and may be tried again."""
    for body in (b"<html>", {}, [], {"results": None}):
        with pytest.raises(TransientError):
            split(HandmadeAnswer(200, body), "1")


def test_an_error_wins_over_a_result():
    """A row that has a result and an error has failed."""
    error = {"category": "VALIDATION_ERROR", "message": "No.", "context": {"ids": ["1"]}}
    body = {"results": [{"id": "1", "properties": {}}], "errors": [error]}
    (answer,) = split(HandmadeAnswer(207, body), "001")
    assert type(answer) is RejectedError


def test_reading_several_deals():
    """The call names ids and properties; a deal that the answer leaves out is not known."""
    call = HUBSPOT.batch_read.call(["1", "2"], ["amount", "dealstage"])
    assert (call.method, call.path) == ("POST", "/crm/objects/2026-03/deals/batch/read")
    assert json.loads(call.body) == {"inputs": [{"id": "1"}, {"id": "2"}], "properties": ["amount", "dealstage"]}
    shown, gone, unnamed = HUBSPOT.batch_read.split(answer_of("update-partial-success", 207), [GOOD, GONE, "3"])
    assert (shown["id"], gone.status, unnamed) == (GOOD, 404, None)


def refused(code, count, name="score"):
    """Return the answer to rows of which so many have an error of this code."""
    message = f'Property values were not valid: [{{"error": "{code}", "name": "{name}", "message": "No."}}]'
    error = {"category": "VALIDATION_ERROR", "message": message}
    errors = [error | {"context": {"objectWriteTraceId": [f"t{number}"]}} for number in range(count)]
    return HandmadeAnswer(207, {"results": [], "errors": errors})


def test_a_property_that_has_got_another_type_ends_the_run():
    """If all of many rows meet one error about the type of a property, it ends the run; else each row has its own."""
    ids = [str(number) for number in range(12)]
    with pytest.raises(
        ConfigurationError, match=r"all 12 rows of a call for 'score'; the property seems to have another"
    ):
        split(refused("INVALID_LONG", 12), *ids)
    assert {type(one) for one in split(refused("INVALID_LONG", 9), *ids[:9])} == {RejectedError}
    assert {type(one) for one in split(refused("INVALID_LONG", 11), *ids)} == {RejectedError, type(None)}
    assert {type(one) for one in split(refused("INVALID_OPTION", 12), *ids)} == {RejectedError}
