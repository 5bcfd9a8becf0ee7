"""`airflow crm doctor` finds each broken set-up, and names the cure."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from airflow_provider_crm.database.mounts import network_file_system
from airflow_provider_crm.database.schema import VERSION, metadata
from airflow_provider_crm.sandbox.hubspot.tokens import READ_DEALS, READ_SCHEMA, WRITE_DEALS
from tests.outside_vendor.distributions import ACME, install, variant

NETWORK = """
/dev/sda1 / ext4 rw 0 0
fileserver:/airflow /mnt/air\\040flow nfs4 rw 0 0
/dev/sdb1 /mnt/air\\040flow/local xfs rw 0 0
"""


@pytest.fixture
def doctor(crm):
    """Run the command; returns its exit code, and the results that are not ok: state, sentence and cure by check."""

    def run(*words):
        ended = crm("doctor", *words, "-o", "json")
        assert ended.message == ""
        results = json.loads(ended.out)
        assert all(set(one) == {"check", "state", "sentence", "cure"} for one in results)
        assert all(bool(one["cure"]) == (one["state"] != "ok") for one in results)
        found = not_ok(results)
        assert ended.code == any(one["state"] == "problem" for one in results)
        return ended.code, found

    return run


@pytest.fixture
def oauth(crm_sandbox, define, ledger):
    """A connection to the sandbox's Close that signs in by OAuth."""
    app = crm_sandbox.close.oauth
    extra = {"client_id": app.client_id, "client_secret": app.client_secret, "refresh_token": app.refresh_token}
    define("apps", conn_type="close", host=crm_sandbox.url, extra=extra)
    return app


def new_fernet_key(monkeypatch, key):
    """Replace Airflow's Fernet key."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", key)
    get_fernet.cache_clear()


@pytest.mark.parametrize("conn_id", ["close_default", "hubspot_default", "raze_default"])
def test_a_good_set_up_has_nothing_to_cure(doctor, crm_sandbox, ledger, conn_id):
    """Every check is ok, for each vendor, and the ledger is as it was."""
    assert doctor(conn_id) == (0, {})


def test_without_a_ledger_and_a_connection_a_new_installation_is_fine(doctor):
    """The first run makes the ledger; the check makes none."""
    assert doctor() == (0, {})
    assert not list(Path(os.environ["AIRFLOW_HOME"]).glob("crm_ledger*"))


def test_a_wrong_key(doctor, crm_sandbox, ledger, define):
    """1: the vendor refuses it, and it is shown nowhere."""
    define("wrong", conn_type="close", password="api_wrong_key", host=crm_sandbox.url)
    code, found = doctor("wrong")
    state, sentence, cure = found["authentication"]
    assert (code, state, sentence) == (1, "problem", "Close answered 401: Unauthorized.")
    assert "Put a key into the connection that is valid" in cure
    assert "api_wrong_key" not in json.dumps(found)


def test_a_missing_scope(doctor, crm_sandbox, ledger, define):
    """2: a task would fail where it reads the fields; where only reading is missing, some tasks still run."""
    token = crm_sandbox.hubspot.add_token([READ_DEALS, WRITE_DEALS])
    define("narrow", conn_type="hubspot", password=token, host=crm_sandbox.url)
    code, found = doctor("narrow")
    assert (code, found["scopes"][0]) == (1, "problem")
    assert READ_SCHEMA in found["scopes"][1]
    assert "what the vendor's answer names" in found["scopes"][2]
    key = crm_sandbox.raze.add_key(permissions=["opportunities:write"])
    define("writer", conn_type="raze", password=key, host=crm_sandbox.url)
    code, found = doctor("writer")
    assert (code, found["scopes"][0]) == (0, "warning")
    assert "Give the key the right to read opportunities" in found["scopes"][2]


@pytest.mark.parametrize(
    ("version", "ended"),
    [
        (VERSION + 1, (1, "problem", "Upgrade airflow-provider-crm")),
        (VERSION - 1, (0, "warning", "Let a task run, which migrates it")),
    ],
)
def test_a_ledger_of_another_version(doctor, execute, version, ended):
    """3, 4: a newer one stops tasks, an older one is migrated by the next of them, and not by the doctor."""
    execute("UPDATE crm_schema_version SET version = :version", version=version)
    code, found = doctor()
    state, sentence, cure = found["ledger"]
    assert f"The ledger is of version {version}" in sentence
    assert (code, state, cure[: len(ended[2])]) == ended
    assert execute("SELECT version FROM crm_schema_version").scalar_one() == version


def test_a_ledger_whose_database_does_not_answer(doctor, define, monkeypatch):
    """5: its server is down, or its address is wrong."""
    define("gone", conn_type="postgres", host="127.0.0.1", port=9, login="u", password="pass_word", schema="crm")
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "gone")
    code, found = doctor()
    assert (code, found["ledger"][0]) == (1, "problem")
    assert "The ledger's database cannot be read" in found["ledger"][1]
    assert "correct the connection gone" in found["ledger"][2]
    assert "pass_word" not in json.dumps(found)


def test_a_ledger_whose_connection_is_missing(doctor, monkeypatch):
    """6: the option names a connection that nothing defines."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CONN_ID", "nowhere")
    code, found = doctor()
    assert (code, found["ledger"][0]) == (1, "problem")
    assert "AIRFLOW_CONN_NOWHERE" in found["ledger"][2]


