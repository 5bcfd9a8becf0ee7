"""The pages under Airflow's FAB auth manager: real roles and users, asked over HTTP as a browser asks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database

from .conftest import CLOSE, Log
from .fab_server import PASSWORD

pytestmark = pytest.mark.long

SERVER = Path(__file__).with_name("fab_server.py")
MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
RUN = {"run_key": "sales_sync/t/r"}
PAGES = {
    "": {},
    "dag-run": {"dag_id": "sales_sync", "run_id": "r"},
    "task": {"dag_id": "sales_sync", "run_id": "r", "task_id": "t"},
    "run": RUN,
    "run.csv": RUN,
    "record": {"record_id": "oppo_1", "account": CLOSE},
    "plan": {"plan_id": "p"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home of Airflow, with FAB's tables and a ledger to which two Dags have written."""
    folder = tmp_path_factory.mktemp("fab")
    engine = Database(sa.create_engine(f"sqlite:///{folder / 'crm_ledger.db'}")).engine
    Database(engine).open()
    log = Log(engine)
    for dag_id, amount in (("sales_sync", "11100"), ("finance_sync", "99900")):
        log.run(f"{dag_id}/t/r", outcomes={"updated": 1})
        log.change(f"{dag_id}/t/r", before="100", after=amount)
        log.change(f"{dag_id}/t/r", after="1", outcome="rejected", code="NO", reason="no")
    log.plan("p", "sales_sync/t/r", [("oppo_1", "value", "update", "100", "11100")])
    engine.dispose()
    return folder


def free_port():
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url):
    """Whether Airflow answers there."""
    try:
        return requests.get(f"{url}/api/v2/version", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def airflow(home):
    """The address of Airflow's API server."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__AUTH_MANAGER": MANAGER,
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests " * 4,
        "PYTHONWARNINGS": "ignore",
    }
    with (home / "server.log").open("wb") as log:
        migration = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migration, env=environment, stdout=log, stderr=log, check=True, timeout=300)
        process = subprocess.Popen([sys.executable, str(SERVER), str(port)], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 300
        while not answers(url):
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, (home / "server.log").read_text()[-4000:]
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def get(airflow):
    """Ask Airflow for an address as one of its users, who has logged in with a password."""
    tokens = {}

    def ask(user, path, **parameters):
        if user not in tokens:
            credentials = {"username": user, "password": PASSWORD}
            tokens[user] = requests.post(f"{airflow}/auth/token", json=credentials, timeout=30).json()["access_token"]
        cookies = {"_token": tokens[user]}
        return requests.get(f"{airflow}/{path}", params=parameters, cookies=cookies, allow_redirects=False, timeout=30)

    return ask


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("user", ["viewer", "user", "op", "sales"])
def test_who_may_read_the_dag_sees_its_rows(get, user, path):
    """Every page answers, whether the role reads all Dags or this one only, and whether or not it may see plugins."""
    answer = get(user, f"crm/{path}", **PAGES[path])
    assert answer.status_code == 200, answer.text
    if path not in {"", "dag-run", "task"}:
        assert "oppo_1" in answer.text


@pytest.mark.parametrize("path", ["dag-run", "task", "run", "run.csv"])
def test_who_may_not_read_the_dag_sees_nothing_of_it(get, path):
    """A role for one Dag gets of another the answer of a Dag that does not exist, and a sentence on what it takes."""
    others, missing = (
        get("sales", f"crm/{path}", **{name: value.replace("sales_sync", dag) for name, value in PAGES[path].items()})
        for dag in ("finance_sync", "no_such")
    )
    assert (others.status_code, others.text) == (404, missing.text)
    assert "permission to read the Dag" in others.text


def test_sums_and_records_are_of_the_readable_dags(get):
    """The overview and the history of a record leave out what a Dag wrote that the role may not read."""
    one, both = get("sales", "crm/").text, get("viewer", "crm/").text
    assert ("finance_sync" in one, "finance_sync" in both) == (False, True)
    one, both = (get(user, "crm/record", **PAGES["record"]).text for user in ("sales", "viewer"))
    assert ("999.00" in one, "999.00" in both) == (False, True)


@pytest.mark.parametrize("path", PAGES)
def test_a_user_without_a_dag_reads_which_permission_is_missing(get, path):
    """A role without any Dag is refused by every page, with the name of the permission."""
    answer = get("nothing", f"crm/{path}", **PAGES[path])
    assert answer.status_code == 403
    assert "can read" in answer.text
    assert "Dag" in answer.text
    assert ("oppo_1" in answer.text, "sales_sync" in answer.text) == (False, False)


@pytest.mark.parametrize(("user", "status"), [("viewer", 403), ("user", 403), ("op", 200)])
def test_airflow_shows_the_nav_entry_to_who_may_read_plugins(get, user, status):
    """Airflow's page asks here for entries and tabs of plugins; the manual says which roles get them."""
    answer = get(user, "api/v2/plugins")
    assert answer.status_code == status
    assert ("crm-dag-run" in answer.text) == (status == 200)
