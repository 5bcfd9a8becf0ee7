"""`airflow crm rotate-fernet-key`: encrypt stored tokens with the new key."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import writable_ledger
from airflow_provider_crm.hooks.ledger import encrypt_tokens_again


def rotate(args: Namespace) -> None:
    """Encrypt all tokens again, and print the number of connections."""
    with one_sentence(), writable_ledger(args.ledger_conn_id) as database:
        number = encrypt_tokens_again(database)
    print(f"The tokens of {number} OAuth connections are encrypted with the first Fernet key.")