def test_workers_that_share_no_ledger(doctor, monkeypatch, define, tmp_path):
    """7: with another executor the file in the home will not do; one that a connection names is doubtful."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    code, found = doctor()
    assert (code, found["ledger"][0]) == (1, "problem")
    assert "Set [crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID) to a connection to PostgreSQL" in found["ledger"][2]
    define("own", conn_type="sqlite", host=str(tmp_path / "ledger.db"))
    code, found = doctor("--ledger-conn-id", "own")
    assert (code, found["ledger"][0]) == (0, "warning")
    assert "each machine may have a file of its own" in found["ledger"][1]
    assert "Set [crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID) to own." in found["page"][2]


@pytest.mark.parametrize(("minutes", "where"), [(10, "behind"), (-10, "ahead of")])
def test_a_clock_that_is_off_by_minutes(doctor, crm_sandbox, ledger, minutes, where):
    """8: the vendor's `Date` shows it, in either direction."""
    crm_sandbox.clock.set(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes))
    code, found = doctor("close_default")
    assert (code, found["clock"][0]) == (1, "problem")
    assert f"The clock of this machine is 10 minutes {where} the one of Close." in found["clock"][1]
    assert "chrony" in found["clock"][2]


def test_options_that_do_nothing_or_are_of_a_wrong_type(doctor, monkeypatch):
    """9: a misspelt name, a word for a yes or no, a share that is none; a secret is not shown."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_CON_ID", "crm_ledger")
    code, found = doctor()
    assert (code, found["options"][0]) == (0, "warning")
    assert "Write ledger_conn_id instead" in found["options"][2]
    monkeypatch.delenv("AIRFLOW__CRM__LEDGER_CON_ID")
    for name, value, cure in (
        ("PAGE", "perhaps", "Write such as page = False"),
        ("DAILY_SHARE", "half", "Write such as daily_share = 0.8"),
        ("DAILY_SHARE", "7", "Correct the value"),
        ("LEDGER_HASH_KEY", "tooshort", "Correct the value"),
    ):
        monkeypatch.setenv(f"AIRFLOW__CRM__{name}", value)
        code, found = doctor()
        assert (code, found["options"][0]) == (1, "problem")
        assert cure in found["options"][2]
        assert "tooshort" not in found["options"][1]
        monkeypatch.delenv(f"AIRFLOW__CRM__{name}")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"host": "http://api.close.com"}, "plain http would show the key to the network; write https"),
        ({"extra": {"time_zone": "UTC"}}, "its extra has unknown keys 'time_zone'; known are timezone"),
        ({"password": None}, "the API key is missing"),
        ({"conn_type": "http"}, "is of type 'http'"),
    ],
)
def test_a_connection_with_a_mistake(doctor, ledger, define, fields, sentence):
    """10, 11: what stands in it is checked before any call, and where to correct it is named."""
    define("mistaken", **{"conn_type": "close", "password": "api_secret_key", **fields})
    code, found = doctor("mistaken")
    assert (code, found["connection"][0]) == (1, "problem")
    assert sentence in found["connection"][1]
    assert found["connection"][2] == "Correct the environment variable AIRFLOW_CONN_MISTAKEN."
    assert "api_secret_key" not in json.dumps(found)


def test_a_connection_that_is_not_there(doctor, ledger):
    """The types that it can have are named, and where connections are."""
    code, found = doctor("missing")
    assert (code, found["connection"][0]) == (1, "problem")
    assert (
        "There is no connection 'missing'; create one of type close, raze, hubspot or crm_salesforce"
        in found["connection"][1]
    )
    assert "under Admin and Connections" in found["connection"][2]


def test_no_fernet_key_for_oauth(doctor, oauth, monkeypatch):
    """12: tokens would be stored in clear, so no call is made."""
    new_fernet_key(monkeypatch, "")
    code, found = doctor("apps")
    assert (code, found["fernet_key"][0]) == (1, "problem")
    assert "is empty, so tokens would be stored in clear" in found["fernet_key"][1]
    assert "Set [core] fernet_key" in found["fernet_key"][2]


def test_another_fernet_key_than_the_one_of_the_stored_tokens(doctor, oauth, monkeypatch):
    """13: the tokens are lost unless the former key is added; both keys together are fine."""
    former = os.environ["AIRFLOW__CORE__FERNET_KEY"]
    assert doctor("apps") == (0, {})  # which stores tokens
    key = Fernet.generate_key().decode()
    new_fernet_key(monkeypatch, key)
    for words in (["apps"], []):
        code, found = doctor(*words)
        assert (code, found["fernet_key"][0]) == (1, "problem")
        assert "were encrypted with another Fernet key" in found["fernet_key"][1]
        assert "Add the former key to [core] fernet_key" in found["fernet_key"][2]
    new_fernet_key(monkeypatch, f"{key},{former}")
    assert doctor("apps") == (0, {})


def test_an_oauth_connection_before_the_first_run_is_not_tried(doctor, oauth, execute, crm_sandbox):
    """A renewed token could not be stored, and would be lost; nothing is sent, and no table is made."""
    execute("UPDATE crm_schema_version SET version = :version", version=VERSION - 1)
    code, found = doctor("apps")
    assert (code, found["authentication"][0]) == (0, "warning")
    assert crm_sandbox.audit.count() == 0


def test_a_required_package_that_is_too_old(doctor, monkeypatch, tmp_path):
    """14: the version and what to install instead are named."""
    info = tmp_path / "site" / "pandas-2.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 2.0.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    code, found = doctor()
    assert (code, found["requirements"][0]) == (1, "problem")
    assert "pandas is 2.0.0, and >=2.2.2 is needed" in found["requirements"][1]
    assert "pip install 'pandas>=2.2.2'" in found["requirements"][2]


def in_another_interpreter(*paths, without="", words=("doctor",)):
    """What a command prints as JSON, and its exit code, in an interpreter that finds folders first and lacks one."""
    code = f"""
