"""Claims about drivers and dates, NaN, arrays and rows: a row is refused alone, or its error says what to write."""

from __future__ import annotations

import datetime as dt
import importlib
import random
import sqlite3
from typing import Any

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows import ColumnRules, FrameReader
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator
from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Field, Kind, Outcome, Update
from airflow_provider_crm.values.written_lists import read_list

FIELDS = {
    field.name: field
    for field in (
        Field("deal_value", "value", Kind.MONEY),
        Field("date_won", "date_won", Kind.DATE),
        Field("moment", "moment", Kind.DATETIME),
        Field("tags", "tags", multiple=True),
        Field("flag", "flag", Kind.BOOLEAN),
    )
}
DATES = """
    SELECT * FROM (VALUES
      ('a', date '2026-03-01', timestamptz '2026-03-01 12:00+00'),
      ('b', date 'infinity', timestamptz '2026-03-01 12:00+00'),
      ('c', date '2026-03-01', timestamptz '-infinity'),
      ('d', date '15000-01-01', NULL),
      ('e', date '0044-03-15 BC', timestamptz '2026-03-01 12:00+00'),
      ('f', NULL, timestamptz '15000-01-01 12:00+00')
    ) AS t (id, won, at)
"""


def query(connect: Any, sql: str, fields: dict[str, str], **arguments: Any) -> list[Update | Outcome]:
    """Read the rows of a query by the operator, through a hook of one driver."""

    class Hook(DbApiHook):
        conn_name_attr = "conn_id"

        def get_conn(self) -> Any:
            return connect()

    class Operator(SqlToOpportunityOperator):
        def _hook(self) -> DbApiHook:
            return Hook()

    operator = Operator(
        task_id="t", sql=sql, sql_conn_id="w", crm_conn_id="close_default", id_column="id", fields=fields, **arguments
    )
    reader = FrameReader(ColumnRules("id", fields, nulls="clear", values=ValueRules(timezone="UTC")), FIELDS, None)
    return [row for frame in operator.frames({}) for row in reader.read(frame)]  # type: ignore[arg-type]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_date_that_python_has_none_for_is_refused_alone(postgres: str, driver: str) -> None:
    """`infinity`, the year 15000 and dates before Christ refuse their own rows, by column; the others are read."""
    psycopg = pytest.importorskip(driver)
    rows = query(lambda: psycopg.connect(postgres), DATES, {"won": "date_won", "at": "moment"}, chunk_rows=2)
    noon = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    first, *others = rows
    assert isinstance(first, Update)
    assert first.fields == {"date_won": dt.date(2026, 3, 1), "moment": noon}
    assert [row.code for row in others if isinstance(row, Outcome)] == [
        "DATE_RANGE" if driver == "psycopg2" else "NOT_A_DATE",
        "DATE_RANGE" if driver == "psycopg2" else "NOT_A_DATE",
        *["NOT_A_DATE"] * 3,
    ]
    reasons = [row.reason for row in others if isinstance(row, Outcome)]
    assert [reason.partition(":")[0] for reason in reasons] == [
        f"column {name!r}" for name in ("won", "at", "won", "won", "at")
    ]
    assert "the row has '15000-01-01'." in reasons[2]
    assert "the row has '0044-03-15 BC'." in reasons[3]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_nan_and_lists_of_a_database_are_what_they_are(postgres: str, driver: str) -> None:
    """NaN of a query never empties a field, NULL does; arrays arrive as lists, those of an enum as text, too."""
    psycopg = pytest.importorskip(driver)
    sql = """
        SELECT * FROM (VALUES
          ('a', 'NaN'::numeric, ARRAY['x','y z']), ('b', NULL, '{}'), ('c', 1.5, NULL)) AS t (id, arr, tags)
    """
    nan, null, value = query(lambda: psycopg.connect(postgres), sql, {"arr": "deal_value", "tags": "tags"})
    assert isinstance(nan, Outcome)
    assert nan.code == "NOT_FINITE"
    assert isinstance(null, Update)
    assert null.fields == {"deal_value": None, "tags": ()}
    assert isinstance(value, Update)
    connection = psycopg.connect(postgres)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            f"DROP TYPE IF EXISTS mood_{driver}; CREATE TYPE mood_{driver} AS ENUM ('x', 'y z', 'q\"', 'b\\s')"
        )
    connection.close()
    sql = f"SELECT 'a' AS id, ARRAY['x', 'y z', 'q\"', 'b\\s']::mood_{driver}[] AS tags"
    (row,) = query(lambda: psycopg.connect(postgres), sql, {"tags": "tags"})
    assert isinstance(row, Update)
    assert row.fields["tags"] == ("x", "y z", 'q"', "b\\s")


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_booleans_of_a_database_are_booleans(postgres: str, driver: str) -> None:
    """The driver's own booleans, numbers and texts arrive as True and False, NULL empties the field."""
    psycopg = pytest.importorskip(driver)
    for kind in ("boolean", "int", "text"):
        sql = f"SELECT id, flag::{kind} AS flag FROM (VALUES ('a', '1'), ('b', NULL), ('c', '0')) AS t (id, flag)"
        rows = query(lambda: psycopg.connect(postgres), sql, {"flag": "flag"})
        assert [row.fields["flag"] for row in rows if isinstance(row, Update)] == [True, None, False]
        assert [type(row.fields["flag"]) for row in rows if isinstance(row, Update)] == [bool, type(None), bool]


