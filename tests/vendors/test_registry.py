"""Claims about vendors of other distributions: found by entry points, and harmless when they cannot be used.

Each test makes small distributions in a folder, and looks at them in an interpreter of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from airflow_provider_crm.vendors import API_VERSION

GOOD = """
from airflow_provider_crm.vendors.raze import Raze

class Acme(Raze):
    name = "acme"
    display_name = "Acme CRM"
    origin = "https://api.acme.example"

VENDOR = Acme()
"""
CLASS = "class Acme(Raze):"
BROKEN = {
    "a newer API": (GOOD.replace(CLASS, f"{CLASS}\n    api_version = {API_VERSION + 1}"), "VENDOR"),
    "an older API": (GOOD.replace(CLASS, f"{CLASS}\n    api_version = {API_VERSION - 1}"), "VENDOR"),
    "no API": ("class Acme:\n    name = 'acme'\n\nVENDOR = Acme()\n", "VENDOR"),
    "an error": ("raise RuntimeError('no licence')\n", "VENDOR"),
    "a lost name": ("from airflow_provider_crm.vendors import no_such_name\n", "VENDOR"),
    "no object": (GOOD, "ACME"),
    "a class": (GOOD, "Acme"),
    "a lost member": ("class Acme:\n    name, api_version, read = 'acme', 1, 2\n\nVENDOR = Acme()\n", "VENDOR"),
    "a wrong form": (
        GOOD.replace(CLASS, f"{CLASS}\n    extra, documented_fields = {{'pin': 1}}, ('amount',)"),
        "VENDOR",
    ),
    "a member that raises": (
        GOOD.replace(CLASS, f"{CLASS}\n    extra = property(lambda self: {{}}['gone'])"),
        "VENDOR",
    ),
    "another name": (GOOD.replace('"acme"', '"acme_crm"'), "VENDOR"),
}
MESSAGES = {
    "a newer API": r"was written for API version 2, and airflow-provider-crm \S+ has API version 1\. "
    r"Upgrade airflow-provider-crm\.",
    "an older API": r"was written for API version 0, and .* has API version 1\. Upgrade acme-crm\.",
    "no API": r"has no api_version, and .* has API version 1\. Install a version of acme-crm whose vendor says "
    r"api_version = 1, or uninstall it\.",
    "an error": r"cannot be loaded \(RuntimeError: no licence\)\. Install a version of acme-crm that fits .*",
    "a lost name": r"cannot be loaded \(ImportError: cannot import name 'no_such_name' .*",
    "no object": r"cannot be loaded \(AttributeError: module 'acme_crm' has no attribute 'ACME'\)\..*",
    "a class": r"is a class: its entry point has to name an object of it\.",
    "a lost member": r"has no valid display_name, origin, .*, probe, .*\. Upgrade acme-crm, or uninstall it\.",
    "a wrong form": r"has no valid extra, documented_fields\. Upgrade acme-crm, or uninstall it\.",
    "a member that raises": r"cannot be loaded \(KeyError: 'gone'\)\. Install a version of acme-crm that fits .*",
    "another name": r"names itself 'acme_crm': its name and its entry point's name have to be the same\.",
}


def distribution(folder: Path, name: str, entries: str, **modules: str) -> None:
    """Install a distribution into a folder: its entry points of the group, and its modules by name."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[airflow_provider_crm.vendors]\n{entries}\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)


def run(folder: Path, code: str, **environment: str):
    """Return the JSON that a fresh interpreter prints, and its log; the folder's distributions are installed in it."""
    script = f"import json, logging, sys\nsys.path.insert(0, {str(folder)!r})\nlogging.basicConfig()\n{dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_vendor_of_another_distribution_is_one_of_all(tmp_path):
    """It is found by its connection type, listed after the package's own, and named in messages."""
    distribution(tmp_path, "acme-crm", "acme = acme_crm:VENDOR", acme_crm=GOOD)
    code = """
    from airflow_provider_crm.vendors import VENDORS, connection_types, problem_of
    names = [VENDORS["acme"].display_name, *VENDORS, len(VENDORS), "acme" in VENDORS, "gone" in VENDORS]
    print(json.dumps([names, connection_types(), VENDORS["acme"] is VENDORS["acme"], problem_of("acme")]))
    """
    names = ["Acme CRM", "close", "raze", "hubspot", "crm_salesforce", "acme", 5, True, False]
    expected = [names, "close, raze, hubspot, crm_salesforce or acme", True, None]
    assert run(tmp_path, code) == (expected, "")


