"""The pages inside an Airflow with teams, users and Dags of its own, and ledgers with a few runs."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from contextlib import contextmanager

import pytest
import requests
import sqlalchemy as sa
from fastapi import FastAPI

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import (
    changes,
    field_states,
    plan_rows,
    plans,
    record_names,
    runs,
    tries,
    uploads,
)
from airflow_provider_crm.queries.database import LedgerReader, read_only
from airflow_provider_crm.report.verdict import RunFacts, run_verdict
from airflow_provider_crm.sandbox.loopback import Loopback

from .month import Month, add_to_airflow

USERS = "anna:viewer:sales,ben:viewer:finance,root:admin"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
CLOSE = "close:api.close.com:orga_1"
RAZE = "raze:api.raze.test:raze_default"


@pytest.fixture(scope="module")
def airflow_with_teams(airflow_db):
    """Airflow's own tables with two teams, each with one Dag: `sales_sync` and `finance_sync`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", USERS)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(airflow_db.with_name("passwords.json")))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of the tests " * 4)
        _add_dags()
        yield


def _add_dags():
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.team import Team
    from airflow.utils.session import create_session

    with create_session() as session:
        if session.scalar(sa.select(Team).where(Team.name == "sales")) is not None:
            return
        for name in ("sales", "finance"):
            team, bundle = Team(name=name), DagBundleModel(name=f"bundle_{name}")
            bundle.teams.append(team)
            session.add_all([team, bundle])
            session.flush()
            session.add(DagModel(dag_id=f"{name}_sync", bundle_name=bundle.name, relative_fileloc="x.py"))


class Browser:
    """One user's browser: asks for pages over HTTP, and reads what it gets.

    Args:
        url: Where the application is that has the pages under `/crm`.
        user: Name of one of `USERS`, or None for no user.
    """

    def __init__(self, url, user):
        self.url = url
        self.cookies = {} if user is None else {"_token": token(user)}

    def get(self, path, **parameters):
        """Ask for a page."""
        address = f"{self.url}/crm/{path}"
        return requests.get(address, params=parameters, cookies=self.cookies, allow_redirects=False, timeout=30)

    def stream(self, path, **parameters):
        """Ask for a file, and read it as it comes."""
        return requests.get(f"{self.url}/crm/{path}", params=parameters, cookies=self.cookies, stream=True, timeout=30)

    def text(self, path, **parameters):
        """The HTML of a page that is there."""
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.text


def token(name):
    """What Airflow gives a user who logs in."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    (user,) = [one for one in manager.get_users() if one.username == name]
    return manager.generate_jwt(user)


@contextmanager
def served(app):
    """The address of an application that is served here."""
    server = Loopback(app, port=0, on_connect=lambda: None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


@contextmanager
def mounted(pages, root_path=""):
    """The address of an application like Airflow's that has the pages."""
    from airflow.api_fastapi.app import init_auth_manager, purge_cached_app

    init_auth_manager()
    host = FastAPI(root_path=root_path)
    host.mount("/crm", pages)
    try:
        with served(host) as url:
            yield url
    finally:
        purge_cached_app()


@pytest.fixture
def database(any_database):
    """The engine of an empty ledger, of each kind of database."""
    engine = sa.create_engine(any_database)
    Database(engine).open()
    yield engine
    engine.dispose()


@pytest.fixture
def reading(database):
    """A connection that reads the ledger as the pages do."""
    engine = read_only(database)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def pages(database, airflow_with_teams):
    """The pages, over the ledger of the test."""
    from airflow_provider_crm.ui.app import make_app

    engine = read_only(database)
    yield make_app(LedgerReader(lambda: engine))
    engine.dispose()


@pytest.fixture
def month(database, airflow_with_teams):
    """The ledger of the test with a month of syncs, whose Dags and waiting plan Airflow knows; `anna` reads them."""
    made = Month()
    made.write(database)
    add_to_airflow(made, "bundle_sales")
    return made


