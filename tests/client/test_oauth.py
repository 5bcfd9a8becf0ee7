"""OAuth with rotating refresh tokens, over real HTTP: one refresh at a time, stored before use, shown nowhere."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import pickle
import sqlite3
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from airflow.sdk.crypto import get_fernet
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from cryptography.fernet import Fernet

import airflow_provider_crm
from airflow_provider_crm import clock
from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.oauth import StoredTokens
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import tokens
from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, RateLimitedError, TransientError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.ledger import _Fernet
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials
from tests.operators.conftest import Impatient, Run

SECRET = "oa2secret_5ecret"


@pytest.fixture
def database(any_database):
    """The URL of an empty database."""
    return any_database.render_as_string(hide_password=False)


@pytest.fixture(autouse=True)
def fernet(monkeypatch):
    """Airflow's key."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    yield
    get_fernet.cache_clear()


@pytest.fixture
def oauth(crm_sandbox):
    """The sandbox's OAuth application, with a secret that can be searched for."""
    crm_sandbox.close.oauth.client_secret = SECRET
    crm_sandbox.close.add_opportunity("oppo_0", value=5)
    return crm_sandbox.close.oauth


def account_of(url, oauth, **fields):
    """An account without a source of tokens."""
    extra = {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "refresh_token": oauth.refresh_token}
    return Account(VENDORS["close"], url, Credentials(extra=extra), timeout=5.0, **fields)


def source(engine, account, *, clock=None):
    """What a worker holds; a new one knows nothing but the database."""
    grant = account.vendor.authentication(account.credentials).grant
    cipher = _Fernet("Connection 'test'")
    return StoredTokens(
        Database(engine), account=account, grant=grant, cipher=cipher, clock=clock or Clock(), hide=lambda _: None
    )


def refreshes(sandbox):
    """How often the token endpoint was called."""
    return sandbox.audit.count(path="/oauth2/token/")


@pytest.fixture
def account(crm_sandbox, oauth):
    """The account, with the refresh token that is valid when the test begins."""
    return account_of(crm_sandbox.url, oauth)


def test_a_token_is_fetched_once_and_shared(crm_sandbox, engine, account):
    """The second worker finds the first one's token in the database, and asks no server."""
    first = source(engine, account).token()
    assert source(engine, account).token() == first
    assert refreshes(crm_sandbox) == 1


def test_an_expired_token_is_replaced_before_it_is_used(crm_sandbox, oauth, engine, account):
    """A minute before its end a token counts as expired; the successor of the refresh token fetches the next."""
    now = dt.datetime.now(dt.UTC)
    clock = Clock(now=lambda: now)
    worker = source(engine, account, clock=clock)
    first = worker.token()
    now += dt.timedelta(seconds=3550)
    assert worker.token() == oauth.access_token != first
    now += dt.timedelta(hours=2)
    assert source(engine, account, clock=clock).token() == oauth.access_token
    assert refreshes(crm_sandbox) == 3


def test_a_401_is_answered_by_one_refresh_and_the_same_call_again(crm_sandbox, oauth, engine, account):
    """A token that the vendor ended early costs one refused call."""
    with Session(replace(account, tokens=source(engine, account))) as session:
        assert session.read("oppo_0")["value"] == 5
        oauth.expire()
        assert session.read("oppo_0")["value"] == 5
    assert [call.status for call in crm_sandbox.audit.calls if call.method == "GET"] == [200, 401, 200]
    assert refreshes(crm_sandbox) == 2


def test_a_401_that_no_refresh_heals_stops_the_run(crm_sandbox, engine, account):
    """A user without access stays without; the call is repeated once, not for ever."""
    crm_sandbox.set(fault_rates={"http_401": 1.0}, fault_methods={"GET"})
    with Session(replace(account, tokens=source(engine, account))) as session:
        with pytest.raises(AuthenticationError):
            session.read("oppo_0")
        with contextlib.suppress(AuthenticationError):
            session.probe()
    assert crm_sandbox.audit.count(method="GET") == 4


def test_a_token_that_lives_for_seconds_is_used(crm_sandbox, oauth, engine, account):
    """For any lifetime, one refresh gives one usable token."""
    oauth.expires_in = 2
    worker = source(engine, account)
    assert worker.token() == worker.token() == oauth.access_token
    assert refreshes(crm_sandbox) == 1


