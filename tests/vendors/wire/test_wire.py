"""Close, Raze and HubSpot are called byte for byte as they were when these calls were recorded.

Each scenario writes down what it sent, and that is the file of its name in `recordings/`. If a change of what is sent
is meant, record again and read the difference: `python -m tests.vendors.wire.record`.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from tests.vendors.wire import close_fields, close_runs, hubspot_runs, raze_fields, raze_runs
from tests.vendors.wire.crm import RECORD, Crm
from tests.vendors.wire.record import RECORDING
from tests.vendors.wire.recorder import Recorder

RECORDINGS = Path(__file__).with_name("recordings")
SCENARIOS = {
    name: function
    for module in (close_fields, close_runs, hubspot_runs, raze_fields, raze_runs)
    for name, function in vars(module).items()
    if inspect.isfunction(function) and name.partition("_")[0] in RECORD
}


@pytest.fixture
def fernet(monkeypatch):
    """Give Airflow the key that OAuth tokens need."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    yield
    get_fernet.cache_clear()


@pytest.mark.usefixtures("fernet")
@pytest.mark.parametrize("name", SCENARIOS)
def test_each_call_is_sent_as_it_was_recorded(name, crm_sandbox, tmp_path, monkeypatch):
    """Method, path, query, headers in their order and spelling, and the body are the recorded ones, call by call."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    with Recorder(crm_sandbox.url) as recorder:
        crm = Crm(name.partition("_")[0], crm_sandbox, recorder, monkeypatch.setenv)
        SCENARIOS[name](crm)
        crm.close()
    sent, file = f"{inspect.getdoc(SCENARIOS[name])}\n\n{crm.text}", RECORDINGS / f"{name}.txt"
    if os.environ.get(RECORDING):
        file.write_text(sent, encoding="utf-8")
    assert sent == file.read_text(encoding="utf-8")


def test_every_recording_has_a_scenario():
    """No recording is left behind, and none is missing."""
    assert {path.stem for path in RECORDINGS.iterdir()} == SCENARIOS.keys()


def test_a_recording_names_no_machine():
    """Addresses of this machine and tokens of one run are not in the files."""
    texts = [path.read_text(encoding="utf-8") for path in RECORDINGS.iterdir()]
    assert [text for text in texts if "127.0.0.1" in text or "localhost" in text] == []
    assert all("Host: {host}\n" in text for text in texts)
