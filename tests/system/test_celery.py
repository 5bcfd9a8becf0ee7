"""The sharded example on a real CeleryExecutor: two workers, one of them killed while its tasks write."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from airflow_provider_crm.sandbox import Sandbox

from .cluster import airflow, family, kill, run, started, wait_for
from .standalone import free_port

pytestmark = pytest.mark.long

DAY = "2026-11-01"
LOGICAL_DATE = f"{DAY}T04:00:00+00:00"
ROWS = 4_000
SHARDS = 8
SLOTS = 2
IN_FLIGHT = 8  # the operator's own `concurrency`
MID_RUN = range(20, ROWS // SHARDS // 2)  # rows that a task has written


@dataclass(frozen=True)
class Proof:
    """What one run with a killed worker left behind.

    Attributes:
        sandbox: The CRM.
        metadata: Engine of Airflow's database.
        ledger: Engine of the ledger.
        killed: Shards whose tasks were running in the killed worker.
        alive: Shards whose tasks were running in the other one at that moment.
        calls_before: Calls that had reached the CRM when the worker was dead.
    """

    sandbox: Sandbox
    metadata: sa.Engine
    ledger: sa.Engine
    killed: frozenset[int]
    alive: frozenset[int]
    calls_before: int


def query(engine, sql):
    """All rows of a query; none while its first table is not there yet."""
    with engine.connect() as connection:
        table = sql.split(" FROM ")[1].split()[0]
        if not sa.inspect(connection).has_table(table):
            return []
        return [tuple(row) for row in connection.execute(sa.text(sql))]


def listens(port):
    """Whether somebody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """The URL of a Redis that keeps nothing on disk."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "There is no redis-server on this machine, which Celery needs as its broker; install redis-server."
        if "CI" in os.environ:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with started("redis", command, dict(os.environ), folder):
        wait_for(folder, "the start of Redis", 60, lambda: listens(port))
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def ledger(new_database):
    """The engine of an empty PostgreSQL database for the ledger."""
    engine = sa.create_engine(new_database())
    yield engine
    engine.dispose()


def cluster_environment(home, metadata, ledger, broker, port):
    """The settings that all processes of one Airflow share, and that notice a dead worker within half a minute."""
    close = json.loads(home.environment["AIRFLOW_CONN_CLOSE_DEFAULT"])
    place = {"host": ledger.url.query["host"], "login": ledger.url.username, "schema": ledger.url.database}
    return home.environment | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.url.render_as_string(hide_password=False),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": "of this test",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of this test, and long enough for what signs with it: 64 bytes or more",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
        "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
        # The dead worker's messages stay with it: what runs again does so by Airflow's retry, not by Redis.
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # no run but the one that is asked for
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
        "AIRFLOW__CRM__LEDGER_CONN_ID": "crm_ledger",
        # The rows that a dead worker had in flight are free again after two timeouts and half a minute.
        "AIRFLOW_CONN_CLOSE_DEFAULT": json.dumps({**close, "extra": {**close["extra"], "timeout": 10}}),
        "AIRFLOW_CONN_CRM_LEDGER": json.dumps({"conn_type": "postgres", **place}),
    }


def shards_by_worker(metadata, workers):
    """For each worker, the shards whose tasks run in it now."""
    sql = "SELECT map_index, pid FROM task_instance WHERE state = 'running' AND pid IS NOT NULL"
    running = query(metadata, sql)
    pids = [{one.pid for one in family(worker)} for worker in workers]
    return [frozenset(shard for shard, pid in running if pid in own) for own in pids]


def shard_of(run_key):
    """The map index in a run key."""
    return int(run_key.partition("[")[2].partition("]")[0])


def in_mid_run(metadata, ledger, workers):
    """The shards of each worker, once both write and all slots of the first have tasks that are well under way.

    A task that is about to start or to end would make it a matter of luck what the kill hits.
    """
    sql = "SELECT run_key, count(DISTINCT record_id) FROM crm_changes GROUP BY run_key"
    written = {shard_of(run_key): number for run_key, number in query(ledger, sql)}
    first, second = shards_by_worker(metadata, workers)
    under_way = sum(written.get(shard, 0) in MID_RUN for shard in first) == SLOTS
    return (first, second) if under_way and second else None


@pytest.fixture(scope="module")
def proof(broker, world, row, metadata, ledger):
    """The example's run of one day, during which the first of two workers is killed."""
    deals = [row(DAY, number, arr=f"{1000 + number}.{number % 100:02d}") for number in range(ROWS)]
    made = world(deals, dags={"sharded.py"})
    made.sandbox.set(fault_rates={"slow": 1.0}, fault_methods={"PUT"}, slow_seconds=0.1)
    port, root = free_port(), made.home.root
    environment = cluster_environment(made.home, metadata, ledger, broker, port)
    run(airflow("db", "migrate"), environment, root)
    with ExitStack() as stack:

        def start(name, *arguments):
            return stack.enter_context(started(name, airflow(*arguments), environment, root))

        for name in ("api-server", "scheduler", "dag-processor"):
            start(name, name)
        workers = [
            start(name, "celery", "worker", "--skip-serve-logs", "--celery-hostname", name)
            for name in ("worker-1", "worker-2")
        ]
        wait_for(root, "serializing the DAG", 400, lambda: query(metadata, "SELECT 1 FROM serialized_dag"))
        run(airflow("dags", "trigger", "crm_sharded", "--logical-date", LOGICAL_DATE), environment, root)
        killed, alive = wait_for(root, "work of both workers", 400, lambda: in_mid_run(metadata, ledger, workers))
        kill(workers[0])
        calls_before = made.sandbox.audit.count()
        over = "SELECT 1 FROM dag_run WHERE state IN ('success', 'failed')"
        wait_for(root, "the end of the run", 400, lambda: query(metadata, over))
    return Proof(made.sandbox, metadata, ledger, killed, alive, calls_before)


