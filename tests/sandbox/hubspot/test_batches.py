"""HubSpot: batches, with what becomes of each of their rows."""

from __future__ import annotations

import pytest

UPDATE = "/crm/objects/2026-03/deals/batch/update"
READ = "/crm/objects/2026-03/deals/batch/read"
CREATE = "/crm/objects/2026-03/deals/batch/create"
UPSERT = "/crm/objects/2026-03/deals/batch/upsert"


def rows(values, *, traced=True):
    """Return inputs by record id, with traces t0, t1 and so on."""
    inputs = [{"id": one, "properties": properties} for one, properties in values.items()]
    if traced:
        inputs = [one | {"objectWriteTraceId": f"t{at}"} for at, one in enumerate(inputs)]
    return {"inputs": inputs}


def amounts(account):
    """Return the amounts of all deals."""
    return [account.opportunity(one)["properties"]["amount"] for one in account.records.ids()]


@pytest.mark.parametrize(
    "path",
    [
        UPDATE,
        "/crm/v3/objects/deals/batch/update",
        "/crm/v3/objects/0-3/batch/update",
        "/crm/objects/v3/deals/batch/update",
    ],
)
def test_an_update_of_several_deals(hubspot, account, sandbox, path):
    """All rows are written and shown, in every form of the path; the audit has a write for each."""
    answer = hubspot.post(path, rows({"1001": {"amount": "5"}, "1003": {"amount": "7.50"}}))
    body = answer.json()
    shown = {one["id"]: one["properties"]["amount"] for one in body["results"]}
    assert (answer.status_code, body["status"], shown) == (200, "COMPLETE", {"1001": "5", "1003": "7.50"})
    assert amounts(account) == ["5", "200.00", "7.50"]
    written = [(write.number, write.record_id, write.fields) for write in sandbox.audit.writes]
    assert written == [(1, "1001", {"amount": "5"}), (1, "1003", {"amount": "7.50"})]


def test_results_name_their_record_and_come_in_any_order(hubspot, account, sandbox):
    """With the switch off they have the order of the inputs, with it some other one."""
    ids = [account.add_opportunity()["id"] for _ in range(20)]
    batch = rows({one: {"amount": "1"} for one in ids})
    shuffled = [one["id"] for one in hubspot.post(UPDATE, batch).json()["results"]]
    assert (shuffled != ids, sorted(shuffled)) == (True, sorted(ids))
    sandbox.set(hubspot_shuffled=False)
    assert [one["id"] for one in hubspot.post(UPDATE, batch).json()["results"]] == ids


def test_unknown_and_archived_ids(hubspot, account):
    """The other rows are written; one error names all ids that no deal has."""
    account.archive_opportunity("1002")
    answer = hubspot.post(UPDATE, rows({"1001": {"amount": "5"}, "77": {"amount": "5"}, "1002": {"amount": "5"}}))
    body = answer.json()
    (error,) = body["errors"]
    assert (answer.status_code, body["numErrors"], [one["id"] for one in body["results"]]) == (207, 1, ["1001"])
    assert (error["category"], error["context"]) == ("OBJECT_NOT_FOUND", {"ids": ["77", "1002"]})


def test_bad_values_of_traced_rows(hubspot, account):
    """Where each input has a trace of its own, the bad rows are named by it and the others written."""
    answer = hubspot.post(
        UPDATE, rows({"1001": {"amount": "x"}, "1002": {"amount": "5"}, "1003": {"dealstage": "1303", "nope": "1"}})
    )
    errors = {one["context"]["objectWriteTraceId"][0]: one for one in answer.json()["errors"]}
    assert (answer.status_code, errors.keys()) == (207, {"t0", "t2"})
    assert "x was not a valid number." in errors["t0"]["message"]
    assert "PROPERTY_DOESNT_EXIST" in errors["t2"]["message"]
    assert amounts(account) == ["100.00", "5", "300.00"]


@pytest.mark.parametrize("case", ["no traces", "one without", "one twice", "switch"])
def test_bad_values_without_traces_refuse_the_whole(hubspot, account, sandbox, case):
    """A 400 lists the bad properties of all rows, names no row, and nothing is written."""
    batch = rows({"1001": {"amount": "x"}, "1002": {"amount": "5"}, "1003": {"nope": "1"}}, traced=case != "no traces")
    if case == "one without":
        del batch["inputs"][1]["objectWriteTraceId"]
    if case == "one twice":
        batch["inputs"][1]["objectWriteTraceId"] = "t0"
    sandbox.set(hubspot_names_rows=case != "switch")
    answer = hubspot.post(UPDATE, batch)
    body = answer.json()
    assert (answer.status_code, body["category"]) == (400, "VALIDATION_ERROR")
    assert [one["code"] for one in body["errors"]] == ["INVALID_INTEGER", "PROPERTY_DOESNT_EXIST"]
    assert "100" not in body["message"]
    assert amounts(account) == ["100.00", "200.00", "300.00"]


