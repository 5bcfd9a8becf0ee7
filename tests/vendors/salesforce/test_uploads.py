"""The file of a Bulk API 2.0 job, and what its answers say."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import requests

from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.vendors.calls import UploadState
from airflow_provider_crm.vendors.salesforce import VENDOR
from airflow_provider_crm.vendors.salesforce.uploads import header, line, read_status

RECORDED = Path(__file__).parent / "recorded"
ID = "006ak000000001AAAA"


def answer(body):
    """An answer of Salesforce."""
    made = requests.Response()
    made.status_code, made.raw = 200, io.BytesIO(json.dumps(body).encode())
    return made


def cells(values, keys=None):
    """The row as a reader of CSV sees it."""
    keys = [] if keys is None else keys
    text = line(ID, json.dumps(values), keys)
    return dict(zip(("Id", *keys), next(csv.reader(io.StringIO(text))), strict=True))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("plain", "plain"),
        ('a, "b"\nc', 'a, "b"\nc'),
        (None, "#N/A"),
        ("", "#N/A"),
        (True, "true"),
        (12, "12"),
        ("2026-12-01", "2026-12-01"),
        ("a;b", "a;b"),
        ("=1+1", "=1+1"),
    ],
)
def test_a_value_is_a_cell(value, cell):
    """Each value is written as Salesforce reads it, and None clears the field."""
    assert cells({"NextStep": value}) == {"Id": ID, "NextStep": cell}


def test_a_number_keeps_its_digits():
    """No number passes through a float."""
    keys = []
    assert line(ID, '{"Amount": 12345678901234567.10}', keys) == f"{ID},12345678901234567.10"


def test_a_field_that_a_row_leaves_alone():
    """Its cell is empty, which changes nothing; columns come as rows need them."""
    keys = []
    assert cells({"Amount": 1}, keys) == {"Id": ID, "Amount": "1"}
    assert cells({"NextStep": "x"}, keys) == {"Id": ID, "Amount": "", "NextStep": "x"}
    assert header(keys) == "Id,Amount,NextStep"


def test_a_text_that_stands_for_nothing():
    """A row that wants the very text by which a file clears a field is in no file."""
    assert line(ID, '{"NextStep": "#N/A"}', []) is None


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("in-progress", UploadState.RUNNING, ""),
        ("success", UploadState.ENDED, ""),
        ("partial-failure", UploadState.ENDED, ""),
        (
            "complete-failure",
            UploadState.ENDED,
            "InvalidBatch : Field name not found : StageName_invalid_field_on_purpose",
        ),
    ],
)
def test_recorded_states(name, state, reason):
    """The states of real jobs."""
    body = json.loads((RECORDED / f"job-{name}.json").read_text())
    status = read_status(VENDOR, answer(body))
    assert (status.id, status.state, status.reason) == (body["id"], state, reason)


@pytest.mark.parametrize("body", [None, [], {}, {"id": "750"}, {"id": 1, "state": "Open"}, {"id": "x", "state": "New"}])
def test_other_answers_are_no_states(body):
    """A proxy's answer is a failure of the way there."""
    with pytest.raises(TransientError):
        read_status(VENDOR, answer(body))