def sent(proof):
    """The record of every call that wrote, with the number of the call, in order."""
    return [(call.number, call.path.split("/")[-2]) for call in proof.sandbox.audit.calls if call.method == "PUT"]


def writers(proof):
    """The shards that wrote each record, by the ledger."""
    found = {}
    for record_id, run_key in query(proof.ledger, "SELECT DISTINCT record_id, run_key FROM crm_changes"):
        found.setdefault(record_id, set()).add(shard_of(run_key))
    return found


def test_the_run_ends_green_after_the_retry_of_the_killed_tasks(proof):
    """All tasks succeed: those of the killed worker with their second try, all others with their first."""
    assert query(proof.metadata, "SELECT state FROM dag_run") == [("success",)]
    tasks = query(proof.metadata, "SELECT map_index, state, try_number FROM task_instance ORDER BY map_index")
    assert tasks == [(shard, "success", 2 if shard in proof.killed else 1) for shard in range(SHARDS)]


def test_both_workers_took_part(proof):
    """When the first worker was killed, all of its slots had tasks, and the other worker had some of its own."""
    assert proof.killed.isdisjoint(proof.alive)
    assert len(proof.killed) == SLOTS
    assert 1 <= len(proof.alive) <= SLOTS


def test_the_worker_died_in_mid_run(proof):
    """Each of its tasks had sent some of its rows, and not all."""
    found = writers(proof)
    for shard in proof.killed:
        own = {record_id for record_id, shards in found.items() if shards == {shard}}
        before = {record_id for number, record_id in sent(proof) if number <= proof.calls_before and record_id in own}
        assert 0 < len(before) < len(own)


def test_every_row_is_in_the_crm(proof):
    """Each record holds its own row's values, to the cent."""
    records = [proof.sandbox.close.opportunity(f"oppo_{number}") for number in range(ROWS)]
    found = [(record["value"], record["custom.cf_health"]) for record in records]
    assert found == [((1000 + number) * 100 + number % 100, "green") for number in range(ROWS)]


def test_no_row_is_sent_by_two_shards(proof):
    """The ledger names exactly one task for every record, and the eight reports count each row once."""
    found = writers(proof)
    assert len(found) == ROWS
    assert {len(shards) for shards in found.values()} == {1}
    reports = [json.loads(report) for (report,) in query(proof.ledger, "SELECT report FROM crm_runs")]
    assert len(reports) == SHARDS
    assert sum(report["rows"] for report in reports) == ROWS
    assert all(report["rows"] for report in reports)


def test_only_rows_in_flight_are_sent_twice(proof):
    """Each row is sent once, but for those that a killed task had sent without having noted the answer."""
    often, found = Counter(record_id for _, record_id in sent(proof)), writers(proof)
    twice = [record_id for record_id, number in often.items() if number > 1]
    assert set(often.values()) <= {1, 2}
    assert len(twice) <= IN_FLIGHT * len(proof.killed)
    assert all(found[record_id] <= proof.killed for record_id in twice)
