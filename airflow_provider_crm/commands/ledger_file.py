"""`airflow crm export` and `airflow crm import`: a whole ledger in one file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import writable_ledger
from airflow_provider_crm.database.portable import export_ledger, import_ledger


def export_file(args: Namespace) -> None:
    """Write the ledger into a file, and print the number of rows."""
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        counted = export_ledger(database, Path(args.file))
    print(f"Exported to {args.file}: {_rows(counted)}.")


def import_file(args: Namespace) -> None:
    """Read a file into an empty ledger, and print the number of rows."""
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        counted = import_ledger(database, Path(args.file))
    print(f"Imported from {args.file}: {_rows(counted)}.")


def _rows(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{rows:,} rows of {name}" for name, rows in counted.items() if rows) or "no rows"
