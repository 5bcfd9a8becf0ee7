"""`airflow crm plan`: plans that wait, or were applied."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import readable_ledger
from airflow_provider_crm.commands.printing import is_for_programs, print_object, print_rows, print_title
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import hashed_fields
from airflow_provider_crm.plan.stored_plan import stored_plan
from airflow_provider_crm.queries.changes import Search
from airflow_provider_crm.queries.plans import PlanRows
from airflow_provider_crm.queries.values import Values

if TYPE_CHECKING:
    from airflow_provider_crm.plan.stored_plan import Plan
    from airflow_provider_crm.queries.plans import AmountTotal, PlannedField

_COLUMNS = ("record_id", "field", "verdict", "before", "after", "reason")


@suppress_logs_and_warning
def show(args: Namespace) -> None:
    """Print a plan: its counts and sums, and its rows, the largest amounts first."""
    values = Values(hashed_fields())
    with one_sentence(), readable_ledger(args.ledger_conn_id) as connection:
        plan = stored_plan(connection, args.plan_id)
        if plan is None:
            msg = f"The ledger has no plan {args.plan_id!r}."
            raise ConfigurationError(msg)
        rows = PlanRows(connection, plan, values.hidden)
        summary = _summary(plan, rows.money())
        found = rows.largest(args.verdict, Search(size=args.limit))
    shown = [_row(values, plan, row) for row in found.rows]
    if is_for_programs(args.output):
        print_object({**summary, "rows_shown": shown, "rows_found": found.total}, args.output)
        return
    print_title(f"Plan {plan.plan_id}")
    print_rows([{"property": name, "value": value} for name, value in summary.items()], args.output)
    print_title(f"{len(shown):,} of {found.total:,} fields, the largest amounts first")
    print_rows(shown, args.output, _COLUMNS)


def _summary(plan: Plan, money: AmountTotal | None) -> dict[str, Any]:
    return {
        "plan_id": plan.plan_id,
        "account": plan.account,
        "made_by": plan.run_key,
        "takes_back": plan.reverts,
        "created_at": plan.created_at,
        "applied_by": plan.applied_by,
        "applied_at": plan.applied_at,
        "source_rows": plan.rows,
        "fields_by_verdict": plan.counts,
        "amount_before": None if money is None else money.before,
        "amount_after": None if money is None else money.after,
        "amount_change": None if money is None else money.change,
    }


def _row(values: Values, plan: Plan, row: PlannedField) -> dict[str, Any]:
    before, after = (values.shown(plan.account, row.field, text) for text in (row.before, row.after))
    return {
        "record_id": row.record_id,
        "field": row.field,
        "verdict": row.verdict,
        "before": before.text,
        "before_kind": before.kind,
        "after": after.text,
        "after_kind": after.kind,
        "code": row.code,
        "reason": row.reason,
    }
