"""Salesforce: several opportunities in a call, several calls in one, and queries."""

from __future__ import annotations

import pytest

from tests.sandbox.salesforce.conftest import DATA, IDS, LONG_IDS, ONE, ROWS, codes, refusal


def read(salesforce, ids, fields):
    """Read some records in one call."""
    return salesforce.post(f"{ROWS}/Opportunity", {"ids": ids, "fields": fields})


def test_results_by_position(write, account):
    """Each row has its result in its place, and a status of 200 says nothing about them."""
    rows = [
        (IDS[2], {"Amount": 3}),
        (IDS[0], {"Nope__c": 1}),
        ("006ak0000000099", {"Amount": 1}),
        (IDS[1], {"Amount": 2}),
    ]
    answer = write(*rows)
    assert codes(answer) == [None, "INVALID_FIELD", "ENTITY_IS_DELETED", None]
    assert [row.get("id") for row in answer.json()] == [LONG_IDS[2], None, None, LONG_IDS[1]]
    assert [account.opportunity(one)["Amount"] for one in IDS] == [100, 2, 3]


def test_failed_rows_may_repeat_their_id(write, sandbox):
    """Answers on record show failed rows with and without an id."""
    sandbox.set(salesforce_failed_ids=True)
    assert write((IDS[0], {"Nope__c": 1})).json()[0]["id"] == IDS[0]


def test_all_or_none(write, sandbox):
    """With that word one bad row rolls the others back."""
    answer = write((IDS[0], {"Amount": 1}), (IDS[1], {"Nope__c": 1}), all_or_none=True)
    assert codes(answer) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_FIELD"]
    assert sandbox.audit.writes == []


def test_calls_that_are_refused_as_a_whole(write, salesforce, account):
    """No row, more than 200, another object, and a body that is none."""
    ids = [account.add_opportunity()["Id"] for _ in range(201)]
    assert codes(write(*[(one, {"Amount": 1}) for one in ids[:200]])) == [None] * 200
    assert refusal(write(*[(one, {"Amount": 1}) for one in ids])) == (400, "EXCEEDED_ID_LIMIT")
    assert refusal(write()) == (400, "REQUIRED_FIELD_MISSING")
    assert refusal(salesforce.patch(ROWS, {"records": [{"attributes": {"type": "Nope"}}]})) == (400, "INVALID_TYPE")
    assert refusal(salesforce.patch(ROWS, [])) == (400, "JSON_PARSER_ERROR")


@pytest.mark.parametrize("scope", ["call", "row"])
def test_values_of_a_wrong_type(write, sandbox, scope):
    """A value of a wrong JSON type refuses the whole call, or its row."""
    sandbox.set(salesforce_type_errors=scope)
    answer = write((IDS[0], {"Amount": 1}), (IDS[1], {"Amount": "abc"}))
    if scope == "call":
        assert refusal(answer) == (400, "JSON_PARSER_ERROR")
        assert sandbox.audit.writes == []
    else:
        assert codes(answer) == [None, "JSON_PARSER_ERROR"]


@pytest.mark.parametrize(
    ("choice", "expected"), [("rows", ["DUPLICATE_VALUE"] * 2), ("in_order", [None] * 2), ("call", None)]
)
def test_one_id_twice(write, account, sandbox, choice, expected):
    """Both rows are refused, or the call; or they are written one after the other."""
    sandbox.set(salesforce_same_id_twice=choice)
    answer = write((IDS[0], {"Amount": 1}), (LONG_IDS[0], {"NextStep": "Call"}))
    if expected is None:
        assert answer.status_code == 400
    else:
        assert codes(answer) == expected
    record = account.opportunity(IDS[0])
    assert (record["Amount"], record["NextStep"]) == ((1, "Call") if choice == "in_order" else (100, None))


def test_rows_without_an_id(salesforce):
    """They are refused one by one, as an answer on record shows."""
    answer = salesforce.patch(ROWS, {"records": [{"attributes": {"type": "Opportunity"}, "Amount": 1}] * 2})
    error = {"statusCode": "MISSING_ARGUMENT", "message": "Id not specified in an update call", "fields": []}
    assert answer.json() == [{"success": False, "errors": [error]}] * 2


