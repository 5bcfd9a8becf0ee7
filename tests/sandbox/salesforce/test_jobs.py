"""The sandbox's jobs of Bulk API 2.0."""

from __future__ import annotations

import pytest
import requests

JOB = {"object": "Opportunity", "operation": "update", "contentType": "CSV", "lineEnding": "LF"}


class Jobs:
    """The calls for jobs."""

    def __init__(self, sandbox):
        self._url = f"{sandbox.url}/services/data/v62.0/jobs/ingest"
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {sandbox.salesforce.access_token}"

    def call(self, method, path="", **options):
        """One call."""
        return self._http.request(method, self._url + path, **options)

    def file(self, job, text, content_type="text/csv"):
        """Send a file."""
        return self.call("PUT", f"/{job}/batches", data=text.encode(), headers={"Content-Type": content_type})

    def begin(self, job, state="UploadComplete"):
        """Set the state."""
        return self.call("PATCH", f"/{job}", json={"state": state})

    def made(self, text):
        """A job that has begun."""
        job = self.call("POST", json=JOB).json()["id"]
        assert (self.file(job, text).status_code, self.begin(job).status_code) == (201, 200)
        return job


@pytest.fixture
def jobs(sandbox):
    """The calls for jobs."""
    return Jobs(sandbox)


def code_of(response):
    """Status and code of a refusal."""
    return response.status_code, response.json()[0]["errorCode"]


def test_rows_are_written_part_by_part(jobs, sandbox, account):
    """Until all are, the job is in progress, and has no results; then each row is in one of them."""
    ids = [account.add_opportunity(Amount=1, NextStep="x")["Id"] for _ in range(3)]
    sandbox.set(salesforce_job_rows=2)
    job = jobs.made(f"Id,Amount,NextStep,Discount__c\n{ids[0]},2.50,#N/A,\n{ids[1]},3,,99\n{ids[2][:15]},4,,\n")
    assert jobs.call("GET", f"/{job}").json()["state"] == "InProgress"
    assert code_of(jobs.call("GET", f"/{job}/failedResults")) == (400, "INVALIDJOBSTATE")
    ended = jobs.call("GET", f"/{job}").json()
    assert (ended["state"], ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == ("JobComplete", 3, 1)
    held = [account.opportunity(one) for one in ids]
    assert [(float(one["Amount"]), one["NextStep"]) for one in held] == [(2.5, None), (1, "x"), (4, "x")]
    assert ids[1] in jobs.call("GET", f"/{job}/failedResults").text
    assert jobs.call("GET", f"/{job}/successfulResults").text.splitlines()[1].startswith(f"{ids[0]},false,")
    assert jobs.call("GET", f"/{job}/unprocessedrecords").text == "Id,Amount,NextStep,Discount__c\n"
    assert jobs.call("DELETE", f"/{job}").status_code == 204
    assert code_of(jobs.call("GET", f"/{job}")) == (404, "NOT_FOUND")


def test_a_job_takes_one_file_and_begins_once(jobs, account):
    """A second file, and a second beginning, are refused; so is the end of what has not begun."""
    record_id = account.add_opportunity()["Id"]
    job = jobs.call("POST", json=JOB).json()["id"]
    assert code_of(jobs.begin(job)) == (400, "INVALIDJOBSTATE")
    assert jobs.file(job, f"Id,Amount\n{record_id},5\n").status_code == 201
    assert code_of(jobs.file(job, "Id,Amount\n")) == (400, "INVALIDBATCH")
    assert code_of(jobs.call("DELETE", f"/{job}")) == (400, "INVALIDJOBSTATE")
    assert jobs.begin(job, "Aborted").json()["state"] == "Aborted"
    assert code_of(jobs.begin(job)) == (400, "INVALIDJOBSTATE")
    assert jobs.call("GET", f"/{job}/unprocessedrecords").text == f"Id,Amount\n{record_id},5\n"


@pytest.mark.parametrize("columns", ["Id,No__c", "Amount", ""])
def test_columns_that_there_are_not(jobs, columns):
    """The job fails as a whole."""
    shown = jobs.call("GET", f"/{jobs.made(columns)}").json()
    assert (shown["state"], shown["errorMessage"][:12]) == ("Failed", "InvalidBatch")


@pytest.mark.parametrize(
    "changed", [{"object": "Account"}, {"operation": "delete"}, {"contentType": "XML"}, {"lineEnding": "CRLF"}]
)
def test_other_jobs_are_refused(jobs, changed):
    """The sandbox says so for what it does not have."""
    assert code_of(jobs.call("POST", json=JOB | changed)) == (400, "INVALIDJOB")


def test_wrong_calls(jobs, sandbox):
    """Another media type, another part of a job, and a user without jobs."""
    job = jobs.call("POST", json=JOB).json()["id"]
    assert code_of(jobs.file(job, "Id\n", "application/json")) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert code_of(jobs.call("PUT", f"/{job}/other", data=b"Id\n")) == (404, "NOT_FOUND")
    assert code_of(jobs.call("GET", f"/{job}/other")) == (404, "NOT_FOUND")
    sandbox.set(salesforce_allows_jobs=False)
    assert code_of(jobs.call("POST", json=JOB)) == (400, "FEATURENOTENABLED")


def test_new_records(jobs, account):
    """A job may create records."""
    job = jobs.call("POST", json=JOB | {"operation": "insert"}).json()["id"]
    jobs.file(job, "Name,StageName,CloseDate\nNew,Proposal,2026-12-31\n")
    jobs.begin(job)
    jobs.call("GET", f"/{job}")
    record_id, created, name = jobs.call("GET", f"/{job}/successfulResults").text.splitlines()[1].split(",")[:3]
    assert (account.opportunity(record_id)["Name"], created, name) == ("New", "true", "New")
