"""Plans and their rows as the tables have them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.schema import plans
from airflow_provider_crm.ledger.row_sets import storable
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row


@dataclass(frozen=True, slots=True)
class Plan:
    """A stored plan without its rows; see the table `crm_plans`."""

    plan_id: str
    account: str
    run_key: str
    reverts: str | None
    digest: str
    rows: int
    counts: Mapping[str, int]
    created_at: dt.datetime
    applied_by: str | None = None
    applied_at: dt.datetime | None = None


class PlanDigest:
    """Counts the rows of a plan, and computes their digest.

    Args:
        account: Name of the account that the plan is for.
    """

    def __init__(self, account: str) -> None:
        self._hash = hashlib.sha256(json.dumps(account).encode())
        self.counts: Counter[str] = Counter()
        self.rows = 0

    def add(self, row: PlanRow) -> None:
        """Add one row; in order of row and field."""
        as_of = None if row.as_of is None else row.as_of.astimezone(dt.UTC).isoformat(timespec="microseconds")
        hashed = [row.row, row.record_id, row.field, row.verdict.value, row.before, row.after, as_of, row.code]
        self._hash.update(json.dumps(hashed).encode())
        self.counts[row.verdict.value] += 1
        self.rows = row.row + 1

    def text(self) -> str:
        """Return the digest of all rows so far."""
        return self._hash.hexdigest()


def storable_row(row: PlanRow) -> PlanRow:
    """Return a row as the database will return it; its values are JSON, which is plain text already."""
    texts = (row.record_id, row.code, row.reason)
    record_id, code, reason = map(storable, texts)
    return row if (record_id, code, reason) == texts else replace(row, record_id=record_id, code=code, reason=reason)


def row_values(plan_id: str, row: PlanRow) -> dict[str, Any]:
    """Return a row of a plan as the table has it."""
    return {
        "plan_id": plan_id,
        "row_number": row.row,
        "field": row.field,
        "record_id": row.record_id,
        "verdict": row.verdict.value,
        "before": row.before,
        "after": row.after,
        "as_of": row.as_of,
        "code": row.code,
        "reason": row.reason,
    }


def plan_row_of(row: Row[Any]) -> PlanRow:
    """Return the row of a plan from a row of the table."""
    return PlanRow(
        row.row_number,
        row.record_id,
        row.field,
        PlanVerdict(row.verdict),
        before=row.before,
        after=row.after,
        as_of=row.as_of,
        code=row.code,
        reason=row.reason,
    )


def stored_plan(connection: Connection, plan_id: str) -> Plan | None:
    """Return the plan of that id, or None."""
    row = connection.execute(sa.select(plans).where(plans.c.plan_id == plan_id)).one_or_none()
    return None if row is None else plan_of(row)


def plan_of(row: Row[Any]) -> Plan:
    """Return the plan of a row of the table."""
    return Plan(
        plan_id=row.plan_id,
        account=row.account,
        run_key=row.run_key,
        reverts=row.reverts,
        digest=row.digest,
        rows=row.rows,
        counts=json.loads(row.counts),
        created_at=row.created_at,
        applied_by=row.applied_by,
        applied_at=row.applied_at,
    )
