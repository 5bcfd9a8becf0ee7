"""A ledger moves between databases in one file: the same rows, byte for byte, or nothing and a sentence."""

from __future__ import annotations

import gzip
import json
import stat
import tracemalloc

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.portable import export_ledger, import_ledger
from airflow_provider_crm.database.schema import VERSION, changes
from airflow_provider_crm.exceptions import ConfigurationError

from . import version_1

FROM_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For what is true of the file, whichever database it comes from."""


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request, tmp_path, new_database):
    """A database without tables, of each kind, to import into."""
    url = f"sqlite:///{tmp_path / 'other.db'}" if request.param == "sqlite" else new_database()
    made = Database(sa.create_engine(url))
    yield made
    made.close()


@pytest.fixture
def exported(database, tmp_path):
    """A file with rows of every table."""
    path = tmp_path / "ledger.jsonl.gz"
    export_ledger(database, path)
    yield path
    database.close()


def lines_of(path):
    """The lines of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def rewrite(path, lines):
    """A file with other lines."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    return path


def add_lines(database, number):
    """Add lines to the change log."""
    text = """
        INSERT INTO crm_changes
        (run_key, account, record_id, field, before, before_known, after, outcome, code, reason, at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :number)
        SELECT run_key, account, record_id, field, before, before_known, after, outcome, code, reason, at
        FROM n, (SELECT * FROM crm_changes LIMIT 1) AS one
    """
    with database.transaction() as connection:
        connection.execute(sa.text(text), {"number": number})


def test_every_row_arrives_byte_for_byte(exported, other, tmp_path):
    """Exported again from the other database, the file is the same: texts, moments, numbers, booleans and nulls."""
    counted = import_ledger(other, exported)
    assert sum(counted.values()) == len(lines_of(exported)) - 2 - len(counted)
    again = tmp_path / "again.jsonl.gz"
    assert export_ledger(other, again) == counted
    assert again.read_bytes() == exported.read_bytes()
    assert all(counted[name] for name in ("crm_runs", "crm_changes", "crm_field_states", "crm_tokens", "crm_plan_rows"))


def test_new_lines_come_after_the_imported_ones(exported, other):
    """The number of the next line of the change log is not one that is taken."""
    import_ledger(other, exported)
    with other.transaction() as connection:
        last = connection.execute(sa.select(sa.func.max(changes.c.id))).scalar_one()
    add_lines(other, 1)
    with other.transaction() as connection:
        assert connection.execute(sa.select(sa.func.max(changes.c.id))).scalar_one() == last + 1


@FROM_SQLITE
def test_tokens_stay_encrypted(exported, database):
    """The file has the texts of the table, which only Airflow's Fernet key opens."""
    with database.transaction() as connection:
        stored = connection.execute(sa.text("SELECT access_token FROM crm_tokens")).scalars().all()
    assert stored
    text = "\n".join(lines_of(exported))
    assert all(token in text for token in stored if token)


@FROM_SQLITE
def test_only_its_owner_may_read_the_file(exported):
    """It has the values of the CRM."""
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_overwritten(exported, database):
    """It may be the backup of another day."""
    before = exported.read_bytes()
    with pytest.raises(ConfigurationError, match=r"ledger.jsonl.gz is there already; name a new file"):
        export_ledger(database, exported)
    assert exported.read_bytes() == before
    assert [path.name for path in exported.parent.glob("*.part")] == []


def test_a_ledger_with_rows_is_refused(exported, database):
    """Two ledgers cannot be merged; nothing changes."""
    before = version_1.rows(database.engine)
    with pytest.raises(ConfigurationError, match=r"The ledger is not empty: crm_\w+ has rows. Import into a new data"):
        import_ledger(database, exported)
    assert version_1.rows(database.engine) == before


@FROM_SQLITE
def test_a_newer_ledger_is_refused(exported, other):
    """The target belongs to a newer package."""
    other.open()
    with other.transaction() as connection:
        connection.execute(sa.text("UPDATE crm_schema_version SET version = 99"))
    newer = Database(other.engine)
    with pytest.raises(ConfigurationError, match=f"The ledger is of version 99, this package knows up to {VERSION}"):
        import_ledger(newer, exported)


@FROM_SQLITE
@pytest.mark.parametrize(
    ("version", "cure"), [(99, "upgrade this package"), (1, "upgrade the other package, and export again")]
)
def test_a_file_of_another_version_is_refused(exported, other, version, cure):
    """Both versions and what to do are named."""
    header = json.dumps({**json.loads(lines_of(exported)[0]), "version": version})
    path = rewrite(exported, [header, *lines_of(exported)[1:]])
    with pytest.raises(ConfigurationError, match=f"is of version {version} of the tables, .* {VERSION}; {cure}"):
        import_ledger(other, path)


def cut_at_a_line(path):
    """Some of the lines."""
    rewrite(path, lines_of(path)[:-5])


def cut_in_a_line(path):
    """Some of the bytes."""
    path.write_bytes(path.read_bytes()[:-40])


def without_a_row(path):
    """All lines but one."""
    lines = lines_of(path)
    rewrite(path, [line for number, line in enumerate(lines) if number != len(lines) - 3])


def of_others(path):
    """A file of other lines."""
    rewrite(path, ['{"a": 1}'])


def text(path):
    """A file that is not zipped."""
    path.write_text("no ledger", encoding="utf-8")


@FROM_SQLITE
@pytest.mark.parametrize("damage", [cut_at_a_line, cut_in_a_line, without_a_row, of_others, text])
def test_a_damaged_file_changes_nothing(exported, other, damage):
    """A part of a ledger would send what is in the CRM, and let old data pass."""
    damage(exported)
    with pytest.raises(
        ConfigurationError, match=r"is no complete file of `airflow crm export`: .* Nothing was changed"
    ):
        import_ledger(other, exported)
    found = version_1.rows(other.engine)
    assert sorted(name for name, rows in found.items() if rows) == ["crm_alembic_version", "crm_schema_version"]


@FROM_SQLITE
@pytest.mark.parametrize("other", ["sqlite"], indirect=True)
@pytest.mark.parametrize("direction", ["export", "import"])
def test_memory_does_not_grow_with_the_rows(database, other, tmp_path, direction):
    """Six times as many lines take about as much memory."""
    peaks = []
    for number in (2_000, 12_000):
        add_lines(database, number)
        path = tmp_path / f"{number}.gz"
        if direction == "export":
            peaks.append(peak(export_ledger, database, path))
        else:
            export_ledger(database, path)
            with other.transaction() as connection:
                for table in reversed(changes.metadata.sorted_tables):
                    if table.name not in ("crm_schema_version", "crm_alembic_version"):
                        connection.execute(sa.delete(table))
            peaks.append(peak(import_ledger, other, path))
    assert peaks[1] < peaks[0] * 2
    database.close()


def peak(function, *arguments):
    """The most bytes that Python had at once."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
