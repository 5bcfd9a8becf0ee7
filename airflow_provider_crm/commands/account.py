"""`airflow crm account`: the names of accounts."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.commands.endings import one_sentence, user_name
from airflow_provider_crm.commands.ledgers import writable_ledger
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER
from airflow_provider_crm.ledger.accounts import AccountNames
from airflow_provider_crm.ledger.renaming import forget_account, rename_account


def confirm(args: Namespace) -> None:
    """Confirm a connection's present key, and print the consequence."""
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        hook = CrmHook.for_connection(args.crm_conn_id, ledger_conn_id=args.ledger_conn_id or DEFAULT_LEDGER)
        with hook.session as session:
            organization = session.catalogue(()).organization
        if organization is None:
            sentence = AccountNames(database, Clock()).confirm(session.account, user_name())
        else:
            sentence = (
                f"{hook.vendor.display_name} names the organization of the key ({organization}): nothing to confirm."
            )
    print(sentence)


def rename(args: Namespace) -> None:
    """Give an account another name, and print what has it now."""
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        renamed = dict(rename_account(database, args.old, args.new))
    open_plans = renamed.pop("open plans", 0)
    rows = ", ".join(f"{number:,} rows of {name}" for name, number in renamed.items())
    print(f"Renamed {args.old} to {args.new}: {rows}.")
    if open_plans:
        print(f"Plans that wait for an approval have to be made again: {open_plans}.")


def forget(args: Namespace) -> None:
    """Count the values of an account as unknown, and print their number."""
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        fields = forget_account(database, args.account)
    print(f"{fields:,} values of {args.account} count as unknown: each run sends what it wants once more.")