def test_one_record_twice(hubspot, account):
    """Two rows of one record refuse the whole, traces or not, and whatever their spelling."""
    batch = {"inputs": [{"id": "1001", "properties": {}}, {"id": "01001", "properties": {}}]}
    answer = hubspot.post(UPDATE, batch)
    shown = (answer.status_code, answer.json()["message"], answer.json()["context"])
    message = "Duplicate IDs found in batch input: [1001]. IDs must be unique"
    assert shown == (400, message, {"ids": ["1001"]})


def test_one_record_by_id_and_by_a_unique_value(hubspot):
    """Two rows that lead to one record in two ways refuse the whole, too."""
    batch = {
        "inputs": [
            {"id": "1001", "properties": {}},
            {"id": "key-1", "idProperty": "warehouse_deal_key", "properties": {}},
        ]
    }
    assert hubspot.post(UPDATE, batch).status_code == 400


def test_too_many_inputs(hubspot, account):
    """A hundred rows are taken; one more refuses the whole."""
    ids = [account.add_opportunity()["id"] for _ in range(101)]
    statuses = [
        hubspot.post(UPDATE, rows({one: {"amount": "1"} for one in ids[:number]})).status_code for number in (101, 100)
    ]
    assert (statuses, len(set(amounts(account)))) == ([400, 200], 5)


@pytest.mark.parametrize("path", [UPDATE, CREATE, UPSERT])
def test_a_body_without_inputs_does_nothing(hubspot, account, path):
    """It is answered with 200 and no results, and nothing is written."""
    answer = hubspot.post(path, {"id": "1001", "properties": {"amount": "5"}})
    assert (answer.status_code, answer.json()["status"], answer.json()["results"]) == (200, "COMPLETE", [])
    assert amounts(account) == ["100.00", "200.00", "300.00"]


def test_empty_inputs(hubspot, sandbox):
    """No inputs at all are nothing to do, or a 400: the documents do not say."""
    assert hubspot.post(UPDATE, {"inputs": []}).status_code == 200
    sandbox.set(hubspot_refuses_empty_inputs=True)
    assert hubspot.post(UPDATE, {"inputs": []}).status_code == 400


def test_a_read_of_several_deals(hubspot):
    """Each record is shown with the properties named; missing ones are an error beside the others."""
    body = {"inputs": [{"id": "1001"}, {"id": "77"}, {"id": "1003"}, {"id": "1001"}], "properties": ["amount", "nope"]}
    answer = hubspot.post(READ, body)
    shown = {one["id"]: one["properties"] for one in answer.json()["results"]}
    assert (answer.status_code, shown.keys()) == (207, {"1001", "1003"})
    assert shown["1001"].keys() == {"amount", "createdate", "hs_lastmodifieddate", "hs_object_id"}
    assert answer.json()["errors"][0]["context"] == {"ids": ["77"]}


def test_a_read_by_a_unique_property(hubspot):
    """`idProperty` finds records by a unique value, exactly and at once; no other property will do."""
    found = hubspot.post(READ, {"inputs": [{"id": "key-2"}], "idProperty": "warehouse_deal_key"})
    assert [one["id"] for one in found.json()["results"]] == ["1002"]
    for name in ("dealname", "hs_object_id"):
        refused = hubspot.post(READ, {"inputs": [{"id": "1002"}], "idProperty": name})
        message = f"Unable to perform update/upsert by non-unique 0-3 property {name}"
        assert (refused.status_code, refused.json()["message"]) == (400, message)


def test_a_read_with_history(hubspot):
    """The values that a property has had are shown, the last one first, of at most fifty records."""
    hubspot.patch("/crm/v3/objects/deals/1001", {"properties": {"amount": "5"}})
    body = {"inputs": [{"id": "1001"}], "propertiesWithHistory": ["amount"]}
    (record,) = hubspot.post(READ, body).json()["results"]
    assert [one["value"] for one in record["propertiesWithHistory"]["amount"]] == ["5", "100.00"]
    many = {"inputs": [{"id": str(number)} for number in range(51)]}
    assert hubspot.post(READ, body | many).status_code == 400
    assert hubspot.post(READ, many).status_code == 207


def test_creating_several_deals(hubspot, account, sandbox):
    """201 if all are created; a traced row whose unique value is taken is a conflict that names the record."""
    made = hubspot.post(CREATE, {"inputs": [{"properties": {"dealname": "A"}}, {"properties": {"dealname": "B"}}]})
    assert (made.status_code, len(made.json()["results"]), len(account.records.ids())) == (201, 2, 5)
    inputs = [{"properties": {"warehouse_deal_key": f"key-{at}"}, "objectWriteTraceId": str(at)} for at in (1, 9)]
    partly = hubspot.post(CREATE, {"inputs": inputs})
    (error,) = partly.json()["errors"]
    assert (partly.status_code, error["category"]) == (207, "CONFLICT")
    assert error["context"] == {"objectWriteTraceId": ["1"], "existingId": ["1001"]}
    assert "objectWriteTraceId" not in partly.json()["results"][0]
    sandbox.set(hubspot_echoes_traces=True)
    inputs[1]["properties"]["warehouse_deal_key"] = "key-10"
    assert hubspot.post(CREATE, {"inputs": inputs}).json()["results"][0]["objectWriteTraceId"] == "9"


