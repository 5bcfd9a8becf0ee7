"""The ledger's database slower than claims live: nothing is sent under a lease that may have run out, nothing is lost.

A trigger in the database writes down every claim, renewal and release, so that each call that the CRM received can be
compared with the lease that was on record at that moment.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.ledger.claims import Verdict
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined

from .conftest import DAY, desired
from .deals import Deals
from .slow_server import slow_server

pytestmark = pytest.mark.long

LEASE, TIMEOUT = 2.5, 1.0
# Seconds by which each answer is late; claiming takes about seven of them, renewing four, settling eight.
BEARABLE, UNBEARABLE = 0.1, 0.7
OLD, NEW = {"value": 5, "day": 0}, {"value": 6, "day": 1}
RUNS = {run["value"]: f"day {run['day']}" for run in (OLD, NEW)}
NOW = {"sqlite": "microseconds()", "postgresql": "clock_timestamp()"}
NOTE = "INSERT INTO leases SELECT NEW.record_id, NEW.claim_run_key, NEW.claimed_until, {now}"
TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER note_{kind} AFTER {kind} ON crm_field_states BEGIN {NOTE}; END"
        for kind in ("insert", "update")
    ],
    "postgresql": [
        f"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {NOTE}; RETURN NULL; END $$",
        "CREATE TRIGGER note AFTER INSERT OR UPDATE ON crm_field_states FOR EACH ROW EXECUTE FUNCTION note()",
    ],
}


def write_down_leases(engine):
    """Let the database write down who holds which record until when."""
    Database(engine).open()
    kind = engine.dialect.name
    time_type = "timestamptz" if kind == "postgresql" else "text"
    columns = f"record_id text, run_key text, until {time_type}, at {time_type}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE leases ({columns})")
        for trigger in TRIGGERS[kind]:
            connection.exec_driver_sql(trigger.format(now=NOW[kind]))


def read_microseconds(connection, _):
    """SQLite's own clock has milliseconds, within which a row may be sent and settled."""
    connection.create_function("microseconds", 0, lambda: str(dt.datetime.now(dt.UTC).replace(tzinfo=None)))


def sent_without_a_lease(deals, engine):
    """Calls of which the sender held no lease when they arrived: record, value, seconds since the lease ran out."""
    leases = {}
    with engine.begin() as connection:
        for record_id, run_key, until, at in connection.exec_driver_sql("SELECT * FROM leases ORDER BY at"):
            leases.setdefault(record_id, []).append((moment(at), run_key, moment(until)))
    found = []
    for write in deals.sandbox.audit.writes:
        _, run_key, until = [lease for lease in leases[write.record_id] if lease[0] <= write.at][-1]
        value = write.fields["value"] // 100
        if run_key != RUNS[value] or until is None or until <= write.at:
            found.append((write.record_id, value, run_key, until and (write.at - until).total_seconds()))
    return found


def moment(stored):
    """A moment, as either database tells it."""
    if stored is None or isinstance(stored, dt.datetime):
        return stored
    return dt.datetime.fromisoformat(stored).replace(tzinfo=dt.UTC)


@pytest.fixture
def deals(crm_sandbox):
    """Sixteen deals."""
    return Deals(crm_sandbox, 16, lease=LEASE, timeout=TIMEOUT)