def test_locks(write, sandbox):
    """A lock refuses its row: for ever, until an instant, or once."""
    now = sandbox.clock.advance(0) or sandbox.clock.now()
    sandbox.set(salesforce_locked_ids=[IDS[0]], salesforce_locked_once_ids=[IDS[1]])
    rows = [(one, {"Amount": 1}) for one in IDS]
    assert [codes(write(*rows)) for _ in range(2)] == [
        ["UNABLE_TO_LOCK_ROW", "UNABLE_TO_LOCK_ROW", None],
        ["UNABLE_TO_LOCK_ROW", None, None],
    ]
    sandbox.set(salesforce_locked_until=now.timestamp() + 5)
    sandbox.clock.advance(6)
    assert codes(write(*rows)) == [None] * 3


def test_rules_of_the_org(write, sandbox):
    """A duplicate rule yields to its header; a full storage refuses every row; a poisoned row its call."""
    row = (IDS[0], {"Amount": 1})
    sandbox.set(salesforce_duplicate_ids=[IDS[0]])
    assert codes(write(row)) == ["DUPLICATES_DETECTED"]
    assert codes(write(row, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})) == [None]
    sandbox.set(salesforce_storage_full=True)
    assert codes(write((IDS[1], {"Amount": 1}))) == ["STORAGE_LIMIT_EXCEEDED"]
    sandbox.set(salesforce_poisoned_ids=[IDS[2]])
    assert write((IDS[2], {"Amount": 1})).status_code == 400


def test_reads(salesforce, account):
    """Records come in the order of the ids, null for one that is missing or deleted; one bad field refuses all."""
    account.delete_opportunity(IDS[1])
    shown = read(salesforce, [IDS[2], IDS[1], "006ak0000000099", IDS[0]], ["Amount"]).json()
    assert [one and (one["Id"], one["Amount"]) for one in shown] == [(LONG_IDS[2], 300), None, None, (LONG_IDS[0], 100)]
    assert refusal(read(salesforce, [IDS[0]], ["Nope__c"])) == (400, "INVALID_FIELD")
    assert read(salesforce, [IDS[0]] * 2000, ["Id"]).status_code == 200
    assert refusal(read(salesforce, [IDS[0]] * 2001, ["Id"])) == (400, "EXCEEDED_ID_LIMIT")


def test_creates_upserts_and_deletes(salesforce, account):
    """Rows are created, found or made by external id, and deleted."""
    row = {"attributes": {"type": "Opportunity"}, "Name": "New", "StageName": "Proposal", "CloseDate": "2026-09-30"}
    made = salesforce.post(ROWS, {"records": [row, {**row, "Name": None}]})
    assert codes(made) == [None, "REQUIRED_FIELD_MISSING"]
    keyed = [{**row, "Warehouse_Key__c": key} for key in ("key-1", "key-9", "twice", "twice")]
    upserted = salesforce.patch(f"{ROWS}/Opportunity/Warehouse_Key__c", {"records": keyed})
    assert codes(upserted) == [None, None, "DUPLICATE_VALUE", "DUPLICATE_VALUE"]
    assert [one.get("created") for one in upserted.json()] == [False, True, None, None]
    deleted = salesforce("DELETE", f"{ROWS}?ids={IDS[0]},006ak0000000099")
    assert codes(deleted) == [None, "ENTITY_IS_DELETED"]
    with pytest.raises(AssertionError):
        assert account.opportunity(IDS[0])["IsDeleted"] is False


def test_several_calls_in_one(salesforce, sandbox):
    """A write and a read share a call, which counts once; the read shows what was written."""
    records = [{"attributes": {"type": "Opportunity"}, "id": one, "Amount": 5} for one in LONG_IDS]
    body = {
        "allOrNone": False,
        "compositeRequest": [
            {"method": "PATCH", "url": ROWS, "referenceId": "write", "body": {"records": records}},
            {
                "method": "POST",
                "url": f"{ROWS}/Opportunity",
                "referenceId": "read",
                "body": {"ids": LONG_IDS, "fields": ["Amount"]},
            },
            {"method": "GET", "url": f"{ONE}x", "referenceId": "missing"},
        ],
    }
    answer = salesforce.post(f"{DATA}/composite", body)
    write, shown, missing = answer.json()["compositeResponse"]
    assert [(one["referenceId"], one["httpStatusCode"]) for one in (write, shown, missing)] == [
        ("write", 200), ("read", 200), ("missing", 404),
    ]  # fmt: skip
    assert [one["Amount"] for one in shown["body"]] == [5] * 3
    assert missing["body"][0]["errorCode"] == "NOT_FOUND"
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/100000"
    assert len(sandbox.audit.writes) == 3


