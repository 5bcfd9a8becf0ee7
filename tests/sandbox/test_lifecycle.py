"""Starting, stopping and reaching a sandbox."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import airflow_provider_crm.sandbox as package
from airflow_provider_crm.sandbox import Sandbox


def test_starts_and_stops():
    """Twenty sandboxes start, answer and stop one after another, and leave no thread."""
    before = threading.active_count()
    for _ in range(20):
        with Sandbox() as sandbox:
            requests.get(sandbox.url + "/health", timeout=5)
    assert threading.active_count() == before


def test_stop_does_not_wait_for_slow_answers():
    """Stopping cuts calls that are under way."""
    with Sandbox() as sandbox, ThreadPoolExecutor() as pool:
        sandbox.set(slow_seconds=60, fault_rates={"slow": 1.0})
        call = pool.submit(requests.get, sandbox.url + "/health", timeout=30)
        deadline = time.monotonic() + 5
        while not sandbox.audit.calls and time.monotonic() < deadline:
            time.sleep(0)
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            call.result(timeout=5)


def test_nothing_listens_after_stop():
    """After stop the port is closed, and can be taken again."""
    with Sandbox() as first:
        port = int(first.url.rpartition(":")[2])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    with Sandbox(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"


def test_port_in_use_is_an_error(sandbox):
    """A port that is taken is an OSError at start."""
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=int(sandbox.url.rpartition(":")[2])).start()


def test_records_stay_readable_after_stop():
    """Records can be read after the server has stopped."""
    with Sandbox() as sandbox:
        sandbox.close.add_opportunity("oppo_1", value=5)
    assert sandbox.close.opportunity("oppo_1")["value"] == 5


def test_url_needs_a_running_sandbox():
    """A sandbox that isn't running has no URL, and says how to start it."""
    with pytest.raises(RuntimeError, match="with statement"):
        _ = Sandbox().url


def test_connections_are_airflow_json(sandbox):
    """The connections name type, key, URL and zone in Airflow's JSON form."""
    uris = sandbox.connection_uris(timezone="Asia/Kolkata")
    keys = {
        "close": sandbox.close.api_key,
        "raze": sandbox.raze.api_key,
        "hubspot": sandbox.hubspot.access_token,
        "crm_salesforce": sandbox.salesforce.access_token,
    }
    assert {name: json.loads(value) for name, value in uris.items()} == {
        f"{vendor}_default": {
            "conn_type": vendor,
            "password": key,
            "host": sandbox.url,
            "extra": {"timezone": "Asia/Kolkata"},
        }
        for vendor, key in keys.items()
    }


def test_many_threads_are_served(sandbox):
    """Calls from many threads are all answered and all audited, once each."""

    def call(number):
        body = {"value": number}
        url = sandbox.url + "/api/v1/opportunity/oppo_1/"
        return requests.put(url, json=body, auth=(sandbox.close.api_key, ""), timeout=5).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(call, range(40)))
    values = sorted(write.fields["value"] for write in sandbox.audit.writes)
    assert (set(statuses), values) == ({200}, list(range(40)))


def test_large_body_is_read_whole(sandbox, close):
    """A body that comes in several pieces is read whole."""
    note = "x" * 500_000
    assert close.put("/opportunity/oppo_1/", {"note": note}).json()["note"] == note


def test_everything_exported_is_there():
    """`__all__` names what the package has."""
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


def test_import_is_light_and_stands_alone():
    """Importing the sandbox loads neither a web framework nor anything else of this package."""
    code = "import sys, airflow_provider_crm.sandbox; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(done.stdout.split())
    own = {name for name in loaded if name.startswith("airflow_provider_crm.")}
    assert not loaded & {"uvicorn", "fastapi", "starlette", "requests", "pandas", "airflow"}
    assert {name for name in own if not name.startswith("airflow_provider_crm.sandbox")} == set()
