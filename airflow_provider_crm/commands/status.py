"""`airflow crm status`: what needs a person, the accounts, and the last runs."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import dags_in, readable_ledger
from airflow_provider_crm.commands.printing import is_for_programs, print_object, print_rows, print_title
from airflow_provider_crm.commands.runs import RUN_COLUMNS, run_row, with_states
from airflow_provider_crm.queries.attention import RHYTHM, attention, used_budgets
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.queries.syncs import syncs

if TYPE_CHECKING:
    from airflow_provider_crm.queries.attention import AttentionItem

_ATTENTION_COLUMNS = ("kind", "subject", "text", "account", "at")


@suppress_logs_and_warning
def status(args: Namespace) -> None:
    """Print what the overview of the page shows, for all Dags."""
    with one_sentence(), readable_ledger(args.ledger_conn_id) as connection:
        dags, now = dags_in(connection), Clock().now()
        found = Runs(connection, dags)
        known, used = syncs(connection, dags, now - RHYTHM), used_budgets(connection, dags, now)
        items = attention(connection, dags, now, known=known, used=used)
        parts: dict[str, list[dict[str, Any]]] = {
            "needs_attention": [_attention_row(item) for item in items],
            "accounts": [{"account": one.name, "runs": one.runs, "last_at": one.last_at} for one in found.accounts()],
            "last_runs": [run_row(run) for run in with_states(found.latest(limit=args.limit))],
        }
    if is_for_programs(args.output):
        print_object(parts, args.output)
        return
    if parts["needs_attention"]:
        print_title("Needs attention")
        print_rows(parts["needs_attention"], args.output, _ATTENTION_COLUMNS)
    else:
        print_title("Nothing needs attention.")
    print_title("Accounts")
    print_rows(parts["accounts"], args.output)
    print_title("Last runs")
    print_rows(parts["last_runs"], args.output, RUN_COLUMNS)


def _attention_row(item: AttentionItem) -> dict[str, Any]:
    return {
        "kind": item.kind.value,
        "subject": item.subject,
        "text": item.text,
        "account": item.account,
        "at": item.at,
        "dag_id": item.dag_id,
        "run_key": item.run_key,
        "plan_id": item.plan_id,
    }
