"""A small warehouse, local CRMs, and a throw-away Airflow in which the example DAGs run for real."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_provider_crm.demo.airflow_home import AirflowHome, example_dags
from airflow_provider_crm.demo.crm import account_of
from airflow_provider_crm.demo.warehouse import Deal, write
from airflow_provider_crm.sandbox import Sandbox

from .chromium import chromium
from .crm_pages import PASSWORD, USER, crm_airflow


@dataclass(frozen=True)
class World:
    """One Airflow home with all that its DAGs talk to."""

    home: AirflowHome
    sandbox: Sandbox


def deal(day, number, **changes):
    """One warehouse row; `number` ends each of its ids."""
    digits = re.sub(r"\D", "", f"{day}{number}")
    row = {
        "day": day,
        "close_id": f"oppo_{number}",
        "raze_id": f"opp_{number}",
        "hubspot_id": digits,
        "salesforce_id": f"006D{digits[-11:]:>011}",
        "arr": "12500.50",
        "currency": "USD",
        "stage": "proposal",
        "won_at": None,
        "changed_at": f"{day}T17:00:00+00:00",
        "health": "green",
        "note": "From the warehouse",
        "score": "87.5",
    }
    return Deal(**{**row, **changes})


@pytest.fixture(scope="session")
def world(tmp_path_factory, airflow_db):
    """Make a world of some deals and DAG files; every deal is an opportunity of each CRM.

    `words` are replaced in the files, such as the name of a connection, so that an example writes to another CRM; of
    several such mappings each makes files of its own.
    """
    sandboxes = []

    def make(deals, *, dags=None, connections=None, words=None) -> World:
        folder: Path = tmp_path_factory.mktemp("world")
        write(folder / "warehouse.db", deals)
        sandbox = Sandbox()
        sandbox.start()
        sandboxes.append(sandbox)
        for row in deals:
            for vendor, record_id in row.ids.items():
                key = {"warehouse_deal_key": f"D-{record_id}"} if vendor == "hubspot" else {}
                account_of(sandbox, vendor).add_opportunity(record_id, **key)
        source = folder / "source"
        source.mkdir()
        for file in example_dags().glob("*.py"):
            if dags is None or file.name in dags:
                for number, one in enumerate(words if isinstance(words, list) else [words or {}]):
                    name = f"crm_{number}_{file.name}" if number else file.name
                    (source / name).write_text(_replaced(file.read_text(), one))
        warehouse = json.dumps({"conn_type": "sqlite", "host": str(folder / "warehouse.db")})
        root = folder / "airflow"
        root.mkdir()
        known = {**sandbox.connection_uris(), "warehouse": warehouse, **(connections or {})}
        home = AirflowHome(root, connections=known, dags=source)
        shutil.copy(airflow_db, root)
        return World(home, sandbox)

    yield make
    for sandbox in sandboxes:
        sandbox.stop()


def _replaced(text, words):
    for old, new in words.items():
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def metadata(new_database):
    """The engine of an empty PostgreSQL database for the tables of an Airflow."""
    engine = sa.create_engine(new_database())
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def row() -> Iterator:
    """Make warehouse rows."""
    return deal


@pytest.fixture(scope="module")
def place(tmp_path_factory, metadata):
    """A running Airflow whose ledger has something to show."""
    with crm_airflow(tmp_path_factory.mktemp("home"), metadata) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def screen(place, tmp_path_factory):
    """A browser in which the user has logged in; pictures go into the folder that CRM_PICTURES names, if it does."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder, os.environ.get("CRM_PICTURES", folder / "pictures")) as found:
        found.open(place.url)
        found.type("input[name=username]", USER)
        found.type("input[name=password]", PASSWORD)
        found.one("button[type=submit]").click()
        found.wait(lambda: "/auth/login" not in found.driver.current_url)
        found.errors()
        yield found