@pytest.fixture
def direct(new_database):
    """The engine of a PostgreSQL database that is as fast as it is."""
    engine = Database(sa.create_engine(new_database())).engine
    write_down_leases(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def slow(direct):
    """The same database through a slow socket: the socket, and the engine."""
    with slow_server(direct.url) as (server, url):
        engine = Database(sa.create_engine(url)).engine
        yield server, engine
        engine.dispose()


def test_slow_answers_take_time_and_nothing_else(crm_sandbox, direct, slow):
    """While leases outlive the answers, every row lands, once, and under its lease."""
    deals = Deals(crm_sandbox, 40, lease=2 * LEASE, timeout=TIMEOUT)
    server, engine = slow
    server.seconds = BEARABLE
    words, stopped = deals.run(engine, **OLD)
    assert (words, stopped) == ({"updated": 40}, None)
    assert deals.sent() == dict.fromkeys(deals.records, 1)
    assert sent_without_a_lease(deals, direct) == []


@pytest.mark.parametrize("after", [0, 8])
def test_answers_that_outlast_leases_stop_the_run(deals, direct, slow, after):
    """A lease that is over when the answer to its renewal comes is none; with the database fast again all lands."""
    server, engine = slow

    def slow_down():
        server.seconds = UNBEARABLE

    words, stopped = deals.run(engine, after=(after, slow_down), **OLD)
    assert sent_without_a_lease(deals, direct) == []
    deals.check_stop(words, stopped, "slow")
    server.seconds = 0.0
    deals.check_resumption(engine)
    deals.check_values(5)
    assert sent_without_a_lease(deals, direct) == []


def test_a_slow_run_and_a_newer_one(deals, direct, slow):
    """A newer run waits for leases and takes over what they leave; the slow one does not get past it any more."""
    server, engine = slow
    ends = []

    def overtake():
        server.seconds = UNBEARABLE
        ends.append(deals.run(direct, **NEW))

    words, stopped = deals.run(engine, after=(8, overtake), **OLD)
    assert ends == [({"updated": 16}, None)]
    assert words.keys() <= {"updated", "failed", "stale", "not_sent"}
    assert stopped is None or stopped.code == "LEDGER"
    deals.check_values(6)
    server.seconds = 0.0
    words, stopped = deals.run(engine, **OLD)
    assert (words, stopped) == ({"stale": 16}, None)
    deals.check_values(6)
    assert sent_without_a_lease(deals, direct) == []


@pytest.fixture
def ledger_of():
    """Make a ledger of another run on an engine."""

    def make(engine):
        return Ledger(
            Database(engine), combine=combined, account="close:test", run_key="run", lease=60.0, clock=Clock()
        )

    return make


@pytest.mark.parametrize("step", range(10))
def test_a_renewal_and_a_take_over_at_once(ledger_of, direct, slow, step):
    """Of a holder that renews a lease that ran out, and another that takes it over, one gets it."""
    server, engine = slow
    holder, other = ledger_of(direct), ledger_of(engine)
    other.claim([desired("another", value=1)])  # connected
    (claim,) = holder.claim([desired(value=1)])
    with direct.begin() as connection:
        connection.execute(sa.update(field_states).values(claimed_until=DAY))
    server.seconds = BEARABLE
    claims = []
    taking = threading.Thread(target=lambda: claims.extend(other.claim([desired(value=2, day=1)])))
    taking.start()
    time.sleep(step * BEARABLE)
    renewed = holder.renew(desired(value=1), claim)
    taking.join()
    assert claims[0].verdict is (Verdict.SEND if renewed is None else Verdict.BUSY)


@pytest.fixture
def locked_file(tmp_path):
    """Return a SQLite file that another program writes to nearly all the time, longer than a lease each time."""
    path = tmp_path / "ledger.db"
    engine = Database(sa.create_engine(f"sqlite:///{path}")).engine
    event.listen(engine, "connect", read_microseconds)
    write_down_leases(engine)
    over = threading.Event()

    def write_all_the_time():
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as other:
            while not over.is_set():
                other.execute("BEGIN IMMEDIATE")
                over.wait(LEASE + 0.3)
                other.execute("COMMIT")
                over.wait(0.3)

    writer = threading.Thread(target=write_all_the_time)
    writer.start()
    yield engine, over
    over.set()
    writer.join()
    engine.dispose()


def test_locks_that_outlast_leases(deals, locked_file):
    """Each transaction waits longer than a lease: the run takes long or says why it ends, and nothing is lost."""
    engine, over = locked_file
    words, stopped = deals.run(engine, **OLD)
    assert sent_without_a_lease(deals, engine) == []
    assert words == {"updated": 16} or (isinstance(stopped, TransientError) and stopped.code == "LEDGER")
    over.set()
    deals.check_resumption(engine)
    deals.check_values(5)
    assert sent_without_a_lease(deals, engine) == []
