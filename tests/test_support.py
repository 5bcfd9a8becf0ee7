"""The page of support and compatibility: what it promises exists, and a run connects to no place beyond it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from airflow.sdk import BaseHook, BaseOperator

from airflow_provider_crm import exceptions
from airflow_provider_crm.provider_info import get_provider_info
from airflow_provider_crm.sync.plan_run import _XCOMS
from airflow_provider_crm.vendors import VENDORS
from docs.addresses import project_urls, public_address

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| `(airflow_provider_crm\.[\w.]+)` \| (.+) \|$", PAGE)
IMPORTS = {module: re.findall(r"`(\w+)`", names) for module, names in ROWS}
_TRACED = """
import json, sys
seen = {"connected": [], "looked_up": []}

def note(event, args):
    if event == "socket.connect":
        seen["connected"].append(list(args[1]) if isinstance(args[1], tuple) else args[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        seen["looked_up"].append(args[0])

sys.addaudithook(note)
from tests.structure import trace_row
trace_row()
print(json.dumps(seen))
"""


@pytest.mark.parametrize("module", IMPORTS)
def test_each_public_name_can_be_imported(module):
    """Each name of the table is in its module."""
    missing = [name for name in IMPORTS[module] if not hasattr(importlib.import_module(module), name)]
    assert IMPORTS[module]
    assert missing == []


def test_all_errors_are_public():
    """The table lists every error of the tree, as users catch them."""
    assert IMPORTS["airflow_provider_crm.exceptions"] == sorted(exceptions.__all__)


def test_what_type_checkers_are_shown_is_public():
    """The example of users' code, which mypy checks, imports no name that is not promised."""
    text = (ROOT / "tests" / "typing" / "public_surface.py").read_text(encoding="utf-8")
    used = re.findall(r"(?m)^from (airflow_provider_crm[\w.]*) import (.+)$", text)
    names = {(module, name.strip()) for module, listed in used for name in listed.split(",")}
    assert names - {(module, name) for module, listed in IMPORTS.items() for name in listed} == set()


def test_connection_types_and_xcom_keys_are_those_of_the_page():
    """The page names each connection type of the package, and each key that a plan pushes."""
    assert all(f"`{name}`" in PAGE for name in VENDORS if type(VENDORS[name]).__module__.startswith("airflow_provider"))
    assert all(f"`{key}`" in PAGE for key in (*_XCOMS, "return_value"))


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="an sdist has no constraints of Airflow")
def test_supported_minors_of_airflow_are_those_that_ci_installs():
    """The minors of the table are those whose constraints CI installs, and the lowest is the one that is declared."""
    (row,) = re.findall(r"(?m)^\| Airflow \|([^:]+):", (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8"))
    minors = {re.match(r"airflow-(\d\.\d+)", path.name)[1] for path in (ROOT / ".ci" / "constraints").iterdir()}
    assert set(re.findall(r"\d\.\d+", row)) == minors
    lowest = min(minors, key=lambda minor: [int(number) for number in minor.split(".")])
    assert f'"apache-airflow>={lowest}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_a_run_connects_to_the_crm_and_to_nothing_else():
    """No telemetry: a run that writes a row connects to the CRM of its connection only, and looks up no name."""
    done = subprocess.run(
        [sys.executable, "-c", _TRACED], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert {address[0] for address in seen["connected"]} == {"127.0.0.1"}
    assert len({address[1] for address in seen["connected"]}) == 1  # the sandbox's port
    assert set(seen["looked_up"]) <= {"127.0.0.1", None}


REGISTRY = ROOT / ".airflow-registry.yaml"
SECTIONS = {"hooks": BaseHook, "operators": BaseOperator, "transfers": BaseOperator}
"""The sections of the registry's file that this package has, with the base of their classes."""


@pytest.fixture(scope="module")
def entry():
    """What the file for Airflow's provider registry says."""
    if not REGISTRY.exists():
        pytest.skip("an sdist has no such file")
    return yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))


@pytest.mark.parametrize("section", SECTIONS)
def test_classes_of_the_registry_exist_and_none_is_missing(entry, section):
    """Each listed class can be imported and is of its section's kind, and each public one is listed."""
    listed = {one["module"]: one for one in entry[section]}
    for path, one in listed.items():
        module, _, name = path.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), name), SECTIONS[section])
        assert one.keys() == {"module", "description"}
    package = f"airflow_provider_crm.{section}."
    public = {f"{module}.{name}" for module, names in IMPORTS.items() for name in names if module.startswith(package)}
    assert set(listed) == public - {"airflow_provider_crm.hooks.crm.CrmHook"}  # the base of the vendors' hooks


def test_the_registry_shows_the_same_as_the_package(entry):
    """Name and summary are those of the package; addresses are there if the repository has one, and only then."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert entry["package-name"] == project["name"] == get_provider_info()["package-name"]
    assert project["description"] == f"Apache Airflow provider that {entry['description'].replace('W', 'w', 1)}"
    titles = {VENDORS[one["connection-type"]].display_name for one in get_provider_info()["connection-types"]}
    assert all(title in entry["display-name"] for title in titles)
    urls = project_urls(public_address())
    expected = {"docs-url": urls["Documentation"], "source-url": urls["Source"]} if urls else {}
    known = {"package-name", "display-name", "description", *SECTIONS}
    assert {key: value for key, value in entry.items() if key not in known} == expected
