"""simple-salesforce, which Airflow's own provider uses, works against the sandbox: the two read the API alike."""

from __future__ import annotations

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)


class Rerouted(HTTPAdapter):
    """Sends what is for any host by HTTPS to the sandbox: the client takes no other scheme."""

    def __init__(self, url):
        super().__init__()
        self._url = url

    def send(self, request, **options):
        """Send a request to the sandbox, with its path as it is."""
        request.url = self._url + request.path_url
        return super().send(request, **options)


@pytest.fixture
def http(sandbox):
    """Return the client's session."""
    with requests.Session() as session:
        session.mount("https://", Rerouted(sandbox.url))
        yield session


@pytest.fixture
def client(http, account):
    """Return the client after it has logged in with the app's key and secret."""
    tokens = account.tokens
    return Salesforce(
        consumer_key=tokens.client_id, consumer_secret=tokens.client_secret, domain="acme.my", session=http
    )


def test_a_wrong_secret(http, account):
    """A refused app is an error of its own."""
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client"):
        Salesforce(consumer_key=account.tokens.client_id, consumer_secret="x", domain="acme.my", session=http)


def test_queries(client, account):
    """All pages of a query are read."""
    ids = {account.add_opportunity(Amount=5)["Id"] for _ in range(2_100)}
    found = client.query_all("SELECT Id, Amount FROM Opportunity WHERE Amount = 5")
    assert found["totalSize"] == len(ids)
    assert {one["Id"] for one in found["records"]} >= ids


def test_reads_and_describes(client, account):
    """A record and the fields of the object are read."""
    record_id = account.add_opportunity(Amount=12.5, StageName="Proposal")["Id"]
    shown = client.Opportunity.get(record_id[:15])
    assert (shown["Id"], shown["Amount"], shown["StageName"]) == (record_id, 12.5, "Proposal")
    assert {"Amount", "CloseDate"} <= {field["name"] for field in client.Opportunity.describe()["fields"]}


def test_updates_creates_and_deletes(client, account):
    """The client takes the empty answers for success, and reads the id of a new record."""
    record_id = account.add_opportunity(Amount=1)["Id"]
    assert client.Opportunity.update(record_id, {"Amount": 99.5}) == 204
    assert float(account.opportunity(record_id)["Amount"]) == 99.5
    fields = {"Name": "New", "StageName": "Proposal", "CloseDate": "2026-12-31"}
    made = client.Opportunity.create(fields)
    assert (made["success"], account.opportunity(made["id"])["Name"]) == (True, "New")
    assert client.Opportunity.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        client.Opportunity.get(made["id"])


def test_a_refused_value(client, account):
    """The client reads the code of a refusal."""
    record_id = account.add_opportunity()["Id"]
    with pytest.raises(SalesforceMalformedRequest, match="FIELD_CUSTOM_VALIDATION_EXCEPTION"):
        client.Opportunity.update(record_id, {"Discount__c": 99})


def test_an_upsert_by_an_external_id(client, account):
    """A value of the warehouse's key makes a record, then finds it."""
    path, fields = "Warehouse_Key__c/k-1", {"Name": "By key", "StageName": "Proposal", "CloseDate": "2026-12-31"}
    assert client.Opportunity.upsert(path, fields) == 201
    assert client.Opportunity.upsert(path, {"Amount": 3}) == 200


def test_a_session_that_ended(client, http, account):
    """With a session alone the client says so; with an app it logs in again."""
    alone = Salesforce(session_id=account.access_token, instance_url="https://acme.my.salesforce.com", session=http)
    account.tokens.end_sessions()
    with pytest.raises(SalesforceExpiredSession):
        alone.query("SELECT Id FROM Opportunity LIMIT 1")
    assert client.query("SELECT Id FROM Opportunity LIMIT 1")["done"]
    assert account.tokens.issued == 2


def test_the_limit_of_the_day(client):
    """The client reads used calls and the limit from the header."""
    client.query("SELECT Id FROM Opportunity LIMIT 1")
    usage = client.api_usage["api-usage"]
    assert (usage.used, usage.total) == (1, 100_000)


def test_updates_by_a_job(client, account):
    """The client makes a job, sends its file, waits for its end, and reads which rows were refused."""
    ids = [account.add_opportunity(Amount=1)["Id"] for _ in range(3)]
    rows = [{"Id": one, "Amount": 20 + at, "Discount__c": 99 if at == 1 else 5} for at, one in enumerate(ids)]
    (ended,) = client.bulk2.Opportunity.update(records=rows)
    assert (ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == (3, 1)
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in client.bulk2.Opportunity.get_failed_records(ended["job_id"])
    assert [float(account.opportunity(one)["Amount"]) for one in ids] == [20, 1, 22]


def test_updates_by_batches(client, account):
    """The client makes a job of Bulk API 1.0, adds batches, and reads a result for each row, in their order."""
    ids = [account.add_opportunity(Amount=1)["Id"] for _ in range(3)]
    rows = [{"Id": one, "Amount": 20 + at, "Discount__c": 99 if at == 1 else 5} for at, one in enumerate(ids)]
    first, refused, last = client.bulk.Opportunity.update(rows, batch_size=2)
    assert [first, last] == [{"id": one, "success": True, "created": False, "errors": []} for one in (ids[0], ids[2])]
    assert (refused["id"], refused["success"], refused["created"]) == (None, False, False)
    assert [one["statusCode"] for one in refused["errors"]] == ["FIELD_CUSTOM_VALIDATION_EXCEPTION"]
    assert [float(account.opportunity(one)["Amount"]) for one in ids] == [20, 1, 22]


def test_batches_need_a_session(client, account):
    """A job is refused in the words of Bulk API 1.0 when its session has ended."""
    account.tokens.end_sessions()
    with pytest.raises(SalesforceMalformedRequest, match="InvalidSessionId"):
        client.bulk.Opportunity.update([{"Id": account.add_opportunity()["Id"], "Amount": 5}])
