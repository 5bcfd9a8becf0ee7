"""`[crm] page = False`: Airflow looks as if the page did not exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_provider_crm.operators.links import CrmRunLink
from airflow_provider_crm.provider_info import get_provider_info

_FOUND = """
import json
from airflow import plugins_manager

(plugin,) = [one for one in plugins_manager.get_plugin_info() if one["name"] == "crm"]
apps, _ = plugins_manager.get_fastapi_plugins()
print(json.dumps([[one["url_prefix"] for one in apps], [one["destination"] for one in plugin["external_views"]]]))
"""
_KEY = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.mark.parametrize(
    ("page", "found"),
    [(None, [["/crm"], ["nav", "dag_run", "task_instance"]]), ("False", [[], []])],
)
def test_airflow_finds_the_page_unless_it_is_turned_off(page, found):
    """A process of Airflow gets an application, an entry in the navigation and tabs, or, turned off, none of them."""
    environment = os.environ | ({} if page is None else {"AIRFLOW__CRM__PAGE": page})
    command = [sys.executable, "-W", "ignore", "-c", _FOUND]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(done.stdout.splitlines()[-1]) == found


def test_tasks_have_no_link_to_a_page_that_is_turned_off(monkeypatch):
    """The link *CRM run* is empty, which Airflow does not show."""
    assert CrmRunLink().get_link(None, ti_key=_KEY) != ""
    monkeypatch.setenv("AIRFLOW__CRM__PAGE", "False")
    assert CrmRunLink().get_link(None, ti_key=_KEY) == ""


def test_the_option_is_declared():
    """Airflow lists the option with its default, as `airflow config list` and its docs show it."""
    option = get_provider_info()["config"]["crm"]["options"]["page"]
    assert (option["type"], option["default"]) == ("boolean", "True")