@pytest.fixture
def month_browser(database, month):
    """Make browsers of users over the month's pages, at its end."""
    from airflow_provider_crm.ui.app import make_app

    engine = read_only(database)
    with mounted(make_app(LedgerReader(lambda: engine), clock=Clock(now=lambda: month.now))) as url:
        yield lambda user: Browser(url, user)
    engine.dispose()


@pytest.fixture
def browser(pages):
    """Make browsers of users."""
    with mounted(pages) as url:
        yield lambda user: Browser(url, user)


@pytest.fixture
def log(database):
    """Write into the ledger of the test."""
    return Log(database)


class Log:
    """Writes rows into a ledger, with defaults for what a test does not care for."""

    def __init__(self, engine):
        self.engine = engine

    def run(self, run_key, *, account=CLOSE, ago=dt.timedelta(hours=1), tries=1, finished=True, **report):
        """A run with its report."""
        content = {"rows": sum(report.get("outcomes", {}).values()), "calls": 3, "seconds": 2.0, **report}
        self._insert(
            runs,
            run_key=run_key,
            account=account,
            as_of=NOW,
            tries=tries,
            started_at=NOW - ago,
            finished_at=NOW if finished else None,
            report=json.dumps(content) if finished else None,
            outcomes=json.dumps(content["outcomes"]) if finished and "outcomes" in content else None,
            verdict=run_verdict(RunFacts.from_report(content)).word.value if finished else None,
        )

    def attempt(self, run_key, number, *, account=CLOSE, **report):
        """One try of a run."""
        fixed = {"run_key": run_key, "account": account, "try_number": number, "started_at": NOW, "finished_at": NOW}
        self._insert(tries, **fixed, report=json.dumps(report))

    def change(self, run_key, record_id="oppo_1", field="value", **row):
        """A line of the change log."""
        defaults = {
            "account": CLOSE,
            "before": None,
            "after": None,
            "outcome": "updated",
            "code": "",
            "reason": "",
            "at": NOW,
        }
        whole = {**defaults, "run_key": run_key, "record_id": record_id, "field": field, **row}
        self._insert(changes, **whole, before_known=whole["before"] is not None)

    def state(self, run_key, record_id="oppo_1", field="value", value="12345", account=CLOSE):
        """The known value of a field."""
        self._insert(
            field_states,
            account=account,
            record_id=record_id,
            field=field,
            value=value,
            known=True,
            as_of=NOW,
            run_key=run_key,
            acknowledged_at=NOW,
        )

    def name(self, record_id, name, account=CLOSE):
        """The name of a deal."""
        self._insert(record_names, account=account, record_id=record_id, name=name, seen_at=NOW)

    def upload(self, run_key, *, account=CLOSE, stage="sent", rows=2_280, **times):
        """A file of rows that the vendor writes."""
        known = {"claim_token": uuid.uuid4().hex, "account": account, "run_key": run_key, "vendor_id": "750"}
        self._insert(uploads, **known, stage=stage, rows=rows, **{"opened_at": NOW, "touched_at": NOW, **times})

    def plan(self, plan_id, run_key, rows, account=CLOSE, **known):
        """A plan; rows are record id, field, verdict, before and after."""
        counts = {}
        for number, (record_id, field, verdict, before, after) in enumerate(rows):
            counts[verdict] = counts.get(verdict, 0) + 1
            self._insert(
                plan_rows,
                plan_id=plan_id,
                row_number=number,
                field=field,
                record_id=record_id,
                verdict=verdict,
                before=before,
                after=after,
                as_of=NOW,
                code="",
                reason="",
            )
        fixed = {"plan_id": plan_id, "account": account, "run_key": run_key, "digest": "d" * 64, "created_at": NOW}
        self._insert(plans, **fixed, rows=len(rows), counts=json.dumps(counts), **known)

    def _insert(self, table, **row):
        with self.engine.begin() as connection:
            connection.execute(sa.insert(table).values(**row))
