"""The accounts of the ledger: one customer is one account, and never another organization."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.session import Session
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import accounts
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import ledger_database
from airflow_provider_crm.ledger.accounts import AccountNames
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import Credentials

ARGUMENTS = {"id_column": "id", "fields": {"arr": "deal_value"}}
ROW = [{"id": "opp_1", "arr": 5}]


class AnHourLater(UpdateOpportunityOperator):
    """The operator at a later time."""

    def session_for(self, account):
        """Use that time."""
        return Session(account, clock=Clock(now=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)))


@pytest.fixture
def connect(deals, monkeypatch):
    """Define a connection to the sandbox."""

    def define(conn_id, key=None, *, vendor="raze", host=deals.url, **extra):
        connection = {
            "conn_type": vendor,
            "password": key or getattr(deals, vendor).api_key,
            "host": host,
            "extra": extra,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return define


@pytest.fixture
def write(task):
    """Write one row by a connection."""
    number = iter(range(100))

    def run(conn_id, *, data=ROW, kind=UpdateOpportunityOperator, **more):
        return task(kind, **{**ARGUMENTS, **more}, crm_conn_id=conn_id, data=data, run_id=f"run {next(number)}")

    return run


def test_another_organization_behind_the_same_connection_stops_the_run(deals, connect, write, stored):
    """Nothing counts as unchanged there that was written elsewhere: nothing is sent, and the reason says the cure."""
    connect("raze_default")
    assert write("raze_default").outcomes == {"updated": 1}
    connect("raze_default", deals.raze.add_key())
    deals.raze.add_opportunity("opp_1", deal_value="1.00")
    sent = deals.audit.count()
    for more in ({}, {"dry_run": True}, {"kind": PlanOpportunityUpdatesOperator}):
        stopped = write("raze_default", **more)
        assert isinstance(stopped.error, AirflowFailException)
        assert "run `airflow crm account confirm raze_default`" in str(stopped.error)
        assert "another connection id" in str(stopped.error)
        assert deals.raze.api_key not in str(stopped.error)
    assert deals.audit.count() == sent
    connect("raze_default", deals.raze.add_key(), account="acme")
    other = write("raze_default")
    assert other.outcomes == {"updated": 1}
    assert other.report["account"].endswith(":acme")


def test_a_rotated_key_is_confirmed_once(deals, connect, write, crm_command, stored):
    """One command, on record with who ran it; then the ledger knows what it knew."""
    connect("raze_default")
    account = write("raze_default").report["account"]
    connect("raze_default", deals.raze.add_key())
    assert write("raze_default").error is not None
    assert f"leads to {account} also with its new key" in crm_command("account", "confirm", "raze_default")
    again = write("raze_default")
    assert (again.outcomes, again.report["account"]) == ({"unchanged": 1}, account)
    assert "nothing to confirm" in crm_command("account", "confirm", "raze_default")
    by = {(row["kind"], row["confirmed_by"] is None) for row in stored(accounts)}
    assert by == {("connection", True), ("key", True), ("key", False)}


def test_two_connections_with_one_key_are_one_account(deals, connect, write):
    """The account has the name of the one that was used first, and older data of the other is stale."""
    connect("first")
    connect("second", host=deals.url.replace("127.0.0.1", "localhost"))
    one, other = write("first"), write("second")
    assert (one.outcomes, other.outcomes) == ({"updated": 1}, {"unchanged": 1})
    assert one.report["account"] == other.report["account"]
    assert one.report["account"].endswith(":first")


def test_two_connections_with_keys_of_their_own_share_an_account_by_its_name(deals, connect, write, crm_command):
    """The extra's `account` names it, and the second key is confirmed once."""
    connect("reader", account="acme")
    connect("writer", deals.raze.add_key(), account="acme")
    account = write("reader").report["account"]
    assert write("writer").error is not None
    crm_command("account", "confirm", "writer")
    other = write("writer")
    assert (other.outcomes, other.report["account"]) == ({"unchanged": 1}, account)


