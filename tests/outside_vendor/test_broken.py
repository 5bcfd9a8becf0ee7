"""Vendors that cannot be used, beside one that can: in discovery, in the form, in the log, and where they are needed.

One interpreter sees all of them at once, as an Airflow would.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from textwrap import dedent

import pytest

from airflow_provider_crm.vendors.credentials import COMMON_EXTRA
from tests.outside_vendor.distributions import ACME, install, variant

PROBLEMS = {
    "bolt": r"The vendor 'bolt' \(bolt_crm\.vendor:VENDOR\) of the distribution airflow-provider-bolt 1\.0\.0 was "
    r"written for API version 2, and airflow-provider-crm \S+ has API version 1\. Upgrade airflow-provider-crm\.",
    "cask": r"The vendor 'cask' \(cask_crm\.vendor:VENDOR\) of the distribution airflow-provider-cask 1\.0\.0 cannot "
    r"be loaded \(ImportError: cannot import name 'gone' .*\)\. Install a version of airflow-provider-cask that fits "
    r"airflow-provider-crm \S+, or uninstall it\.",
}
LOOK = """
import json, logging, os
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
from airflow.providers_manager import ProvidersManager
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

manager = ProvidersManager()
hooks = {name: None if hook is None else hook.hook_name for name, hook in manager.hooks.items()}
forms = {one.connection_type: one for one in HookMetaService.hook_meta_data()}

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.sandbox import Sandbox, installed_apis
from airflow_provider_crm.ui.addresses import crm_record_url
from airflow_provider_crm.queries.values import Values
from airflow_provider_crm.vendors import VENDORS

tests, errors = {}, {}
for name in ("bolt", "cask"):
    tests[name] = CrmHook.get_connection(f"{name}_default").get_hook().test_connection()
    try:
        CrmHook.for_connection(f"{name}_default", ledger_conn_id=None)
    except CrmError as err:
        errors[name] = str(err)
values = Values(frozenset({"contact_email"}))
page = {
    name: [crm_record_url(f"{name}:api.{name}.example:acc_1", "1"),
           values.shown(f"{name}:api.{name}.example:acc_1", "amount", "5").text]
    for name in ("acme", "bolt", "cask")
}
with Sandbox(apis=installed_apis()) as sandbox:
    sandbox.account("acme").add_opportunity("deal_1")
    os.environ["AIRFLOW_CONN_ACME_DEFAULT"] = sandbox.connection_uris()["acme_default"]
    hook = CrmHook.for_connection("acme_default", ledger_conn_id=None)
    written = hook.update_opportunity("deal_1", {"deal_value": 5})["amount"]
form = forms["acme"]
print(json.dumps({
    "vendors": list(VENDORS), "hooks": hooks, "forms": sorted({"acme", "bolt", "cask", "raze"} & forms.keys()),
    "form": [form.hook_name, list(form.extra_fields), form.standard_fields.password.title,
             form.standard_fields.host.placeholder],
    "providers": [name for name in manager.providers if name.startswith("airflow-provider-")],
    "tests": tests, "errors": errors, "page": page, "written": written,
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return what an interpreter sees in which Acme, a vendor for a newer package and a torn one are installed."""
    folder = tmp_path_factory.mktemp("site")
    newer = variant(tmp_path_factory.mktemp("newer"), "bolt", "api_version = 1", "api_version = 2")
    torn = variant(
        tmp_path_factory.mktemp("torn"),
        "cask",
        "from airflow_provider_crm.vendors import limit_headers",
        "from airflow_provider_crm.vendors import gone, limit_headers",
    )
    for source in (ACME, newer, torn):
        install(source, folder)
    connections = {
        f"AIRFLOW_CONN_{name}_DEFAULT": json.dumps({"conn_type": name.lower(), "password": "key"})
        for name in ("ACME", "BOLT", "CASK")
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(LOOK)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **connections, "PYTHONPATH": os.pathsep.join((str(folder), str(ACME.parents[2])))},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"log": done.stderr}


def test_airflow_lists_all_of_them(seen):
    """No provider breaks the discovery of others; each connection type has its hook, and can be chosen in the form."""
    names = ["airflow-provider-acme", "airflow-provider-bolt", "airflow-provider-cask", "airflow-provider-crm"]
    assert seen["providers"] == names
    hooks = {name: seen["hooks"][name] for name in ("acme", "bolt", "cask", "close")}
    assert hooks == {"acme": "Acme CRM", "bolt": "Bolt CRM", "cask": "Cask CRM", "close": "Close"}
    assert seen["forms"] == ["acme", "bolt", "cask", "raze"]


def test_the_form_is_the_vendors_own(seen):
    """It has the vendor's label of the key, its address, and the extra fields that every vendor has."""
    assert seen["form"] == ["Acme CRM opportunities", [*COMMON_EXTRA], "API key", "https://api.acme.example"]


def test_only_those_that_can_be_used_are_vendors(seen):
    """The others work as if the broken ones were not installed."""
    assert (seen["vendors"], seen["written"]) == (["close", "raze", "hubspot", "crm_salesforce", "acme"], 5)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_problem_is_told_where_it_matters(seen, name):
    """The test of the connection fails with what to do about it, and so does a task; the log names it once."""
    ok, message = seen["tests"][name]
    assert not ok
    assert re.fullmatch(PROBLEMS[name], message), message
    assert seen["errors"][name] == f"Connection '{name}_default' is of type '{name}': {message}"
    lines = [line for line in seen["log"].splitlines() if f"'{name}'" in line]
    assert lines == [f"ERROR airflow_provider_crm.vendors {message}"]


def test_pages_show_what_the_ledger_has_of_them(seen):
    """Values of a vendor that cannot be used are shown as they are stored, without a link."""
    assert seen["page"] == {
        "acme": ["https://app.acme.example/deals/1", "5.00"], "bolt": [None, "5"], "cask": [None, "5"],
    }  # fmt: skip
