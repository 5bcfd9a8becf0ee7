"""A user's test that replaces the HTTP library sends nothing: its mocks are used, or the call is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from unittest import mock

import pytest
import requests
import responses
import vcr
from requests.adapters import BaseAdapter, HTTPAdapter

from airflow_provider_crm.exceptions import ConfigurationError, RejectedError, TransientError
from airflow_provider_crm.hooks.crm import CrmHook

RECORD = {"id": "oppo_1", "note": "of the mock"}


@pytest.fixture
def session(crm_sandbox):
    """A session whose server counts what really comes."""
    crm_sandbox.close.add_opportunity("oppo_1")
    with CrmHook.for_connection("close_default").session as session:
        yield session


@pytest.fixture
def address(session):
    """Where the opportunity is."""
    return f"{session.account.origin}/api/v1/opportunity/oppo_1/"


def answer(body, status=200):
    """A ready answer, as a test makes one by hand."""
    made = requests.Response()
    made.status_code = status
    made._content = json.dumps(body).encode()
    return made


class Mounted(BaseAdapter):
    """An adapter of a test."""

    def __init__(self, make):
        super().__init__()
        self.make, self.seen = make, []

    def send(self, request, **kwargs):
        """Answer by itself."""
        self.seen.append((request.method, request.url, kwargs["timeout"]))
        return self.make()

    def close(self):
        """Nothing is open."""


def test_responses(session, address, crm_sandbox):
    """The library `responses` answers writes and reads, refusals and unknown addresses; nothing is sent."""
    with responses.RequestsMock() as mocked:
        mocked.put(address, json=RECORD)
        mocked.get(address, json={"error": "no"}, status=400)
        mocked.get(
            f"{session.account.origin}/api/v1/me/", json={"id": "u", "organizations": [{"id": "orga_of_the_mock"}]}
        )
        hook = CrmHook.for_connection("close_default")
        assert hook.update_opportunity("oppo_1", {"note": "of the mock"}) == RECORD
        with pytest.raises(RejectedError):
            session.read("oppo_1")
        assert mocked.calls[1].request.headers["Authorization"].startswith("Basic ")
    assert crm_sandbox.audit.calls == []


def test_responses_without_an_answer(session, crm_sandbox):
    """A call that no mock expects fails with the mock's own words."""
    with responses.RequestsMock(), pytest.raises(TransientError, match="Connection refused by Responses"):
        session.probe()
    assert crm_sandbox.audit.calls == []


def test_vcr_records_and_plays(session, crm_sandbox, tmp_path):
    """A cassette records the first run, also over a connection that was open before, and plays it alone."""
    session.read("oppo_1")
    with vcr.use_cassette(str(tmp_path / "read.yaml"), filter_headers=["authorization"]) as recorded:
        first = session.read("oppo_1")
    assert (len(recorded), len(crm_sandbox.audit.calls)) == (1, 2)
    with vcr.use_cassette(str(tmp_path / "read.yaml"), record_mode="none") as played:
        assert session.read("oppo_1") == first
    assert (played.play_count, len(crm_sandbox.audit.calls)) == (1, 2)
    session.read("oppo_1")
    assert len(crm_sandbox.audit.calls) == 3


def test_vcr_from_the_first_import_on(crm_sandbox, tmp_path):
    """Also where the package is imported inside the cassette its calls are recorded, and real ones follow later."""
    crm_sandbox.close.add_opportunity("oppo_1")
    code = f"""
import vcr
def session():
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.vendors import VENDORS
    from airflow_provider_crm.vendors.credentials import Credentials
    return Session(Account(VENDORS["close"], {crm_sandbox.url!r}, Credentials({crm_sandbox.close.api_key!r})))
for _ in range(2):
    with vcr.use_cassette({str(tmp_path / "first.yaml")!r}) as cassette:
        session().read("oppo_1")
print(len(cassette), cassette.play_count)
session().read("oppo_1")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), len(crm_sandbox.audit.calls)) == (["1", "1"], 2)


@pytest.mark.parametrize("prefix", ["http://", "http://127.0.0.1", None])
@pytest.mark.parametrize("raw", [False, True])
def test_a_mounted_adapter(session, address, crm_sandbox, prefix, raw):
    """Whatever adapter is mounted for the address is asked, with the session's timeout; nothing is sent."""

    def made():
        if not raw:
            return answer(RECORD)
        import io

        from urllib3 import HTTPResponse

        response = requests.Response()
        response.status_code, response.raw = (
            200,
            HTTPResponse(io.BytesIO(json.dumps(RECORD).encode()), preload_content=False),
        )
        return response

    adapter = Mounted(made)
    session.http.mount(prefix or address, adapter)
    assert session.read("oppo_1") == RECORD
    assert (adapter.seen, crm_sandbox.audit.calls) == ([("GET", address, session.account.timeout)], [])


@pytest.mark.parametrize("autospec", [False, True])
@pytest.mark.parametrize("target", ["class", "session", "adapter class"])
def test_a_replaced_send(session, crm_sandbox, target, autospec):
    """`Session.send`, of the class or of one session, and `HTTPAdapter.send` are used as they are."""
    owner = {"class": requests.Session, "session": session.http, "adapter class": HTTPAdapter}[target]
    with mock.patch.object(owner, "send", autospec=autospec, return_value=answer(RECORD)) as send:
        assert session.read("oppo_1") == RECORD
    assert (send.call_count, crm_sandbox.audit.calls) == (1, [])


@pytest.mark.parametrize("name", ["request", "get", "put", "post", "patch"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_replaced_method_that_is_not_used(session, crm_sandbox, name, whole):
    """What calls do not go through is refused: a test that replaces it would make real writes."""
    owner = requests.Session if whole else session.http
    with (
        mock.patch.object(owner, name),
        pytest.raises(ConfigurationError, match=rf"Session\.{name} was replaced") as refused,
    ):
        session.read("oppo_1")
    assert (refused.value.code, crm_sandbox.audit.calls) == ("REPLACED", [])
    assert session.read("oppo_1")["id"] == "oppo_1"


def test_a_send_that_returns_no_answer(session, crm_sandbox):
    """A mock that returns a mock is named, and what to return instead."""
    with mock.patch("requests.Session.send"), pytest.raises(ConfigurationError, match=r"MagicMock.*requests\.Response"):
        session.read("oppo_1")
    assert crm_sandbox.audit.calls == []


def test_an_instrumented_session_is_none_that_was_replaced(session, crm_sandbox, monkeypatch):
    """What traces calls wraps the methods and passes them on: those calls are made, and traced."""
    import functools

    traced = []

    def wrap(method):
        @functools.wraps(method)
        def wrapper(*args, **kwargs):
            traced.append(method.__name__)
            return method(*args, **kwargs)

        return wrapper

    for name in ("send", "request"):
        monkeypatch.setattr(requests.Session, name, wrap(getattr(requests.Session, name)))
    assert session.read("oppo_1")["id"] == "oppo_1"
    assert (traced, len(crm_sandbox.audit.calls)) == (["send"], 1)


def test_errors_of_mocks(session, crm_sandbox):
    """A mock that raises what `requests` raises tests how a task fails: by the same errors as over the wire."""
    for raised, code in (
        (requests.ReadTimeout("slow"), "TIMEOUT"),
        (requests.ConnectionError("down"), "CONNECTION_CUT"),
    ):
        with mock.patch("requests.Session.send", side_effect=raised), pytest.raises(TransientError) as failed:
            session.probe()
        assert failed.value.code == code
