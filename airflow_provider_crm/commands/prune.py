"""`airflow crm prune`: delete changes that are older than some days."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import writable_ledger
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import keep_changes_days
from airflow_provider_crm.ledger.prunable import count_prunable
from airflow_provider_crm.ledger.prune import BATCH_ROWS, prune


def old_changes(args: Namespace) -> None:
    """Delete what is old, or count it, and print the numbers."""
    with one_sentence():
        days = keep_changes_days() if args.older_than_days is None else args.older_than_days
        if days is None:
            msg = (
                "[crm] keep_changes_days is empty, so that the ledger keeps all changes. Pass --older-than-days, or "
                "set keep_changes_days. Nothing was deleted."
            )
            raise ConfigurationError(msg)
        with writable_ledger(args.ledger_conn_id) as database:
            if args.dry_run:
                pruned = count_prunable(database, keep_days=days)
            else:
                batch_rows = BATCH_ROWS if args.batch_rows is None else args.batch_rows
                pruned = prune(database, keep_days=days, clock=Clock(), batch_rows=batch_rows)
    done = "Would delete" if args.dry_run else "Deleted"
    print(f"{done} {pruned.sentence()}; all of it older than {days} days.")
