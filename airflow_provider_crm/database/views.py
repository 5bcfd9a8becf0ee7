"""The views on the ledger, with a promised schema: what dashboards query, whatever becomes of the tables.

A view keeps its columns, their types and their meaning; new columns come last. What cannot keep that promise becomes a
view with the next number, beside the old one. The first process that opens a ledger of an older version creates them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import Dialect, UtcDateTime, dialect_of
from airflow_provider_crm.database.schema import changes, runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

metadata = sa.MetaData()

WORDS = (
    *("updated", "unchanged", "stale", "skipped"),
    *("invalid", "rejected", "ignored", "failed", "unknown", "not_sent"),
)
"""The outcomes that `crm_runs_v1` counts, each in a column of its name."""
FAILED = WORDS[4:]
"""The outcomes of rows that did not land."""

_RUN_KEY = "Name of the run, the same for all its tries: dag/task/run."
_DAG = "Id of the Dag; null where a command changed the ledger by hand."
_ACCOUNT = "Vendor, host and organization, joined by colons."

runs_v1 = sa.Table(
    "crm_runs_v1",
    metadata,
    sa.Column("run_key", sa.Text, comment=_RUN_KEY),
    sa.Column("dag_id", sa.Text, comment="Id of the Dag."),
    sa.Column("task_id", sa.Text, comment="Id of the task, with the index of a mapped one in brackets."),
    sa.Column("account", sa.Text, comment=_ACCOUNT),
    sa.Column("as_of", UtcDateTime, comment="Data time of the run; null if each row has its own."),
    sa.Column("tries", sa.Integer, comment="Number of tries that have begun."),
    sa.Column("started_at", UtcDateTime, comment="When the first try began."),
    sa.Column("finished_at", UtcDateTime, comment="When the last try ended; null while it runs, and after a kill."),
    sa.Column("rows", sa.Integer, comment="Rows of the source; null until a try has ended, and for a plan."),
    *(sa.Column(word, sa.Integer, comment=f"Rows with the outcome {word}.") for word in WORDS),
    sa.Column("calls", sa.Integer, comment="Calls to the CRM; null until a try has ended, and for a plan."),
    sa.Column("ended_early", sa.Text, comment="Why the run stopped before its last row; null or empty if it did not."),
    comment="One row per run and account, with the number of rows by outcome.",
)

refused_v1 = sa.Table(
    "crm_refused_v1",
    metadata,
    sa.Column("run_key", sa.Text, comment=_RUN_KEY),
    sa.Column("dag_id", sa.Text, comment="Id of the Dag."),
    sa.Column("account", sa.Text, comment=_ACCOUNT),
    sa.Column("record_id", sa.Text, comment="The vendor's id of the opportunity; empty if the row has none."),
    sa.Column("outcome", sa.Text, comment=f"One of {', '.join(FAILED)}."),
    sa.Column("code", sa.Text, comment="Why, to group by."),
    sa.Column("reason", sa.Text, comment="The same as a sentence."),
    sa.Column("fields", sa.Text, comment="The vendor's names of the fields, with commas; empty for the whole row."),
    sa.Column("at", UtcDateTime, comment="When the first of them was recorded."),
    sa.Column("source", sa.Text, comment="JSON: the values of the row in the source, by field; null if not kept."),
    comment="One row per run and row that did not land, unless a later try of the run has landed or refused it again.",
)

changes_v1 = sa.Table(
    "crm_changes_v1",
    metadata,
    sa.Column("id", sa.BigInteger, comment="Counts up in the order of writing."),
    sa.Column("at", UtcDateTime, comment="When the outcome was recorded."),
    sa.Column("run_key", sa.Text, comment=_RUN_KEY),
    sa.Column("dag_id", sa.Text, comment=_DAG),
    sa.Column("account", sa.Text, comment=_ACCOUNT),
    sa.Column("record_id", sa.Text, comment="The vendor's id of the opportunity; empty if the row has none."),
    sa.Column("field", sa.Text, comment="The vendor's own name; empty for a row refused before sending."),
    sa.Column("before", sa.Text, comment="JSON: the value before; null if it is not known."),
    sa.Column("before_known", sa.Boolean, comment="Whether the value before is known."),
    sa.Column("after", sa.Text, comment="JSON: the value that the run wanted; null for a row refused before sending."),
    sa.Column("outcome", sa.Text, comment="The outcome of the field: updated, or why not."),
    sa.Column("code", sa.Text, comment="Why it is a failure, to group by; else empty."),
    sa.Column("reason", sa.Text, comment="The same as a sentence; else empty."),
    sa.Column("source", sa.Text, comment="JSON: of a refused row, its values in the source, by field; else null."),
    comment="One row per field that a run sent, or row that it refused.",
)


def create_views(connection: Connection) -> None:
    """Create the views, or replace those of an older version."""
    dialect = dialect_of(connection)
    for view in metadata.sorted_tables:
        query = _QUERIES[view.name](dialect)
        text = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        for statement in dialect.replace_view(view.name, str(text)):
            connection.exec_driver_sql(statement)
        if connection.dialect.supports_comments:
            for column in view.columns:
                connection.execute(sa.schema.SetColumnComment(column))


def drop_views(connection: Connection) -> None:
    """Drop the views where they would be in the way of changes to the tables."""
    if dialect_of(connection).is_file:
        for view in metadata.tables:
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}")


def _columns(view: sa.Table, columns: Mapping[str, sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    """Return the columns of a view, in its order and of its types."""
    return [columns[column.name].label(column.name) for column in view.columns]


def _dag_id(dialect: Dialect, run_key: sa.ColumnElement[str]) -> sa.ColumnElement[Any]:
    is_run = sa.func.replace(run_key, "/", "") != run_key
    return sa.case((is_run, dialect.text_before(run_key, "/")))


def _runs_v1(dialect: Dialect) -> sa.Select[Any]:
    outcomes = dialect.json_member(runs.c.report, "outcomes")

    def number(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(value, sa.Integer)

    def count(word: str) -> sa.ColumnElement[Any]:
        return sa.func.coalesce(number(dialect.json_member(outcomes, word)), 0)

    columns = {
        **runs.c,
        "dag_id": _dag_id(dialect, runs.c.run_key),
        "task_id": dialect.text_before(dialect.text_after(runs.c.run_key, "/"), "/"),
        **{name: number(dialect.json_member(runs.c.report, name)) for name in ("rows", "calls")},
        **{word: count(word) for word in WORDS},
        "ended_early": sa.cast(dialect.json_member(runs.c.report, "ended_early"), sa.Text),
    }
    return sa.select(*_columns(runs_v1, columns))


def _refused_v1(dialect: Dialect) -> sa.Select[Any]:
    failed, later = changes.alias("failed"), changes.alias("later")
    row = (failed.c.run_key, failed.c.account, failed.c.record_id, failed.c.outcome, failed.c.code, failed.c.reason)
    same = [later.c[name] == failed.c[name] for name in ("account", "record_id", "run_key")]
    whole_row = sa.or_(failed.c.field == "", (later.c.field == "") & later.c.outcome.in_(FAILED))
    repeated = (
        sa.exists()
        .where(*same, later.c.record_id != "", later.c.id > failed.c.id)
        .where(sa.or_(later.c.field == failed.c.field, whole_row))
    )
    comma: Any = sa.literal_column("','")  # which the annotations of SQLAlchemy 2.1 do not expect
    columns = {
        **failed.c,
        "dag_id": _dag_id(dialect, failed.c.run_key),
        "fields": sa.func.aggregate_strings(failed.c.field, comma),
        "at": sa.func.min(failed.c.at),
        "source": sa.func.max(failed.c.source),
    }
    # Rows without an id differ only in the ids of their lines.
    own = sa.case((failed.c.record_id == "", failed.c.id), else_=0)
    query = sa.select(*_columns(refused_v1, columns)).where(failed.c.outcome.in_(FAILED), ~repeated)
    return query.group_by(*row, own)


def _changes_v1(dialect: Dialect) -> sa.Select[Any]:
    columns = {
        **changes.c,
        "dag_id": _dag_id(dialect, changes.c.run_key),
        "before": sa.case((changes.c.before_known, changes.c.before)),
    }
    return sa.select(*_columns(changes_v1, columns))


_QUERIES: Mapping[str, Callable[[Dialect], sa.Select[Any]]] = {
    "crm_runs_v1": _runs_v1,
    "crm_refused_v1": _refused_v1,
    "crm_changes_v1": _changes_v1,
}