def test_a_conflict_without_traces(hubspot, account):
    """It refuses the whole, also between two rows of the call."""
    for keys in (["key-1", "key-8"], ["key-8", "key-8"]):
        answer = hubspot.post(CREATE, {"inputs": [{"properties": {"warehouse_deal_key": one}} for one in keys]})
        assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")
    assert len(account.records.ids()) == 3


def test_upserts(hubspot, account):
    """A value that a record has writes that one, another one creates a record, and `new` says which."""
    inputs = [
        {"id": one, "idProperty": "warehouse_deal_key", "properties": {"amount": "5"}} for one in ("key-1", "key-4")
    ]
    answer = hubspot.post(UPSERT, {"inputs": inputs})
    new = {one["properties"].get("warehouse_deal_key", one["id"]): one["new"] for one in answer.json()["results"]}
    assert (answer.status_code, new) == (200, {"1001": False, "key-4": True})
    again = hubspot.post(UPSERT, {"inputs": inputs}).json()["results"]
    assert [one["new"] for one in again] == [False, False]
    assert amounts(account) == ["5", "200.00", "300.00", "5"]


def test_an_upsert_by_record_id(hubspot):
    """There is none: without the name of a unique property it is refused."""
    assert hubspot.post(UPSERT, rows({"1001": {"amount": "5"}})).status_code == 400


def test_archiving_several_deals(hubspot, sandbox):
    """204, whether they exist or not; the audit has those that did."""
    answer = hubspot.post(
        "/crm/objects/2026-03/deals/batch/archive", {"inputs": [{"id": "1001"}, {"id": "77"}, {"id": "1003"}]}
    )
    assert (answer.status_code, [one.record_id for one in sandbox.audit.writes]) == (204, ["1001", "1003"])


def test_a_poisoned_row(hubspot, account, sandbox):
    """It refuses the whole batch, traces or not, and is refused alone; no error names it."""
    sandbox.set(hubspot_poisoned_ids={"1002"})
    batch = hubspot.post(UPDATE, rows({"1001": {"amount": "5"}, "1002": {"amount": "5"}}))
    alone = hubspot.patch("/crm/v3/objects/deals/1002", {"properties": {"amount": "5"}})
    assert (batch.status_code, alone.status_code, "errors" in batch.json()) == (400, 400, False)
    assert amounts(account) == ["100.00", "200.00", "300.00"]


def test_a_row_that_a_rule_rejects(hubspot, account, sandbox):
    """It is an error of its row like a bad value."""
    sandbox.set(hubspot_rejected_ids={"1002"})
    answer = hubspot.post(UPDATE, rows({"1001": {"amount": "5"}, "1002": {"amount": "5"}}))
    assert (answer.status_code, answer.json()["errors"][0]["context"]) == (207, {"objectWriteTraceId": ["t1"]})
    assert amounts(account) == ["5", "200.00", "300.00"]


def test_a_row_that_is_left_out(hubspot, account, sandbox):
    """It is written, and the answer says nothing of it."""
    sandbox.set(hubspot_left_out_ids={"1002"})
    answer = hubspot.post(UPDATE, rows({"1001": {"amount": "5"}, "1002": {"amount": "5"}}))
    assert (answer.status_code, [one["id"] for one in answer.json()["results"]]) == (200, ["1001"])
    assert amounts(account) == ["5", "5", "300.00"]


def test_a_row_that_is_dropped(hubspot, account, sandbox):
    """A write that is ignored is answered with the value as it was."""
    sandbox.set(ignored_ids={"1002"}, ignored_fields={"dealname"})
    answer = hubspot.post(UPDATE, rows({"1001": {"dealname": "x"}, "1002": {"amount": "5"}}))
    shown = {one["id"]: one["properties"] for one in answer.json()["results"]}
    assert (answer.status_code, shown["1002"]["amount"], shown["1001"]["dealname"]) == (200, "200.00", "Deal 1001")


def test_locked_records(hubspot, account, sandbox):
    """A lock refuses the whole call with 423, until it ends."""
    sandbox.set(hubspot_locked_ids={"1002"}, hubspot_locked_until=sandbox.clock.now().timestamp() + 3600)
    batch = rows({"1001": {"amount": "5"}, "1002": {"amount": "5"}})
    alone = hubspot.patch("/crm/v3/objects/deals/1002", {"properties": {"amount": "5"}})
    assert (hubspot.post(UPDATE, batch).status_code, alone.status_code) == (423, 423)
    sandbox.clock.advance(3600)
    assert (hubspot.post(UPDATE, batch).status_code, amounts(account)) == (200, ["5", "5", "300.00"])


@pytest.mark.parametrize("fault", ["http_502_after", "http_504_after", "http_524_after", "reset_after"])
def test_an_answer_that_is_lost(hubspot, account, sandbox, fault):
    """The rows are written, though the answer is an error or none."""
    sandbox.script(faults=[fault])
    try:
        status = hubspot.post(UPDATE, rows({"1001": {"amount": "5"}})).status_code
    except OSError:
        status = None
    assert (status, amounts(account)[0]) == (int(fault[5:8]) if fault.startswith("http") else None, "5")