def test_many_threads_refresh_once(crm_sandbox, oauth, engine, account):
    """Sixteen calls at once after the end of a token: one refresh, no call lost."""
    with Session(replace(account, tokens=source(engine, account))) as session, ThreadPoolExecutor(16) as pool:
        session.read("oppo_0")
        oauth.expire()
        assert [record["value"] for record in pool.map(session.read, ["oppo_0"] * 64)] == [5] * 64
    assert refreshes(crm_sandbox) == 2


def start(database, account, times, record_id="oppo_0"):
    """Start a worker process that reads a record so many times."""
    package = str(Path(airflow_provider_crm.__file__).parents[1])
    job = {
        "database": database,
        "url": account.origin,
        "extra": dict(account.credentials.extra),
        "key": os.environ["AIRFLOW__CORE__FERNET_KEY"],
        "times": times,
        "record_id": record_id,
    }
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("oauth_worker.py")), json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))},
    )


def wait_for(condition, seconds=30.0):
    """Wait until a condition holds; whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.mark.long
def test_many_processes_refresh_one_at_a_time(crm_sandbox, oauth, database, account):
    """Four processes lose their token again and again: no process uses a refresh token twice, every call succeeds."""
    for number in range(1, 4):
        crm_sandbox.close.add_opportunity(f"oppo_{number}", value=5)
    workers = {f"oppo_{number}": start(database, account, 800, f"oppo_{number}") for number in range(4)}
    ended = {""}

    def all_use_a_new_token():
        """Whether each worker that runs has read with it; a token that ends before that looks like one that fails."""
        signed = signed_by(crm_sandbox, oauth.access_token)
        running = {record_id for record_id, worker in workers.items() if worker.poll() is None}
        read = {call.path.split("/")[-2] for call in signed if call.status == 200}
        return oauth.access_token not in ended and running <= read

    while any(worker.poll() is None for worker in workers.values()):
        if wait_for(all_use_a_new_token, 1.0):
            ended.add(oauth.access_token)
            oauth.expire()
    assert [json.loads(worker.communicate()[0]) for worker in workers.values()] == [[5] * 800] * 4
    asked = [call.status for call in crm_sandbox.audit.calls if call.path == "/oauth2/token/"]
    assert set(asked) == {200}
    assert 3 < len(asked) <= len(ended)


def signed_by(crm_sandbox, token):
    """The last calls that a token signed."""
    return [call for call in crm_sandbox.audit.calls[-400:] if call.headers.get("authorization") == f"Bearer {token}"]


def test_a_worker_that_dies_in_a_refresh_leaves_the_lock_to_others(crm_sandbox, oauth, database, account):
    """The lock is the transaction's: it ends with the process, and the next one goes on at once."""
    crm_sandbox.set(slow_seconds=60.0)
    script = crm_sandbox.script(faults=["late"], path="/oauth2/token/")
    worker = start(database, account, 1)
    engine = Database(sa.create_engine(database)).engine
    assert wait_for(lambda: not script.left)  # the call has come, and is not answered
    worker.kill()
    worker.communicate()
    slept = []
    assert source(engine, account, clock=Clock(sleep=slept.append)).token() == oauth.access_token
    assert slept == []
    engine.dispose()


def test_a_lost_answer_says_how_to_go_on(crm_sandbox, engine, account):
    """The vendor issued a token that no worker got: the chain is broken, and the message says what to do."""
    crm_sandbox.script(faults=["reset_after"], path="/oauth2/token/")
    clock = Clock(sleep=lambda _: None)
    with pytest.raises(AuthenticationError, match="Authorise the OAuth application again") as caught:
        source(engine, account, clock=clock).token()
    assert caught.value.code == "INVALID_GRANT"


def test_a_new_refresh_token_in_the_connection_begins_a_new_chain(crm_sandbox, oauth, engine, account):
    """After authorising again, the tokens on record no longer count."""
    source(engine, account).token()
    oauth.issue()
    assert source(engine, account_of(crm_sandbox.url, oauth)).token() == oauth.access_token


@pytest.mark.parametrize("fault", ["http_503", "http_429", "reset_before", "html_502"])
def test_a_passing_trouble_of_the_token_endpoint_is_waited_out(crm_sandbox, oauth, engine, account, fault):
    """Nothing was issued, so the same refresh token is tried again."""
    crm_sandbox.script(faults=[fault, fault], path="/oauth2/token/")
    slept = []
    assert source(engine, account, clock=Clock(sleep=slept.append)).token() == oauth.access_token
    assert len(slept) == 2