import sys
sys.path[:0] = {[str(path) for path in paths]}
sys.path[:] = [path for path in sys.path if path != {without!r}]
from airflow.cli import cli_parser
args = cli_parser.get_parser().parse_args(["crm", *{list(words)}, "-o", "json"])
args.func(args)
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, json.loads(done.stdout)


def not_ok(results):
    """The results that are not ok: state, sentence and cure by check."""
    return {one["check"]: (one["state"], one["sentence"], one["cure"]) for one in results if one["state"] != "ok"}


def test_a_vendor_of_another_distribution_that_cannot_be_used(tmp_path):
    """15: it is named with its distribution; the package's own vendors are fine."""
    site = tmp_path / "site"
    install(variant(tmp_path / "newer", "bolt", "api_version = 1", "api_version = 2"), site)
    code, results = in_another_interpreter(site)
    found = not_ok(results)
    assert (code, list(found)) == (1, ["vendors"])
    state, sentence, cure = found["vendors"]
    assert (state, cure) == ("problem", "Upgrade airflow-provider-crm.")
    assert "of the distribution airflow-provider-bolt 1.0.0 was written for API version 2" in sentence


def test_vendors_of_other_distributions_are_listed(tmp_path):
    """One that can be used has its fields; one that cannot has the reason. Both have their distribution."""
    site = tmp_path / "site"
    install(ACME, site)
    install(variant(tmp_path / "newer", "bolt", "api_version = 1", "api_version = 2"), site)
    code, rows = in_another_interpreter(site, words=["vendors"])
    found = {row["connection_type"]: row for row in rows}
    assert (code, found["close"]["is_own"], found["acme"]["is_own"]) == (0, True, False)
    assert found["acme"]["distribution"].startswith("airflow-provider-acme ")
    assert found["acme"]["fields"]
    assert found["bolt"]["distribution"] == "airflow-provider-bolt 1.0.0"
    assert "Upgrade airflow-provider-crm." in found["bolt"]["problem"]


