"""APIs of other distributions are found by their entry points, and served wherever a sandbox serves all."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest

from airflow_provider_crm.sandbox import installed_apis
from tests.sandbox.conftest import plain_session


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with entry points and modules, for the time of the test."""

    def installed(points, **modules):
        information = tmp_path / "acme_crm-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-crm\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (information / "entry_points.txt").write_text("\n".join(["[airflow_provider_crm.sandbox_apis]", *lines, ""]))
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))

    return installed


def test_an_installed_api_is_served_by_the_fixture(install, request):
    """The fixture `crm_sandbox` serves the API of an entry point, and sets its connection."""
    install({"acme": "tests.sandbox.acme:ACME"})
    sandbox = request.getfixturevalue("crm_sandbox")
    with plain_session() as session:
        sandbox.account("acme").add_opportunity("deal_1")
        assert session.get(f"{sandbox.url}/acme/deals/deal_1", timeout=5).status_code == 200
    assert json.loads(os.environ["AIRFLOW_CONN_ACME_DEFAULT"])["host"] == f"{sandbox.url}/acme"


def test_an_installed_api_is_served_by_the_command(install):
    """`python -m airflow_provider_crm.sandbox` prints the connection and examples of every installed API."""
    install({"acme": "tests.sandbox.acme:ACME"})
    command = [sys.executable, "-m", "airflow_provider_crm.sandbox", "--port", "0", "--opportunities", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(11)]
        process.kill()
    assert lines[0].startswith("# Close, Raze, HubSpot, Salesforce and Acme are at http://127.0.0.1:")
    assert (lines[5].split("=")[0], lines[10]) == (
        "export AIRFLOW_CONN_ACME_DEFAULT",
        "# Acme opportunities: deal_1, deal_2\n",
    )


UNBUILDABLE = """
from dataclasses import replace
from tests.sandbox.acme import ACME

def build(context):
    raise RuntimeError("no licence")

API = replace(ACME, name="acme2", switches=ACME.switches.__mro__[1], roots=("acme2",), build=build)
"""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:API", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("tests.sandbox.acme:NOTHING", "has no attribute 'NOTHING'"),
        ("tests.sandbox.acme:AcmeApi", "it is no SandboxApi, but of the type type"),
        ("broken_acme:API", "RuntimeError: no licence"),
        ("tests.sandbox.acme:ACME", "ValueError: The APIs acme and acme have the same name"),
    ],
)
def test_an_api_that_cannot_be_loaded_is_left_out_with_a_warning(install, caplog, value, reason):
    """Its name, its address and the reason are logged; the others are served."""
    install({"acme": "tests.sandbox.acme:ACME", "broken": value}, broken_acme=UNBUILDABLE)
    with caplog.at_level(logging.WARNING, "airflow_provider_crm.sandbox"):
        apis = installed_apis()
    assert [api.name for api in apis] == ["close", "raze", "hubspot", "salesforce", "acme"]
    [record] = caplog.records
    message = record.getMessage()
    assert message.startswith(f"The sandbox does not serve broken ({value}): ")
    assert (record.levelname, reason in message) == ("WARNING", True)