def test_a_long_wait_of_the_token_endpoint_holds_for_all_threads(crm_sandbox, oauth, engine, account):
    """The threads that come later get the rest of the wait, and none of them asks the vendor before it is over."""
    crm_sandbox.set(throttle_seconds=300.0)
    crm_sandbox.script(faults=["http_429"], path="/oauth2/token/")
    seconds = [0.0]
    worker = source(engine, account, clock=Clock(monotonic=lambda: seconds[0]))
    waits = []
    for seconds[0] in (0.0, 100.0, 250.0):
        with pytest.raises(RateLimitedError) as caught:
            worker.token()
        waits.append(caught.value.retry_after)
    assert (waits, refreshes(crm_sandbox)) == ([300.0, 200.0, 50.0], 1)
    seconds[0] = 300.0
    assert worker.token() == oauth.access_token


def test_a_lasting_trouble_is_transient(crm_sandbox, engine, account):
    """The task's retry tries again."""
    crm_sandbox.script(faults=["http_503"] * 9, path="/oauth2/token/")
    with pytest.raises(TransientError, match="Close's token endpoint answered 503"):
        source(engine, account, clock=Clock(sleep=lambda _: None)).token()


def test_a_wrong_client_secret_is_a_matter_of_the_set_up(oauth, engine, account):
    """The message holds the vendor's code and no secret."""
    oauth.client_secret = "another"
    with pytest.raises(AuthenticationError, match="token endpoint answered 401: invalid_client") as caught:
        source(engine, account).token()
    assert SECRET not in str(caught.value)


def test_a_database_that_cannot_be_written_asks_the_vendor_nothing(crm_sandbox, account, tmp_path):
    """The write comes first, so that no refresh token is spent whose successor could not be kept."""
    path = tmp_path / "tokens.db"
    engine = Database(sa.create_engine(f"sqlite:///{path}")).engine
    source(engine, account).token()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TRIGGER t BEFORE UPDATE ON crm_tokens BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    connection.commit()
    connection.close()
    worker = source(engine, account, clock=Clock(now=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)))
    with pytest.raises(TransientError, match="disk full"):
        worker.token()
    assert refreshes(crm_sandbox) == 1


def test_a_token_that_could_not_be_stored_is_stored_later(crm_sandbox, oauth, account, tmp_path):
    """A database that fails after the vendor has answered does not break the chain while the worker lives."""
    path = tmp_path / "tokens.db"
    engine = Database(sa.create_engine(f"sqlite:///{path}")).engine
    source(engine, account).token()
    execute(path, "CREATE TRIGGER t BEFORE UPDATE OF access_token ON crm_tokens BEGIN SELECT RAISE(ABORT, 'away'); END")
    later = Clock(now=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=2))
    worker = source(engine, account, clock=later)
    with pytest.raises(TransientError, match="away"):
        worker.token()
    execute(path, "DROP TRIGGER t")
    assert worker.token() == oauth.access_token == source(engine, account, clock=later).token()
    assert refreshes(crm_sandbox) == 2
    engine.dispose()


def execute(path, sql):
    """Run one statement on a SQLite file."""
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


@pytest.fixture
def connection(crm_sandbox, oauth, database, monkeypatch):
    """Airflow's connections to the CRM, by OAuth, and to the ledger."""
    extra = {"client_id": oauth.client_id, "client_secret": SECRET, "refresh_token": oauth.refresh_token}
    monkeypatch.setenv(
        "AIRFLOW_CONN_CLOSE_OAUTH", json.dumps({"conn_type": "close", "host": crm_sandbox.url, "extra": extra})
    )
    url = database if database.startswith("sqlite") else pg_json(database)
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", url)
    return extra


def pg_json(database):
    """A PostgreSQL connection on a Unix socket."""
    url = sa.engine.make_url(database)
    return json.dumps(
        {"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": url.database}
    )


def run(ledger_conn_id="ledger", **arguments):
    """Run the operator on one row."""
    defaults = {"task_id": "t", "crm_conn_id": "close_oauth", "id_column": "id", "fields": {"arr": "deal_value"}}
    data = [{"id": "oppo_0", "arr": 7}]
    operator = Impatient(data=data, ledger_conn_id=ledger_conn_id, **{**defaults, **arguments})
    return Run().of(operator.execute)