def test_an_environment_without_pyarrow(tmp_path):
    """16: everything else works, so it is a warning that says what cannot be used."""
    site = next(Path(path) for path in sys.path if (Path(path) / "pyarrow").is_dir())
    for path in site.iterdir():
        if not path.name.startswith("pyarrow"):
            (tmp_path / path.name).symlink_to(path)
    code, results = in_another_interpreter(tmp_path, without=str(site))
    found = not_ok(results)
    assert (code, list(found)) == (0, ["pyarrow"])
    assert "Parquet files" in found["pyarrow"][1]
    assert "pip install 'airflow-provider-crm[parquet]'" in found["pyarrow"][2]


def test_a_ledger_that_may_be_read_only(doctor, empty_database, define):
    """17: the rights of its user lack one that tasks need."""
    engine = sa.create_engine(empty_database, poolclass=sa.NullPool)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO crm_schema_version VALUES ({VERSION})"))
        connection.execute(sa.text("CREATE ROLE reader LOGIN"))
        connection.execute(sa.text("GRANT USAGE ON SCHEMA public TO reader"))
        connection.execute(sa.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
    host = empty_database.query["host"]
    define("readable", conn_type="postgres", host=host, login="reader", schema=empty_database.database)
    code, found = doctor("--ledger-conn-id", "readable")
    with engine.begin() as connection:
        connection.execute(sa.text("DROP OWNED BY reader"))
        connection.execute(sa.text("DROP ROLE reader"))
    assert (code, found["ledger"][0]) == (1, "problem")
    assert "its user lacks one of the rights SELECT, INSERT, UPDATE, DELETE" in found["ledger"][1]


def test_a_ledger_file_that_may_not_be_written():
    """18: the system says so, and nothing is tried. Root may write anything, so another user looks."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        code = (
            "import os, sqlalchemy as sa\n"
            "from airflow_provider_crm.database.dialects import dialect_of\n"
            f"engine = sa.create_engine('sqlite:///{folder}/ledger.db')\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "dialect = dialect_of(engine)\n"
            "class Connection: pass\n"
            "connection = Connection(); connection.engine = engine\n"
            "print(dialect.write_refusals(connection))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"{folder} may not be written by this user" in done.stdout


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/mnt/air flow/ledger.db", "nfs4"), ("/mnt/air flow/local/ledger.db", None), ("/home/ledger.db", None)],
)
def test_a_ledger_file_on_a_network_file_system(path, kind):
    """19: the innermost mount decides."""
    assert network_file_system(Path(path), NETWORK) == kind


def test_people_read_a_table(crm, ledger):
    """Brackets are no markup, and every check has a line."""
    ended = crm("doctor")
    assert ended.code == 0
    assert "The options in [crm] are known" in ended.out
