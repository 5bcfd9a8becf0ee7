"""Read the change log: the written and refused rows of one run, and the history of one opportunity.

Over 300 lines because the pages of runs and records read the same lines.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import changes, field_states, record_names
from airflow_provider_crm.queries.causes import CountedReason, ReasonGroup, is_of_group
from airflow_provider_crm.queries.expressions import count_up_to, of_dags
from airflow_provider_crm.queries.row_values import NO_VALUES, LineValues, RowValues
from airflow_provider_crm.values.opportunity import OutcomeWord
from airflow_provider_crm.values.source_values import from_json
from airflow_provider_crm.vendors import VENDORS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from airflow_provider_crm.values.opportunity import SourceValue

T = TypeVar("T")

SEARCHED = 5_000
"""Refused fields of each outcome word, and written fields, that can be searched and sorted; a file holds all."""
SORTS = ("record_id", "outcome", "code", "reason")
_AT_ONCE = 500
_FAILED = tuple(word.value for word in OutcomeWord if word.is_failure)


@dataclass(frozen=True, slots=True)
class Search:
    """A search: the rows that a user wants to see.

    Attributes:
        text: Part of a record id, code, reason or field, in any case; empty for all.
        sort: One of `SORTS`.
        descending: Whether the order is reversed.
        page: Number of the page, from 1.
        size: Number of rows of a page.
    """

    text: str = ""
    sort: str = "record_id"
    descending: bool = False
    page: int = 1
    size: int = 50

    @property
    def offset(self) -> int:
        """Number of rows before the page."""
        return (self.page - 1) * self.size


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One row that did not land, with its values; a file reads those of the source only, and the record's name."""

    account: str
    record_id: str
    outcome: str
    code: str
    reason: str
    fields: tuple[str, ...]
    values: RowValues = NO_VALUES
    name: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change log; `before` is None where the value before is not known."""

    run_key: str
    account: str
    record_id: str
    field: str
    before: str | None
    after: str | None
    outcome: str
    code: str
    reason: str
    at: dt.datetime
    source: tuple[SourceValue, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """The CRM's value of one field, as far as the ledger knows."""

    field: str
    value: str | None
    as_of: dt.datetime | None
    run_key: str
    acknowledged_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of many.

    Attributes:
        rows: The rows of the page.
        total: Number of all rows that were found.
        capped: Whether some rows were not searched.
    """

    rows: tuple[T, ...]
    total: int
    capped: bool = False


class RunChanges:
    """Changes of one run. The caller has made sure that the reader may see it.

    Args:
        connection: To the ledger.
        run_key: Name of the run.
        retried: Whether it has several tries: then only the last try of a row counts.
    """

    def __init__(self, connection: Connection, run_key: str, *, retried: bool) -> None:
        self._connection = connection
        self._run_key = run_key
        self._retried = retried

    def reasons(self) -> list[CountedReason]:
        """Return the reasons of the rows that did not land, with their numbers, as far as they are searched."""
        rows = self._refused_rows(bound=SEARCHED, text="")
        found = rows.with_only_columns(*(rows.selected_columns[name] for name in CountedReason._fields[:-1])).subquery()
        names = (found.c.outcome, found.c.code, found.c.reason)
        query = sa.select(*names, sa.func.count()).group_by(*names)
        return [CountedReason(*row) for row in self._connection.execute(query)]

    @property
    def capped(self) -> bool:
        """Whether some refused rows are beyond those that are searched."""
        return self._capped(_FAILED)

    def refused(self, search: Search, groups: Sequence[ReasonGroup] | None = None) -> Page[RefusedRow]:
        """Return one page of the rows that did not land. Of each outcome `SEARCHED` fields are searched.

        Args:
            search: The rows to show.
            groups: If given, only rows of these groups.
        """
        found = self._refused_rows(bound=SEARCHED, text=search.text).subquery()
        order = found.c[search.sort].desc() if search.descending else found.c[search.sort]
        query = sa.select(found, sa.func.count().over().label("total")).order_by(order, found.c.first)
        if groups is not None:
            query = query.where(sa.or_(sa.false(), *(is_of_group(found.c, group) for group in groups)))
        rows = self._connection.execute(query.limit(search.size).offset(search.offset)).all()
        lines = [[int(line) for line in row.lines.split(",")] for row in rows]
        values = LineValues(self._connection, [line for some in lines for line in some])
        shown = (_refused(row, values.of(some)) for row, some in zip(rows, lines, strict=True))
        return Page(tuple(shown), rows[0].total if rows else 0, capped=self.capped)

    def all_refused(self) -> Iterator[RefusedRow]:
        """Yield all rows that did not land, in the order in which they were refused."""
        query = self._refused_rows(bound=None, text="")
        found = query.subquery()
        dialect_of(self._connection).plan_for_all_rows(self._connection)
        # An option of this statement only: the connection may read the rows of other runs afterwards.
        named = found.outerjoin(
            record_names,
            sa.and_(record_names.c.account == found.c.account, record_names.c.record_id == found.c.record_id),
        )
        ordered = sa.select(found, record_names.c.name).select_from(named).order_by(found.c.first)
        for row in self._connection.execute(ordered, execution_options={"yield_per": _AT_ONCE}):
            yield replace(_refused(row, RowValues(source=from_json(row.source))), name=row.name or "")

    def written(self, search: Search) -> Page[Change]:
        """Return one page of the fields that were written, in the order of writing."""
        bounded = self._fields(OutcomeWord.UPDATED.value, SEARCHED).subquery()
        query = sa.select(bounded)
        if search.text:
            columns = (bounded.c.record_id, bounded.c.field)
            query = query.where(sa.or_(*(column.icontains(search.text, autoescape=True) for column in columns)))
        total = count_up_to(self._connection, query, SEARCHED)
        rows = self._connection.execute(query.order_by(bounded.c.id).limit(search.size).offset(search.offset))
        return Page(tuple(map(_change, rows)), total, capped=self._capped((OutcomeWord.UPDATED.value,)))

    def all_written(self) -> Iterator[Change]:
        """Yield all fields that were written, in the order of writing."""
        dialect_of(self._connection).plan_for_all_rows(self._connection)
        query = self._fields(OutcomeWord.UPDATED.value, None).order_by(changes.c.id)
        yield from map(_change, self._connection.execute(query, execution_options={"yield_per": _AT_ONCE}))

    def _capped(self, words: Collection[str]) -> bool:
        """Return whether a word has more fields than are searched."""
        return any(count_up_to(self._connection, self._fields(word, None), SEARCHED + 1) > SEARCHED for word in words)

    def _fields(self, word: str, bound: int | None) -> sa.Select[Any]:
        query = sa.select(changes).where(changes.c.run_key == self._run_key, changes.c.outcome == word)
        return query if bound is None else query.order_by(changes.c.id).limit(bound)

    def _refused_rows(self, *, bound: int | None, text: str) -> sa.Select[Any]:
        """Return one row for all fields of a record that share an outcome and a reason."""
        # A query for each word, as only then the index gives the first rows without reading all of them.
        parts = [sa.select(self._fields(word, bound).subquery()) for word in _FAILED]
        failed = sa.union_all(*parts).subquery()
        # The record id comes first: databases sort by these columns, and rows differ mostly in that one.
        row = (failed.c.record_id, failed.c.outcome, failed.c.code, failed.c.reason, failed.c.account)
        # Rows without an id differ only in the ids of their lines.
        own = sa.case((failed.c.record_id == "", failed.c.id), else_=0)
        # A page reads the source's values of its own rows only.
        whole = [sa.func.max(failed.c.source).label("source")] if bound is None else []
        query = sa.select(
            *row,
            *whole,
            sa.func.min(failed.c.id).label("first"),
            sa.func.aggregate_strings(failed.c.field, ",").label("fields"),
            sa.func.aggregate_strings(sa.cast(failed.c.id, sa.Text), ",").label("lines"),
        ).group_by(*row, own)
        if self._retried:
            query = query.where(~self._repeated_later(failed))
        if text:
            columns = (*(failed.c[name] for name in SORTS), failed.c.field)
            query = query.where(sa.or_(*(column.icontains(text, autoescape=True) for column in columns)))
        return query

    def _repeated_later(self, failed: sa.Subquery) -> sa.ColumnElement[bool]:
        """Return whether a later try had the same row: it landed, or was refused again, which counts once."""
        later = changes.alias("later")
        # The run by its name, as a database would else look for the rows in the whole log.
        same = [later.c.run_key == self._run_key]
        same += [later.c[name] == failed.c[name] for name in ("account", "record_id")]
        whole_row = sa.or_(failed.c.field == "", (later.c.field == "") & later.c.outcome.in_(_FAILED))
        return (
            sa.exists()
            .where(*same, later.c.record_id != "", later.c.id > failed.c.id)
            .where(sa.or_(later.c.field == failed.c.field, whole_row))
        )


class RecordChanges:
    """The history of opportunities, as far as some Dags wrote it.

    Args:
        connection: To the ledger.
        dags: Ids of the Dags that the reader may read.
        record_id: The vendor's id of the opportunity, in any spelling that the vendor accepts.
    """

    def __init__(self, connection: Connection, dags: Collection[str], record_id: str) -> None:
        self._connection = connection
        self._dags = dags
        self._record_id = record_id

    def id_in(self, account: str) -> str:
        """Return the id as the ledger of an account has it."""
        vendor = VENDORS.get(account.partition(":")[0])
        return self._record_id if vendor is None else vendor.canonical_id(self._record_id)

    def accounts(self, among: Collection[str]) -> list[str]:
        """Return the accounts whose change log has the record."""
        return [
            account for account in among if self._connection.execute(self._query(account).limit(1)).first() is not None
        ]

    def history(self, account: str, search: Search) -> Page[Change]:
        """Return one page of its changes, the last first."""
        query = self._query(account)
        total = count_up_to(self._connection, query, SEARCHED)
        rows = self._connection.execute(query.order_by(changes.c.id.desc()).limit(search.size).offset(search.offset))
        return Page(tuple(map(_change, rows)), total, capped=total == SEARCHED)

    def states(self, account: str) -> list[State]:
        """Return the present values of its fields, of those that were last written by a run that the reader may see."""
        table = field_states.c
        query = sa.select(table.field, table.value, table.known, table.as_of, table.run_key, table.acknowledged_at)
        query = query.where(
            table.account == account,
            table.record_id == self.id_in(account),
            of_dags(self._connection, table.run_key, self._dags),
        )
        found = sorted(self._connection.execute(query), key=lambda row: row.field)
        return [
            State(row.field, row.value if row.known else None, row.as_of, row.run_key, row.acknowledged_at)
            for row in found
        ]

    def _query(self, account: str) -> sa.Select[Any]:
        return sa.select(changes).where(
            changes.c.account == account,
            changes.c.record_id == self.id_in(account),
            of_dags(self._connection, changes.c.run_key, self._dags),
        )


def _refused(row: Row[Any], values: RowValues) -> RefusedRow:
    fields = tuple(sorted(set(filter(None, row.fields.split(",")))))
    return RefusedRow(row.account, row.record_id, row.outcome, row.code, row.reason, fields, values)


def _change(row: Row[Any]) -> Change:
    return Change(
        run_key=row.run_key,
        account=row.account,
        record_id=row.record_id,
        field=row.field,
        before=row.before if row.before_known else None,
        after=row.after,
        outcome=row.outcome,
        code=row.code,
        reason=row.reason,
        at=row.at,
        source=from_json(row.source),
    )