def test_the_operator_writes_with_tokens_of_the_ledger(crm_sandbox, oauth, connection):
    """Two runs, one refresh; after the end of the token another one."""
    assert run().error is None
    assert run().outcomes == {"unchanged": 1}
    assert refreshes(crm_sandbox) == 1
    oauth.expire()
    assert run(changes_only=False).outcomes == {"updated": 1}
    assert refreshes(crm_sandbox) == 2
    assert crm_sandbox.close.opportunity("oppo_0")["value"] == 700


def test_the_connection_test_works(connection, oauth, crm_sandbox, tmp_path):
    """The hook keeps the tokens in the configured ledger, and renews one that was ended."""
    hook = CrmHook.for_connection("close_oauth", ledger_conn_id="ledger")
    assert hook.test_connection() == (True, "Connected to Close, organization orga_sandbox (USD).")
    oauth.expire()
    assert hook.test_connection()[0]
    assert hook.get_conn().get(f"{crm_sandbox.url}/api/v1/opportunity/oppo_0/").json()["value"] == 5


def test_without_a_ledger_it_is_refused(crm_sandbox, connection):
    """The message says what to name, and that an API key needs none."""
    failed = run(ledger_conn_id=None)
    assert type(failed.error) is AirflowFailException
    assert str(failed.error) == (
        "Connection 'close_oauth' (Close) signs in by OAuth, and its tokens, which are replaced at every use, are "
        "stored in the ledger: name a connection to its database in [crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID)"
        " or as the argument ledger_conn_id, the same for every task on this connection; or use an API key instead."
    )
    assert crm_sandbox.audit.count() == 0


def test_workers_on_other_machines_need_a_shared_ledger(connection, monkeypatch):
    """With another executor the default file is refused in the same words."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    with pytest.raises(ConfigurationError, match="name a connection to its database"):
        CrmHook.for_connection("close_oauth").account()


@pytest.mark.parametrize(("key", "why"), [("", "is empty"), ("nonsense", "is no valid key")])
def test_without_a_fernet_key_it_is_refused(crm_sandbox, connection, monkeypatch, key, why):
    """Tokens are never kept in clear."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", key)
    get_fernet.cache_clear()
    failed = run()
    assert type(failed.error) is AirflowFailException
    assert f"[core] fernet_key (AIRFLOW__CORE__FERNET_KEY) {why}" in str(failed.error)
    assert crm_sandbox.audit.count() == 0


def test_another_fernet_key_is_reported(connection, monkeypatch):
    """A key that was replaced instead of added is named as the cause; added in front, the old one still reads."""
    assert run().error is None
    old, new = os.environ["AIRFLOW__CORE__FERNET_KEY"], Fernet.generate_key().decode()
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", new)
    get_fernet.cache_clear()
    assert "were encrypted with another Fernet key" in str(run().error)
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", f"{new},{old}")
    get_fernet.cache_clear()
    assert run().error is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"client_id": None}, "for OAuth extra.client_id is missing, too"),
        ({"client_secret": ""}, "for OAuth extra.client_secret is missing, too"),
        ({"access_token": "x"}, "besides OAuth (extra.client_id) an API key or access token is set; keep one of them"),
    ],
)
def test_a_half_connection_is_refused(connection, monkeypatch, change, problem):
    """All three parts of OAuth are needed, and nothing else."""
    changed = {"conn_type": "close", "extra": {**connection, **change}}
    monkeypatch.setenv("AIRFLOW_CONN_HALF", json.dumps(changed))
    with pytest.raises(ConfigurationError) as caught:
        CrmHook.for_connection("half", ledger_conn_id="ledger").account()
    assert problem in str(caught.value)


