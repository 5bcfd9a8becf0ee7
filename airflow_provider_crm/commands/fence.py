"""`airflow crm fence`: data times that shut out newer data."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.commands.endings import one_sentence, user_name
from airflow_provider_crm.commands.ledgers import writable_ledger
from airflow_provider_crm.ledger.fences import clear_fences
from airflow_provider_crm.vendors import VENDORS


def clear(args: Namespace) -> None:
    """Clear data times, and print them."""
    vendor = VENDORS.get(args.account.partition(":")[0])
    records = {record_id if vendor is None else vendor.canonical_id(record_id) for record_id in args.record_ids}
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        fences = clear_fences(database, args.account, records, by=user_name(), now=Clock().now())
    for fence in fences:
        result = "is being written by a run now, and was not cleared" if fence.busy else "cleared"
        print(f"{fence.record_id} {fence.field}: data time {fence.as_of:%Y-%m-%d %H:%M} UTC {result}")
    if not fences:
        print("No data time to clear.")