def test_booleans_of_sqlite_are_its_numbers() -> None:
    """SQLite has 1 and 0 for booleans; another number is refused with its row."""
    sql = "SELECT column1 AS id, column2 AS flag FROM (VALUES ('a', TRUE), ('b', FALSE), ('c', NULL), ('d', 2))"
    *rows, refused = query(lambda: sqlite3.connect(":memory:"), sql, {"flag": "flag"})
    assert [row.fields["flag"] for row in rows if isinstance(row, Update)] == [True, False, None]
    assert isinstance(refused, Outcome)
    assert refused.reason.endswith("flag takes true or false, yes or no, 1 or 0; the row has '2'.")


def test_every_array_of_postgres_comes_back_from_its_text(postgres: str) -> None:
    """The server's own text of an array is read as that array, with any text in its items."""
    rng = random.Random(1)
    lists = [
        [
            rng.choice([None, "NULL", "null", "'a'b", "".join(rng.choices("ab{}[],\"'\\ \n\té日", k=rng.randrange(6)))])
            for _ in range(rng.randrange(5))
        ]
        for _ in range(60)
    ]
    connection = pytest.importorskip("psycopg2").connect(postgres)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT ARRAY[]::text[]::text, '[0:1]={a,b}'::text[]::text")
        assert [read_list(text) for text in cursor.fetchone()] == [[], ["a", "b"]]
        for items in lists:
            cursor.execute("SELECT %s::text[]::text", (items,))
            text = cursor.fetchone()[0]
            if any(item is not None and len(item) > 1 and item[0] == item[-1] == "'" for item in items):
                continue  # in the text of a Python set it looks the same
            assert read_list(text) == items
    connection.close()


def test_rows_that_are_mappings_are_read_by_name(postgres: str) -> None:
    """Dict cursors of three drivers, named or not, and SQLite's rows give the values of each column."""

    def by_name(_: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
        return dict(zip(("id", "arr"), row, strict=True))

    def sqlite_dicts(factory: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.row_factory = factory
        return connection

    psycopg2, extras = pytest.importorskip("psycopg2"), importlib.import_module("psycopg2.extras")
    connects: list[Any] = [
        lambda: psycopg2.connect(postgres, cursor_factory=extras.RealDictCursor),
        lambda: psycopg2.connect(postgres, cursor_factory=extras.DictCursor),
        lambda: psycopg2.connect(postgres, cursor_factory=extras.NamedTupleCursor),
        lambda: sqlite_dicts(by_name),
        lambda: sqlite_dicts(sqlite3.Row),
    ]
    for connect in connects:
        first, second = query(connect, "SELECT 'a' AS id, 1 AS arr UNION ALL SELECT 'b', 2", {"arr": "deal_value"})
        assert isinstance(first, Update)
        assert isinstance(second, Update)
        assert (first.record_id, first.fields["deal_value"], second.fields["deal_value"]) == ("a", 1, 2)
    with pytest.raises(ConfigurationError, match=r"rows are of type int; use one whose rows are tuples or dicts\."):
        query(lambda: sqlite_dicts(lambda _, row: row[1]), "SELECT 'a' AS id, 1 AS arr", {"arr": "deal_value"})


def test_a_driver_that_fails_on_a_value_is_reported_with_columns_and_remedy() -> None:
    """An error of any driver about a value says which rows and columns it may be, and what to write; others stay."""
    sqlite3.register_converter("day_of_tests", lambda text: dt.date.fromisoformat(text.decode()))

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_COLNAMES)

    sql = "SELECT '{}' AS id, '2026-03-01' AS \"won [day_of_tests]\" UNION ALL SELECT 'b', 'infinity'"
    with pytest.raises(ConfigurationError) as caught:
        query(connect, sql, {"won": "date_won"}, chunk_rows=5)
    assert str(caught.value) == (
        "The database's driver cannot read a value in row 0 or one of the 4 after it (ValueError: Invalid isoformat "
        "string: 'infinity'); the columns are id, won. The usual cause is a date that Python has none for, such as "
        "infinity or one of the year 15000: cast dates to text in the sql, and each such row is refused by itself."
    )
    with pytest.raises(sqlite3.OperationalError):
        query(connect, "SELECT nothing", {"won": "date_won"})