def test_composite_has_its_own_limits(salesforce):
    """At most 25 calls, five of them large."""
    one = {"method": "GET", "url": ONE, "referenceId": "x"}
    large = {"method": "GET", "url": f"{DATA}/query?q=SELECT+Id+FROM+User", "referenceId": "x"}
    for calls, status in ((25, 200), (26, 400)):
        assert salesforce.post(f"{DATA}/composite", {"compositeRequest": [one] * calls}).status_code == status
    assert refusal(salesforce.post(f"{DATA}/composite", {"compositeRequest": [large] * 6})) == (400, "LIMIT_EXCEEDED")
    assert refusal(salesforce.post(f"{DATA}/composite", {})) == (400, "JSON_PARSER_ERROR")


def query(salesforce, text):
    """Return the answer to a query."""
    return salesforce.get(f"{DATA}/query", params={"q": text})


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("SELECT Amount FROM Opportunity ORDER BY Amount DESC LIMIT 2", [300, 200]),
        (f"SELECT Amount FROM Opportunity WHERE Id IN ('{IDS[0]}', '{LONG_IDS[2]}')", [100, 300]),
        ("SELECT Amount FROM Opportunity WHERE Warehouse_Key__c = 'KEY-2'", [200]),
        ("SELECT Amount FROM Opportunity WHERE Amount >= 200 AND Warehouse_Key__c NOT IN ('key-3')", [200]),
        ("SELECT Amount FROM Opportunity WHERE Tier__c = null AND IsWon = false AND Amount != 100", [200, 300]),
        (r"SELECT Amount FROM Opportunity WHERE Name = 'it\'s'", []),
    ],
)
def test_queries(salesforce, text, amounts):
    """Conditions, order and limit."""
    answer = query(salesforce, text).json()
    assert ([one["Amount"] for one in answer["records"]], answer["done"]) == (amounts, True)


def test_pages_of_a_query(salesforce, account):
    """A page has 2,000 records, and the address of the next one."""
    for _ in range(2000):
        account.add_opportunity()
    first = query(salesforce, "SELECT Id FROM Opportunity").json()
    assert (first["totalSize"], first["done"], len(first["records"])) == (2003, False, 2000)
    second = salesforce.get(first["nextRecordsUrl"]).json()
    assert (second["done"], len(second["records"])) == (True, 3)
    assert query(salesforce, "SELECT COUNT() FROM Opportunity").json()["totalSize"] == 2003


def test_other_objects(salesforce, sandbox):
    """Stages, the org, users; currencies in a multi-currency org only; and fields by group."""
    stages = query(salesforce, "SELECT MasterLabel, ApiName, IsWon FROM OpportunityStage WHERE IsActive = true").json()
    assert [one["ApiName"] for one in stages["records"]][2:4] == ["Proposal/Price Quote", "Closed Won"]
    (org,) = query(salesforce, "SELECT Id, DefaultCurrencyIsoCode FROM Organization").json()["records"]
    assert org["DefaultCurrencyIsoCode"] == "USD"
    assert query(salesforce, "SELECT Id, Email FROM User").json()["totalSize"] == 2
    currencies = "SELECT IsoCode, IsCorporate FROM CurrencyType WHERE IsActive = true"
    assert [one["IsoCode"] for one in query(salesforce, currencies).json()["records"]] == ["USD", "EUR", "JPY"]
    sandbox.set(salesforce_multi_currency=False)
    assert refusal(query(salesforce, currencies)) == (400, "INVALID_TYPE")
    shown = query(salesforce, "SELECT FIELDS(STANDARD) FROM Opportunity LIMIT 1").json()["records"][0]
    assert ("StageName" in shown, "Tier__c" in shown) == (True, False)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Nope FROM Opportunity", "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE Nope = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id", "MALFORMED_QUERY"),
        ("SELECT Id FROM Opportunity WHERE Id LIKE 'x'", "MALFORMED_QUERY"),
    ],
)
def test_refused_queries(salesforce, text, code):
    """A query that cannot be answered says why."""
    assert refusal(query(salesforce, text)) == (400, code)
