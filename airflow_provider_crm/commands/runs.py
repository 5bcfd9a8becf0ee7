"""`airflow crm runs`: the runs in the ledger, with what became of each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import dags_in, readable_ledger
from airflow_provider_crm.commands.printing import print_rows
from airflow_provider_crm.queries.run_filter import RunFilter
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.queries.task_states import with_task_states

if TYPE_CHECKING:
    from airflow_provider_crm.queries.runs import Run

RUN_COLUMNS = ("started_at", "dag_id", "task_id", "account", "label", "tries", "seconds", "run_id")


@suppress_logs_and_warning
def runs(args: Namespace) -> None:
    """Print the runs that began last, newest first."""
    with one_sentence(), readable_ledger(args.ledger_conn_id) as connection:
        wanted = RunFilter(since=args.since, dag_id=args.dag_id, account=args.account)
        found = Runs(connection, dags_in(connection)).latest(limit=args.limit, wanted=wanted)
        rows = [run_row(run) for run in with_states(found)]
    print_rows(rows, args.output, RUN_COLUMNS)


def with_states(found: Sequence[Run]) -> Sequence[Run]:
    """Return the runs with what Airflow knows of their tasks; a machine of a worker may not reach Airflow's database.

    The verdict on an open run then says that it is not known whether its task still runs.
    """
    try:
        return with_task_states(found)
    except SQLAlchemyError:
        return found


def run_row(run: Run) -> dict[str, Any]:
    """Return a run as commands print it."""
    verdict = run.verdict
    return {
        "run_key": run.run_key,
        "dag_id": run.key.dag_id,
        "task_id": run.key.task_id,
        "map_index": run.key.map_index,
        "run_id": run.key.run_id,
        "account": run.account,
        "verdict": verdict.word.value,
        "label": verdict.label,
        "sentence": verdict.sentence,
        "as_of": run.as_of,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "tries": run.tries,
        "rows": run.rows,
        "outcomes": run.outcomes,
        "calls": run.calls,
        "seconds": run.seconds,
        "plan_id": run.plan_id,
        "rejects_path": run.rejects_path,
        "warnings": run.warnings,
    }