FAULTS = (None, "http_400", "http_401", "http_500", "html_200", "truncated", "reset_after", "redirect_307")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", [None, "/oauth2/token/"])
def test_no_secret_is_shown_or_kept_in_clear(  # noqa: PLR0917 - fixtures
    crm_sandbox, oauth, connection, database, caplog, capfd, monkeypatch, fault, path
):
    """At any failure, logs, exceptions, their pickles and the database hold neither secret nor token."""
    monkeypatch.setattr(clock, "Clock", lambda: Clock(sleep=lambda _: None))
    caplog.set_level(logging.DEBUG)
    issued = {SECRET, oauth.refresh_token, oauth.access_token}
    run()
    issued |= {oauth.refresh_token, oauth.access_token}
    oauth.expire()
    crm_sandbox.script(faults=[fault] * 30, path=path)
    failed = run(changes_only=False)
    issued |= {oauth.refresh_token, oauth.access_token}
    hook = CrmHook.for_connection("close_oauth", ledger_conn_id="ledger")
    account = hook.account()
    shown = repr([hook, vars(hook), account, account.tokens, account.vendor.authentication(account.credentials)])
    out, err = capfd.readouterr()
    shown += caplog.text + out + err + json.dumps(failed.xcom)
    if failed.error is not None:
        assert isinstance(failed.error, AirflowException)
        shown += "".join(traceback.format_exception(failed.error))
        cause = failed.error
        while cause is not None:
            shown += repr(vars(cause)) + repr(pickle.dumps(cause))
            cause = cause.__cause__
    engine = sa.create_engine(database)
    with engine.connect() as opened:
        rows = opened.execute(sa.select(tokens)).all()
    engine.dispose()
    assert len(rows) == 1
    assert [secret for secret in issued if secret in shown + repr(rows)] == []


@pytest.mark.parametrize("expires_in", [-1, 0, "soon", "60", 1e308, 10**400, None, True, [60], {"a": 1}])
def test_a_lifetime_of_any_kind(oauth, expires_in):
    """A lifetime that no token has counts as an hour, a number in a text as what it says: the chain goes on."""
    answer = requests.Response()
    answer.status_code = 200
    answer._content = json.dumps({"access_token": "a", "refresh_token": "b", "expires_in": expires_in}).encode()
    credentials = Credentials(extra={"client_id": "i", "client_secret": "s", "refresh_token": "r"})
    grant = VENDORS["close"].authentication(credentials).grant
    now = dt.datetime(2026, 6, 15, tzinfo=dt.UTC)
    fetched = grant.read(answer, now)
    assert fetched.lifetime == dt.timedelta(seconds=60 if expires_in == "60" else 3600)
    assert fetched.expires_at == now + fetched.lifetime


@pytest.mark.parametrize(
    "answer",
    [
        {"expires_in": 60},
        {"access_token": "", "refresh_token": "b"},
        {"access_token": "a b", "refresh_token": "b"},
        {"access_token": "a\nX-Evil: 1", "refresh_token": "b"},
        {"access_token": "\ud800", "refresh_token": "b"},
        {"access_token": "a", "refresh_token": "\x00"},
        {"access_token": "a" * 9_000, "refresh_token": "b"},
        {"access_token": 5, "refresh_token": "b"},
        [],
        "<html>",
        None,
    ],
)
def test_a_token_that_no_header_can_carry(engine, answer, serve_answer):
    """An answer without tokens that can be sent is a failure that passes; what is stored stays as it was."""
    server = serve_answer(json.dumps(answer).encode() if answer is not None else b"")
    extra = {"client_id": "i", "client_secret": "s", "refresh_token": "r"}
    account = Account(VENDORS["close"], server.url, Credentials(extra=extra), timeout=2.0)
    fetched = source(engine, account, clock=Clock(sleep=lambda _: None))
    with pytest.raises(TransientError, match="token endpoint answered 200 without a record"):
        fetched.token()
    assert fetched.secrets == ()


def test_a_vendor_that_does_not_rotate(engine, serve_answer):
    """An answer without a refresh token leaves the one that was sent in force: it is stored and used the next time."""
    server = serve_answer(b'{"access_token": "a", "expires_in": 1}')
    extra = {"client_id": "i", "client_secret": "s", "refresh_token": "first"}
    account = Account(VENDORS["close"], server.url, Credentials(extra=extra), timeout=2.0)
    for _ in range(2):
        fetched = source(engine, account)
        assert fetched.token() == "a"
        fetched.refused("a")
        assert fetched.token() == "a"
    assert all(b"POST /oauth2/token/" in request for request in server.requests)
    assert len(server.requests) >= 2


@pytest.fixture
def serve_answer():
    """Start a token endpoint that always gives one answer."""
    from .raw_server import RawServer, http

    with contextlib.ExitStack() as stack:
        yield lambda body: stack.enter_context(RawServer(http(body, "Content-Type: application/json")))