def test_two_connections_that_swap_their_keys_are_noticed(deals, connect, write, crm_command):
    """The key says which account it is; the run still stops, as it may be a mistake."""
    keys = deals.raze.api_key, deals.raze.add_key()
    names = {}
    for conn_id, key in zip(("north", "south"), keys, strict=True):
        connect(conn_id, key)
        names[conn_id] = write(conn_id).report["account"]
    connect("north", keys[1])
    stopped = write("north")
    assert f"led to the account {names['north']} until now, and has the key of {names['south']}" in str(stopped.error)
    assert f"leads to {names['south']} from now on" in crm_command("account", "confirm", "north")
    assert write("north").report["account"] == names["south"]


def test_a_first_key_that_was_wrong_is_replaced_without_a_word(deals, connect, write, stored):
    """Nothing was written with it, so nothing is believed; it says nothing about a connection that has it later."""
    wrong = deals.raze.add_key()
    deals.raze.remove_key(wrong)
    connect("raze_default", wrong)
    assert "INVALID_API_KEY" in str(write("raze_default").error)
    connect("raze_default")
    assert "account confirm" in str(write("raze_default").error)  # a run with the other key may be on its way
    assert write("raze_default", kind=AnHourLater).outcomes == {"updated": 1}
    assert len([row for row in stored(accounts) if row["kind"] == "key"]) == 1


def test_without_a_ledger_there_is_nothing_to_confirm(deals, connect, write):
    """Nothing is believed, so nothing can be believed wrongly."""
    connect("raze_default")
    write("raze_default", ledger_conn_id=None)
    connect("raze_default", deals.raze.add_key())
    assert write("raze_default", ledger_conn_id=None).outcomes == {"updated": 1}


def test_close_names_the_organization_of_a_key(deals, connect, write, crm_command, stored):
    """Two connections, two keys, two spellings of the host: one organization, and nothing to confirm."""
    row = [{"id": "oppo_1", "arr": 5}]
    connect("one", vendor="close")
    connect("two", deals.close.add_key(), vendor="close", host=deals.url.replace("127.0.0.1", "LocalHost"))
    assert write("one", data=row).outcomes == {"updated": 1}
    assert write("two", data=row).outcomes == {"unchanged": 1}
    assert "Close names the organization of the key (orga_sandbox): nothing to confirm." in crm_command(
        "account", "confirm", "one"
    )
    assert stored(accounts) == []


def test_a_connection_that_cannot_be_read_is_a_sentence(connect, crm_command):
    """No traceback, whatever the command is given."""
    assert "There is no connection 'nobody'" in crm_command("account", "confirm", "nobody")


@pytest.mark.parametrize("names", [("one", "two"), ("one", "one")])
def test_first_runs_at_the_same_time_agree(ledger_conn_id, stored, names):
    """Whichever comes first names the account; the others find it."""
    ready = [Account(VENDORS["raze"], "https://a.example", Credentials("key"), name=name) for name in names * 4]

    def resolve(account):
        engine = ledger_database(ledger_conn_id).engine
        try:
            return AccountNames(Database(engine), Clock()).resolve(account, note=True)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(resolve, ready))
    assert len(found) == 1
    assert {row["account"] for row in stored(accounts)} == found
    assert len(stored(accounts)) == 1 + len(set(names))


def test_two_first_runs_with_two_keys_cannot_both_be_right(ledger_conn_id, stored):
    """One of them names the account; the other has to be confirmed."""
    pair = [Account(VENDORS["raze"], "https://a.example", Credentials(key), name="one") for key in ("key 1", "key 2")]

    def resolve(account):
        engine = ledger_database(ledger_conn_id).engine
        try:
            return AccountNames(Database(engine), Clock()).resolve(account, note=True)
        except ConfigurationError as err:
            return err.code
        finally:
            engine.dispose()

    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(resolve, pair))
    assert found == {"raze:a.example:one", "ACCOUNT_CHANGED"}
    engine = ledger_database(ledger_conn_id).engine
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one() == 2
    engine.dispose()
