"""Acme, a vendor in a distribution of its own, installed for single tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from airflow.sdk._shared.module_loading import _get_grouped_entry_points
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_crm.queries import values
from airflow_provider_crm.vendors import VENDORS
from tests.operators.conftest import ledger_conn_id, stored, task
from tests.outside_vendor.distributions import ACME, write_metadata
from tests.ui.conftest import airflow_with_teams, browser, database, log, pages

__all__ = ["airflow_with_teams", "browser", "database", "ledger_conn_id", "log", "pages", "stored", "task"]
ROOT = Path(__file__).parents[2]
sys.path.append(str(ACME))  # the distribution's own tests are collected, too, and import it by its name


@pytest.fixture
def acme_installed(tmp_path, monkeypatch):
    """Install Acme for one test: its vendor, hook and sandbox API are found by their entry points."""
    site = tmp_path / "site"
    write_metadata(ACME, site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (site, ACME, ROOT))))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setattr(VENDORS, "_points", None)
        patch.setattr(VENDORS, "_outside", {})
        patch.setattr(ProvidersManagerTaskRuntime, "_instance", None)
        patch.setattr(ProvidersManagerTaskRuntime, "_initialized", False)
        _forget()
        yield
    _forget()


def _forget():
    """Let what has been read of all installed distributions be read again."""
    _get_grouped_entry_points.cache_clear()
    values._keys.cache_clear()
    values._money.cache_clear()


@pytest.fixture
def sandbox(acme_installed, request):
    """Run a sandbox of all installed APIs; three deals of Acme are in it, and `acme_default` leads there."""
    served = request.getfixturevalue("crm_sandbox")
    for number in range(1, 4):
        served.account("acme").add_opportunity(f"deal_{number}", amount=100 * number)
    return served


@pytest.fixture
def any_database(tmp_path):
    """The URL of an empty ledger; its kind makes no difference to a vendor."""
    return sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}")
