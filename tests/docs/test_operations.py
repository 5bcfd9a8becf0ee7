"""The page about operations is followed: its commands are typed, and its queries run, as they stand there."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import metadata, tokens
from airflow_provider_crm.hooks.ledger import FILE_NAME, ledger_database
from airflow_provider_crm.ledger.renaming import rename_account
from tests.commands.command_line import run_command
from tests.database import version_1
from tests.docs.pages import DOCS

PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
ACCOUNT = "close:api.close.com:orga_1"


def section(heading):
    """The text under a heading."""
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]


def commands(heading):
    """The commands of ours under a heading, as words."""
    lines = [line.strip() for line in section(heading).splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("airflow crm ")]


def follow(heading):
    """Type the commands under a heading; returns what they print."""
    printed = []
    for words in commands(heading):
        ended = run_command(*words)
        assert (ended.code, ended.message) == (0, ""), words
        printed.append(ended.out)
    assert printed
    return printed


def fill(engine, account=ACCOUNT):
    """Rows in every table, of an account with this name that nothing is writing."""
    version_1.fill(engine)
    database = Database(engine)
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE crm_field_states SET claimed_until = NULL"))
    rename_account(database, version_1.ACCOUNT, account)
    return database


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An Airflow home, in which the commands are typed."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")  # there is no metadata database to look into
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ledger(home):
    """The file of the ledger, with rows in every table."""
    database = fill(sa.create_engine(f"sqlite:///{home / FILE_NAME}"))
    yield database
    database.close()


def rows_of(engine):
    """All rows by table, in the types of the package."""
    with engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for name, table in metadata.tables.items()
        }


def test_changes_are_kept_for_a_time(ledger):
    """The first command counts what the second one deletes."""
    with ledger.transaction() as connection:
        connection.execute(sa.text("UPDATE crm_runs SET started_at = '2020-01-01', finished_at = '2020-01-01'"))
        connection.execute(sa.text("UPDATE crm_changes SET at = '2020-01-01'"))
        connection.execute(sa.text("DELETE FROM crm_plans"))
    counted, deleted = follow("Keep changes for a time")
    assert counted.removeprefix("Would delete") == deleted.removeprefix("Deleted")
    assert not rows_of(ledger.engine)["crm_changes"]


def test_the_queries_run_on_the_views(any_database):
    """Each finds rows, on SQLite and PostgreSQL."""
    database = fill(sa.create_engine(any_database))
    queries = re.findall(r"```sql\n(.*?)```", section("Query the ledger from a dashboard"), re.DOTALL)
    assert [re.findall(r"FROM (\w+)", query) for query in queries] == [
        ["crm_runs_v1"],
        ["crm_refused_v1"],
        ["crm_changes_v1"],
    ]
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE crm_changes SET run_key = 'dag/task/run' WHERE outcome = 'rejected'"))
        for query in queries:
            assert connection.execute(sa.text(query)).all(), query
    database.close()


def test_a_backup_is_restored(ledger, home):
    """After the loss of the file all rows are there again, and no value counts as known, so that each is sent."""
    export, *restore = commands("Back up and restore")
    assert run_command(*export).code == 0
    before = rows_of(ledger.engine)
    ledger.close()
    for path in home.glob(f"{FILE_NAME}*"):
        path.unlink()
    assert [run_command(*words).code for words in restore] == [0, 0]
    after = rows_of(ledger.engine)
    states = before.pop("crm_field_states"), after.pop("crm_field_states")
    assert after == before
    known = list(metadata.tables["crm_field_states"].c).index(metadata.tables["crm_field_states"].c.known)
    assert [any(row[known] for row in some if row[0] == ACCOUNT) for some in states] == [True, False]


def test_a_ledger_moves_to_postgresql(ledger, empty_database, monkeypatch):
    """Under the connection's name there are the same rows, and a task finds them there."""
    fields = {"conn_type": "postgres", "host": empty_database.query["host"]}
    fields |= {"login": empty_database.username, "schema": empty_database.database}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_LEDGER", json.dumps(fields))
    exported, imported = follow("Move from SQLite to PostgreSQL")
    assert imported.partition(":")[2] == exported.partition(":")[2]
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "crm_ledger")
    moved = ledger_database("crm_ledger")
    assert rows_of(moved.engine) == rows_of(ledger.engine)
    moved.close()


def test_the_fernet_key_is_rotated(ledger, monkeypatch):
    """Tokens of the old key are read beside the new one; after the command the new key alone opens them."""
    from airflow.sdk.crypto import get_fernet

    old, new = Fernet.generate_key(), Fernet.generate_key()
    with ledger.transaction() as connection:
        stored = {name: Fernet(old).encrypt(name.encode()).decode() for name in ("access_token", "refresh_token")}
        connection.execute(sa.update(tokens).values(stored))
    for keys, code in ((new, 1), (b",".join([new, old]), 0)):
        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", keys.decode())
        get_fernet.cache_clear()
        words = commands("Rotate keys")[-1]
        assert words == ["crm", "rotate-fernet-key"]
        assert run_command(*words).code == code
    get_fernet.cache_clear()
    with ledger.transaction() as connection:
        (row,) = connection.execute(sa.select(tokens.c.access_token, tokens.c.refresh_token))
    assert [Fernet(new).decrypt(text) for text in row] == [b"access_token", b"refresh_token"]


def test_an_account_is_renamed(home):
    """All tables have the new name."""
    old, new = commands("Rename an account")[0][-2:]
    database = fill(sa.create_engine(f"sqlite:///{home / FILE_NAME}"), account=old)
    (printed,) = follow("Rename an account")
    assert printed.startswith(f"Renamed {old} to {new}: ")
    found = json.dumps(rows_of(database.engine), default=str)
    assert (new in found, f'"{old}"' in found) == (True, False)
    database.close()