def test_nothing_is_imported_until_it_is_asked_for(tmp_path):
    """Provider discovery, and a task of the package's own vendors, neither read entry points nor import a vendor."""
    distribution(tmp_path, "acme-crm", "acme = acme_crm:VENDOR", acme_crm=GOOD)
    code = """
    import importlib.metadata
    asked = []
    importlib.metadata.entry_points = lambda real=importlib.metadata.entry_points, **by: asked.append(1) or real(**by)
    from airflow_provider_crm.provider_info import get_provider_info
    from airflow_provider_crm.vendors import VENDORS, problem_of
    types = [one["connection-type"] for one in get_provider_info()["connection-types"]]
    seen = [types, VENDORS["raze"].name, "close" in VENDORS, problem_of("close"), len(asked), "acme_crm" in sys.modules]
    for _ in range(3):
        VENDORS.get("gone"), VENDORS.get("acme"), list(VENDORS)
    print(json.dumps([*seen, len(asked), "acme_crm" in sys.modules]))
    """
    assert run(tmp_path, code)[0] == [
        ["close", "raze", "hubspot", "crm_salesforce"],
        "raze",
        True,
        None,
        0,
        False,
        1,
        True,
    ]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_vendor_that_cannot_be_used_breaks_nothing_else(tmp_path, fault):
    """It is left out and named once in the log, with what to do; discovery, pages and other vendors go on."""
    source, name = BROKEN[fault]
    distribution(tmp_path, "acme-crm", f"acme = acme_crm:{name}", acme_crm=source)
    distribution(tmp_path, "other-crm", "other = other_crm:VENDOR", other_crm=GOOD.replace('"acme"', '"other"'))
    code = """
    from airflow_provider_crm.provider_info import get_provider_info
    from airflow_provider_crm.ui.addresses import crm_record_url
    from airflow_provider_crm.queries.values import Values
    from airflow_provider_crm.vendors import VENDORS, connection_types, problem_of
    account = "acme:api.acme.example:1"
    page = [crm_record_url(account, "1"), Values(frozenset({"notes"})).shown(account, "deal_value", "5").text]
    types = [one["connection-type"] for one in get_provider_info()["connection-types"]]
    print(json.dumps([list(VENDORS), "acme" in VENDORS, connection_types(), page, types, problem_of("acme")]))
    """
    (*seen, problem), log = run(tmp_path, code)
    own = ["close", "raze", "hubspot", "crm_salesforce"]
    assert seen == [[*own, "other"], False, "close, raze, hubspot, crm_salesforce or other", [None, "5"], own]
    text = rf"The vendor 'acme' \(acme_crm:{name}\) of the distribution acme-crm 1\.2 {MESSAGES[fault]}"
    assert re.fullmatch(text, problem), problem
    assert log == f"ERROR:airflow_provider_crm.vendors:{problem}\n"


def test_the_packages_own_vendors_win(tmp_path):
    """A distribution cannot take the place of the package's own vendor: it is ignored, with a warning."""
    distribution(tmp_path, "evil-crm", "raze = evil_crm:VENDOR", evil_crm="raise SystemExit(9)")
    code = """
    from airflow_provider_crm.vendors import VENDORS, problem_of
    print(json.dumps([list(VENDORS), type(VENDORS["raze"]).__module__, problem_of("raze")]))
    """
    seen, log = run(tmp_path, code)
    assert seen == [["close", "raze", "hubspot", "crm_salesforce"], "airflow_provider_crm.vendors.raze", None]
    assert "WARNING" in log
    assert "'raze' (evil_crm:VENDOR) of the distribution evil-crm 1.2 is ignored" in log


def test_two_vendors_of_one_name_are_both_left_out(tmp_path):
    """Which one would be used depends on the order of installation, so neither is; the problem names both."""
    distribution(tmp_path, "acme-crm", "acme = acme_crm:VENDOR", acme_crm=GOOD)
    distribution(tmp_path, "acme-fork", "acme = acme_crm:VENDOR")
    code = """
    from airflow_provider_crm.vendors import VENDORS, problem_of
    print(json.dumps([list(VENDORS), problem_of("acme")]))
    """
    problem = (
        "The distributions acme-crm and acme-fork have a vendor for connections of type 'acme' each: "
        "uninstall all but one."
    )
    assert run(tmp_path, code)[0] == [["close", "raze", "hubspot", "crm_salesforce"], problem]


def test_tasks_and_connection_tests_say_why_a_vendor_cannot_be_used(tmp_path):
    """A hook of that type raises the problem, and the connection test answers it, each with what to do."""
    source, name = BROKEN["an older API"]
    distribution(tmp_path, "acme-crm", f"acme = acme_crm:{name}", acme_crm=source)
    code = """
    from airflow_provider_crm.exceptions import ConfigurationError
    from airflow_provider_crm.hooks.connection import crm_account
    from airflow_provider_crm.hooks.crm import CrmHook

    class AcmeHook(CrmHook):
        default_conn_name, conn_type, hook_name = "acme_default", "acme", "Acme CRM"

    told = [AcmeHook().test_connection()]
    for use in (crm_account, AcmeHook.for_connection):
        try:
            use("acme_default", ledger_conn_id=None)
        except ConfigurationError as err:
            told.append(str(err))
    print(json.dumps(told))
    """
    uri = json.dumps({"conn_type": "acme", "password": "key"})
    (tested, *raised), _ = run(tmp_path, code, AIRFLOW_CONN_ACME_DEFAULT=uri, AIRFLOW_HOME=str(tmp_path))
    assert tested[0] is False
    assert tested[1].startswith("The vendor 'acme' (acme_crm:VENDOR) of the distribution acme-crm 1.2 was written for")
    assert raised == [f"Connection 'acme_default' is of type 'acme': {tested[1]}"] * 2


def test_a_hook_makes_a_session_for_a_vendor_from_outside(tmp_path):
    """A subclass of `CrmHook` is all the code that a vendor needs for connections of its type."""
    distribution(tmp_path, "acme-crm", "acme = acme_crm:VENDOR", acme_crm=GOOD)
    code = """
    from airflow_provider_crm.hooks.crm import CrmHook

    class AcmeHook(CrmHook):
        default_conn_name, conn_type, hook_name = "acme_default", "acme", "Acme CRM"

    print(json.dumps([repr(AcmeHook().session), AcmeHook().vendor.display_name]))
    """
    uri = json.dumps({"conn_type": "acme", "password": "key"})
    seen, _ = run(tmp_path, code, AIRFLOW_CONN_ACME_DEFAULT=uri, AIRFLOW_HOME=str(tmp_path))
    assert seen == ["Session(acme, https://api.acme.example)", "Acme CRM"]
