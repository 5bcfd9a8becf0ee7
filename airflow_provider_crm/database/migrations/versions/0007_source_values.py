"""Source values of refused rows in crm_changes; and the verdicts of the runs that were stored before version 5.

Those runs get the verdict that their report means: the rules are those of the day on which this script was written.

Revises: 0006.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_AT_ONCE = 1_000
_RUNS = sa.table("crm_runs", *map(sa.column, ("run_key", "account", "report", "finished_at", "verdict")))


def upgrade() -> None:
    """Add the column, and fill the verdicts."""
    op.add_column("crm_changes", sa.Column("source", sa.Text))
    connection = op.get_bind()
    key = (_RUNS.c.run_key, _RUNS.c.account)
    old = sa.select(*key, _RUNS.c.report).where(
        _RUNS.c.verdict.is_(None), _RUNS.c.finished_at.is_not(None), _RUNS.c.report.is_not(None)
    )
    mine = [column == sa.bindparam(f"of_{column.name}") for column in key]
    fill = sa.update(_RUNS).where(*mine).values(verdict=sa.bindparam("word"))
    while rows := connection.execute(old.limit(_AT_ONCE)).all():
        connection.execute(fill, [_filled(*row) for row in rows])


def _filled(run_key: str, account: str, report: str) -> dict[str, str]:
    return {"of_run_key": run_key, "of_account": account, "word": _verdict(json.loads(report))}


def _verdict(report: Mapping[str, Any]) -> str:
    """Return the verdict on a run in one word."""
    outcomes = report.get("outcomes") or {}
    codes = {cause["code"] for cause in report.get("causes") or ()}

    def count(*words: str) -> int:
        return sum(outcomes.get(word, 0) for word in words)

    rows, written, in_place = count(*outcomes), count("updated"), count("unchanged")
    refused, unanswered = count("invalid", "rejected", "ignored"), count("failed", "unknown", "not_sent")
    is_outage = "OUTAGE" in codes or (count("not_sent") and not codes)
    by_weight = (
        (any(map(_is_broken, report.get("guardrails") or ())), "guardrail"),
        (unanswered and is_outage, "outage"),
        (report.get("ended_early") is not None, "ended_early"),
        (report.get("plan_id") is not None and not outcomes, "planned"),
        (report.get("plan_id") is not None and written > 0 and written + in_place < rows, "partly"),
        (refused, "refused"),
        (unanswered, "ended_early" if count("not_sent") else "unanswered"),
        (rows == in_place, "nothing"),
        (rows == count("stale"), "stale"),
        (count("stale", "skipped"), "left_alone"),
    )
    return next((word for applies, word in by_weight if applies), "landed")


def _is_broken(check: Mapping[str, Any]) -> bool:
    measured, allowed = Decimal(check["measured"]), Decimal(check["allowed"])
    return measured < allowed if check["limit"].startswith("min_") else measured > allowed
