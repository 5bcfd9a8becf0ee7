"""Read one plan: its largest changes and their sums."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import plan_rows, plans
from airflow_provider_crm.plan.plan_row import PlanVerdict
from airflow_provider_crm.plan.stored_plan import Plan, plan_of
from airflow_provider_crm.queries.changes import Page, Search
from airflow_provider_crm.queries.expressions import of_dags
from airflow_provider_crm.queries.values import amount

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CHANGES = (PlanVerdict.UPDATE.value, PlanVerdict.CONFLICT.value)
# Parts of a major unit in which amounts are whole numbers: SQLite adds up floats, which are exact for whole numbers up
# to 9 * 10**15, that is 900 billion major units.
_SMALLEST = 10_000
_OPEN_PLANS = 50


@dataclass(frozen=True, slots=True)
class PlannedField:
    """One field of a plan; values are JSON text, None where the CRM's answer had no such field."""

    record_id: str
    field: str
    verdict: str
    before: str | None
    after: str | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class AmountTotal:
    """Sums of the amounts that a plan changes, in major units, before and after."""

    before: Decimal
    after: Decimal
    fields: int

    @property
    def change(self) -> Decimal:
        """The difference of the sums."""
        return self.after - self.before


def open_plans(connection: Connection, dags: Collection[str]) -> list[Plan]:
    """Return the latest plans of some Dags that no run has begun to apply, the latest first."""
    query = sa.select(plans).where(plans.c.applied_by.is_(None), of_dags(connection, plans.c.run_key, dags))
    found = connection.execute(query.order_by(plans.c.created_at.desc()).limit(_OPEN_PLANS))
    return [plan_of(row) for row in found]


class PlanRows:
    """Rows of one plan. The caller has made sure that the reader may see it.

    Args:
        connection: To the ledger.
        plan: The plan.
        hidden: Fields whose values are never shown; they count in no sum.
    """

    def __init__(self, connection: Connection, plan: Plan, hidden: frozenset[str]) -> None:
        self._connection = connection
        self._plan = plan
        self._names = self._fields()
        self._units = {name: unit for name in self._names - hidden if (unit := amount(plan.account, name, 1))}

    def largest(self, verdict: str, search: Search) -> Page[PlannedField]:
        """Return one page of the fields of a verdict (`changes`: all fields to write), largest amounts first."""
        words = CHANGES if verdict == "changes" else (verdict,)
        change = sa.func.abs(self._parts(plan_rows.c.after) - self._parts(plan_rows.c.before))
        order = (sa.func.coalesce(change, -1).desc(), plan_rows.c.row_number, plan_rows.c.field)
        query = sa.select(plan_rows).where(plan_rows.c.plan_id == self._plan.plan_id, plan_rows.c.verdict.in_(words))
        total: sa.ColumnElement[int] = sa.literal(sum(self._plan.counts.get(word, 0) for word in words))
        if search.text:
            # A plan has few fields: their names are compared here instead of in each of its rows.
            fields = [name for name in self._names if search.text.lower() in name.lower()]
            has_id = plan_rows.c.record_id.icontains(search.text, autoescape=True)
            query = query.where(sa.or_(has_id, plan_rows.c.field.in_(fields)))
            total = sa.func.count().over()  # in the same pass over the rows
        query = query.add_columns(total.label("total")).order_by(*order).limit(search.size).offset(search.offset)
        found = self._connection.execute(query).all()
        names = PlannedField.__dataclass_fields__
        rows = tuple(PlannedField(*(getattr(row, name) for name in names)) for row in found)
        return Page(rows, found[0].total if found else 0)

    def money(self) -> AmountTotal | None:
        """Return the sums of all amounts to write, before and after; None if the plan changes no amount."""
        if not self._units:
            return None
        before, after = (sa.func.sum(self._parts(column)) for column in (plan_rows.c.before, plan_rows.c.after))
        query = sa.select(before, after, sa.func.count()).where(
            plan_rows.c.plan_id == self._plan.plan_id,
            plan_rows.c.verdict.in_(CHANGES),
            plan_rows.c.field.in_(self._units),
        )
        before_sum, after_sum, fields = self._connection.execute(query).one()
        if not fields:
            return None
        return AmountTotal(Decimal(int(before_sum or 0)) / _SMALLEST, Decimal(int(after_sum or 0)) / _SMALLEST, fields)

    def _parts(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return a stored amount in the smallest parts: 0 for an empty or unknown one, null for other fields."""
        if not self._units:
            return sa.cast(sa.null(), sa.Numeric)
        number = dialect_of(self._connection).json_number(column)
        parts = {name: sa.func.round(number * int(unit * _SMALLEST)) for name, unit in self._units.items()}
        return sa.case(*((plan_rows.c.field == name, sa.func.coalesce(part, 0)) for name, part in parts.items()))

    def _fields(self) -> set[str]:
        query = sa.select(plan_rows.c.field).where(plan_rows.c.plan_id == self._plan.plan_id).distinct()
        return set(self._connection.execute(query).scalars())
