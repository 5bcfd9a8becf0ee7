"""The first worker migrates a ledger of an older version, which keeps everything; a newer ledger is refused."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from airflow_provider_crm.budget.lease import LeasingPacer
from airflow_provider_crm.budget.store import BudgetStore
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import REVISIONS, VERSION, metadata
from airflow_provider_crm.database.versions import _run_scripts
from airflow_provider_crm.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_crm.ledger.claims import ClaimedRow, DesiredRow, Settlement, Verdict
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.plan.store import PlanStore
from airflow_provider_crm.report.combined import combined
from airflow_provider_crm.report.verdict import RunFacts, run_verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.vendors.limits import Limits

from . import version_1

RENAMED = {"crm_tries": {"number": "try_number"}}
ADDED = {
    "crm_field_states": {"claim_value": None},
    "crm_runs": {"progress": None, "pruned_at": None},
    "crm_changes": {"source": None},
}
OLD_REFUSAL = "The ledger is of version {found}, this package knows up to 1; upgrade airflow-provider-crm."
OPEN = """
import sys
import sqlalchemy as sa
from airflow_provider_crm.database.database import Database
database = Database(sa.create_engine(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
database.open()
"""


def ledger_of(database, run_key="dag/write/2026-03-06"):
    """Return the ledger of the old one's account."""
    return Ledger(database, account=version_1.ACCOUNT, run_key=run_key, lease=60.0, clock=Clock(), combine=combined)


def desired(record_id, day, **values):
    """Return the desired row of a day in March."""
    return DesiredRow(record_id, values, dt.datetime(2026, 3, day, tzinfo=dt.UTC))


def with_units(text):
    """Return a report as the present version writes it."""
    return None if text is None else text.replace('"told": ', '"unit": ')


@pytest.fixture
def old_2(old):
    """Return the same ledger as version 2 has migrated it."""
    with old.begin() as connection:
        _run_scripts(connection, 1, 2)
    return old


def test_every_row_is_kept(old, database):
    """All rows of the tables are there, under the columns' new names; only reports name a unit in another way.

    The budgets are new ones, see below.
    """
    before = version_1.rows(old)
    assert [name for name, old_rows in before.items() if not old_rows] == []
    database.open()
    after = version_1.rows(old)
    assert after.pop(REVISIONS) == [{"version_num": f"{VERSION:04}"}]
    assert after.pop("crm_schema_version") == [{"version": VERSION}]
    del before["crm_schema_version"], before["crm_budgets"]
    for row in after["crm_runs"]:
        counts, report = row.pop("outcomes"), json.loads(row["report"] or "{}")
        assert (None if counts is None else json.loads(counts)) == report.get("outcomes")
        ended = row["finished_at"] is not None and row["report"] is not None
        assert row.pop("verdict") == (run_verdict(RunFacts.from_report(report)).word.value if ended else None)
    for name, old_rows in before.items():
        new = RENAMED.get(name, {})
        wanted = [
            {**{new.get(column, column): value for column, value in row.items()}, **ADDED.get(name, {})}
            for row in old_rows
        ]
        for row in wanted:
            if "report" in row:
                row["report"] = with_units(row["report"])
        assert sorted(after[name], key=repr) == sorted(wanted, key=repr), name
    database.close()


def test_reports_of_version_1_are_combined_and_read(old, database):
    """A try of the present version adds up with one of the old version."""
    ledger = ledger_of(database, "dag/write/2026-03-01")
    ledger.open(None)
    ledger.close({"outcomes": {"updated": 1, "unchanged": 2}, "budget": None, "rows": 3})
    (run,) = [row for row in version_1.rows(old)["crm_runs"] if row["run_key"] == "dag/write/2026-03-01"]
    assert (run["tries"], json.loads(run["report"])["outcomes"]) == (3, {"updated": 3})
    database.close()


def test_claims_and_data_times_hold(database):
    """A claim of a run that version 1 began keeps others away; older data stays out, and equal data costs no call."""
    ledger = ledger_of(database)
    ledger.open(None)
    rows = [
        desired("oppo_3", 6, value="1"),
        desired("oppo_1", 2, value="1"),
        desired("oppo_1", 6, note='"seven"'),
        desired("oppo_gone", 6, note='"x"', value="300"),
    ]
    verdicts = [claim.verdict for claim in ledger.claim(rows)]
    assert verdicts == [Verdict.BUSY, Verdict.STALE, Verdict.UNCHANGED, Verdict.SEND]
    (doubtful,) = ledger.claim([desired("oppo_2", 6, **{"custom.killed": '"k"'})])
    assert (doubtful.verdict, doubtful.doubtful) == (Verdict.SEND, {"custom.killed"})
    database.close()


def test_a_stored_plan_is_the_one_that_was_approved(database):
    """The digest of a plan of version 1 is that of its rows, so that it can be applied."""
    store = PlanStore(database)
    with store.copy(store.load(version_1.PLAN), version_1.DIGEST) as rows:
        assert [row.record_id for batch in rows for row in batch] == [f"oppo_{number}" for number in (1, 1, 2, 2, 3, 3)]
    database.close()


@pytest.mark.parametrize("version", ["old", "old_2"])
def test_shared_budgets_are_learned_again(version, database, request):
    """What versions 1 and 2 knew of the limits is gone; the first answer fills the row of its budget."""
    engine = request.getfixturevalue(version)
    name = version_1.rows(engine)["crm_budgets"][0]["name"]
    database.open()
    assert version_1.rows(engine)["crm_budgets"] == []
    pacer = LeasingPacer(Clock(), BudgetStore(database), name)
    pacer.record_answer(pacer.acquire(), [Limits(limit=40, remaining=39, reset=60.5)])
    pacer.close()
    (row,) = version_1.rows(engine)["crm_budgets"]
    assert (row["name"], row["call_limit"], row["used"]) == (name, 40, 1)
    database.close()


def test_all_ways_lead_to_the_same_tables(raw, new_database, tmp_path):
    """Scripts on an empty database make what `create_all` makes; so do they on a ledger of version 1."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engines = [raw]
    for _ in range(2):
        kind = raw.dialect.name
        engines.append(
            sa.create_engine(f"sqlite:///{tmp_path / str(len(engines))}" if kind == "sqlite" else new_database())
        )
    created, scripted, migrated = engines
    Database(created).open()
    Database(scripted)
    with scripted.begin() as connection:
        _run_scripts(connection, 0)
    version_1.fill(migrated)
    Database(migrated).open()
    for engine in engines:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == [], engine.url
            if dialect_of(engine).after_create:
                (options,) = connection.exec_driver_sql(
                    "SELECT reloptions FROM pg_class WHERE relname = 'crm_field_states'"
                ).scalars()
                assert options == ["fillfactor=70"]
        engine.dispose()


def test_several_processes_at_once_migrate_once(old):
    """The first process migrates; the others wait, and then have nothing to do."""
    url = old.url.render_as_string(hide_password=False)
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    for worker in workers:
        worker.stdin.close()
        worker.stdout.close()
    after = version_1.rows(old)
    assert (len(after["crm_runs"]), after["crm_schema_version"]) == (8, [{"version": VERSION}])


def test_several_threads_at_once_migrate_once(old):
    """Also within one process, with a database object for each thread."""
    databases = [Database(sa.create_engine(old.url)) for _ in range(4)]
    together = threading.Barrier(4)

    def open_it(database):
        together.wait()
        database.open()
        database.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(open_it, databases))
    assert version_1.rows(old)["crm_schema_version"] == [{"version": VERSION}]


def test_opening_costs_one_query(database):
    """A ledger of the present version is opened by one SELECT, once for each object."""
    database.open()
    reopened, statements = Database(sa.create_engine(database.engine.url)), []
    event.listen(reopened.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    reopened.open()
    reopened.open()
    assert [text for text in statements if text.startswith("SELECT")] == [
        "SELECT max(crm_schema_version.version) AS max_1 \nFROM crm_schema_version"
    ]
    assert [text for text in statements if not text.startswith(("SELECT", "BEGIN"))] == []
    reopened.close()
    database.close()


def test_a_newer_ledger_is_refused_by_name(database):
    """The sentence names both versions, and nothing is changed."""
    database.open()
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE crm_schema_version SET version = 99"))
    newer = Database(database.engine)
    with pytest.raises(ConfigurationError, match=f"ledger is of version 99, this package knows up to {VERSION}; up"):
        newer.open()
    database.close()


def test_an_older_package_refuses_a_migrated_ledger(database):
    """Version 1 creates missing tables, then compares the number: it finds a newer one, and ends with its sentence."""
    database.open()
    with database.engine.begin() as connection:
        # As `ledger_schema.migrate` of version 1 asks.
        newest = connection.execute(sa.text("SELECT max(crm_schema_version.version) FROM crm_schema_version")).scalar()
    assert newest > 1
    assert OLD_REFUSAL.format(found=newest).startswith(f"The ledger is of version {VERSION}, this ")
    database.close()


OLD_BUDGET = (
    "SELECT number, call_limit, granted, counted, strangers, opened_at, ends_at, length, found FROM crm_budgets"
)
BUDGET_2 = (
    "SELECT window_number, call_limit, granted, counted, external_calls, opened_at, ends_at, length, discovered "
    "FROM crm_budgets"
)
OLD_REPORT = "UPDATE crm_tries SET report = '{}' WHERE run_key = 'dag/write/2026-03-05' AND number = 1"


@pytest.mark.parametrize(
    ("version", "statement"),
    [("old", OLD_BUDGET), ("old", OLD_REPORT), ("old_2", BUDGET_2)],
    ids=["budget", "report", "budget of version 2"],
)
def test_an_older_worker_stops_in_mid_run(version, database, statement, request):
    """Its request to the shared budget, and a report of version 1, are database errors: it sends nothing more."""
    with request.getfixturevalue(version).begin() as connection:
        connection.execute(sa.text(statement))
    database.open()
    with (
        pytest.raises(LedgerUnavailableError, match=r"no such column|column .*does not exist"),
        database.transaction() as running,
    ):
        running.execute(sa.text(statement))
    database.close()


def test_a_worker_of_version_1_records_what_it_has_sent(old, database):
    """Claims that it took before the migration are settled after it: the tables of claims and changes are the same."""
    database.open()
    settle = """
        UPDATE crm_field_states SET known = true, value = '990000', as_of = claim_as_of, run_key = claim_run_key,
        acknowledged_at = claim_as_of, claim_token = NULL, claim_as_of = NULL, claim_run_key = NULL,
        claimed_until = NULL WHERE record_id = 'oppo_3' AND claim_run_key = 'dag/write/2026-03-05'
    """
    log = """
        INSERT INTO crm_changes
        (run_key, account, record_id, field, before, before_known, after, outcome, code, reason, at)
        SELECT run_key, account, record_id, field, NULL, false, value, 'updated', '', '', acknowledged_at
        FROM crm_field_states WHERE record_id = 'oppo_3' AND field = 'value'
    """
    with old.begin() as connection:
        assert connection.execute(sa.text(settle)).rowcount == 1
        assert connection.execute(sa.text(log)).rowcount == 1
    ledger = ledger_of(database)
    ledger.open(None)
    (claim,) = ledger.claim([desired("oppo_3", 6, value="990000")])
    assert claim.verdict is Verdict.UNCHANGED
    database.close()


def test_a_migrated_ledger_is_written_as_ever(database):
    """Rows that were claimed after the migration are settled, and logged after those of version 1."""
    ledger = ledger_of(database)
    ledger.open(None)
    row = desired("oppo_1", 6, value="1")
    (claim,) = ledger.claim([row])
    outcome = Outcome(0, "oppo_1", OutcomeWord.UPDATED)
    ledger.settle([Settlement(ClaimedRow(row, claim), outcome, frozenset({"value"}))])
    last = version_1.rows(database.engine)["crm_changes"]
    assert max(last, key=lambda line: line["id"])["after"] == "1"
    database.close()
