"""The sandbox's jobs of Bulk API 1.0."""

from __future__ import annotations

import pytest
import requests

JOB = {"object": "Opportunity", "operation": "update", "contentType": "JSON", "concurrencyMode": 0}


class Batches:
    """The calls for jobs and their batches."""

    def __init__(self, sandbox):
        self._url = f"{sandbox.url}/services/async/59.0/job"
        self._http = requests.Session()
        self._http.headers["X-SFDC-Session"] = sandbox.salesforce.access_token

    def get(self, path):
        """Read."""
        return self._http.get(self._url + path)

    def post(self, path, body):
        """Write JSON."""
        return self._http.post(self._url + path, json=body)

    def job(self):
        """Open a job, and return its path."""
        made = self.post("", JOB)
        assert made.status_code == 201
        return f"/{made.json()['id']}"

    def batch(self, job, rows):
        """Add a batch, and return its path."""
        added = self.post(f"{job}/batch", rows)
        assert (added.status_code, added.json()["state"]) == (201, "Queued")
        return f"{job}/batch/{added.json()['id']}"


@pytest.fixture
def batches(sandbox):
    """Return the calls for jobs and their batches."""
    return Batches(sandbox)


def code_of(response):
    """Return status and code of a refusal."""
    return response.status_code, response.json()["exceptionCode"]


def test_rows_are_written_part_by_part(batches, sandbox, account):
    """Until all are, the batch is in progress and has no results; closing the job does not stop it."""
    made = [account.add_opportunity(Amount=1)["Id"] for _ in range(3)]
    sandbox.set(salesforce_job_rows=2, salesforce_locked_ids={made[0]})
    job = batches.job()
    batch = batches.batch(job, [{"Id": one, "Amount": 7} for one in (*made, "006000000000000")])
    assert batches.post(job, {"state": "Closed"}).json()["state"] == "Closed"
    assert code_of(batches.post(f"{job}/batch", [{"Id": made[0]}])) == (400, "InvalidJobState")
    assert batches.get(batch).json()["state"] == "InProgress"
    assert [account.opportunity(one)["Amount"] for one in made] == [1, 7, 1]
    assert code_of(batches.get(f"{batch}/result")) == (400, "InvalidBatch")
    shown = batches.get(job).json()  # goes on with its batches, too
    assert (shown["numberBatchesCompleted"], shown["numberRecordsProcessed"]) == (1, 4)
    ended = batches.get(batch).json()
    assert (ended["state"], ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == ("Completed", 4, 2)
    codes = [row["errors"][0]["statusCode"] if row["errors"] else None for row in batches.get(f"{batch}/result").json()]
    assert codes == ["UNABLE_TO_LOCK_ROW", None, None, "ENTITY_IS_DELETED"]


def test_a_batch_that_fails(batches, sandbox, account):
    """No row of it is written, and it has no results."""
    record_id = account.add_opportunity(Amount=1)["Id"]
    job = batches.job()
    sandbox.set(salesforce_job_failure="InvalidBatch : Field name not found : No__c")
    added = batches.post(f"{job}/batch", [{"Id": record_id, "Amount": 2}]).json()
    shown = batches.get(f"{job}/batch/{added['id']}").json()
    assert (shown["state"], shown["stateMessage"][:12]) == ("Failed", "InvalidBatch")
    assert account.opportunity(record_id)["Amount"] == 1


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("", {**JOB, "object": "Lead"}, (400, "InvalidJob")),
        ("/750000000000000", {"state": "Closed"}, (400, "InvalidJob")),
        ("/750000000000000/no/path/at/all", {}, (404, "NotFound")),
    ],
)
def test_wrong_calls(batches, path, body, refusal):
    """Each is refused in the words of Bulk API 1.0."""
    assert code_of(batches.post(path, body)) == refusal


def test_a_batch_is_a_list_of_rows(batches, sandbox):
    """Anything else is refused, and so is a job for a user who may make none."""
    job = batches.job()
    assert code_of(batches.post(f"{job}/batch", {"Id": "x"})) == (400, "InvalidBatch")
    assert code_of(batches.get(f"{job}/batch/751000000000000")) == (400, "InvalidBatch")
    sandbox.set(salesforce_allows_jobs=False)
    assert code_of(batches.post("", JOB)) == (400, "FeatureNotEnabled")


def test_calls_count_as_calls_of_the_day(batches, sandbox):
    """The limit of the day refuses them, too, and an injected error has their form."""
    sandbox.set(salesforce_daily_limit=2)
    job = batches.job()
    assert batches.get(job).headers["sforce-limit-info"] == "api-usage=2/2"
    assert code_of(batches.get(job)) == (403, "ExceededQuota")
    sandbox.set(fault_rates={"http_503": 1.0})
    assert code_of(batches.get(job)) == (503, "SERVER_UNAVAILABLE")
