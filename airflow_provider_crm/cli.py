"""Define `airflow crm ...`: commands that change the ledger by hand, and record it there.

Airflow imports this whenever its command line starts, so each command imports what it needs when it runs.
"""

from __future__ import annotations

import getpass
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from airflow.cli.cli_config import CLICommand

    from airflow_provider_crm.database.database import Database


def get_crm_commands() -> list[CLICommand]:
    """Return the commands that provider info names."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def arg(*flags: str, **more: str) -> Arg:
        return Arg(flags, **more)  # type: ignore[no-untyped-call]  # of Airflow

    ledger = arg("--ledger-conn-id", help="Connection to the ledger's database. Default: the one that tasks use, too.")
    return [
        GroupCommand(
            name="crm",
            help="Look after the ledger of the CRM provider",
            subcommands=(
                ActionCommand(
                    name="clear-fence",
                    help="Clear data times that shut out newer data",
                    description=(
                        "Without record ids: all data times of the account that lie in the future. With record ids: "
                        "those of all their fields. The next run then writes, whatever its data time is, so let the "
                        "newest run come first. crm_changes records the data time, the user and the time."
                    ),
                    func=clear_fence,
                    args=(
                        arg("account", help="Name of the account, as in reports: vendor:host:organization"),
                        arg("record_ids", nargs="*", metavar="record_id", help="The CRM's id of an opportunity"),
                        ledger,
                    ),
                ),
                ActionCommand(
                    name="confirm-account",
                    help="Say that a connection's new key is one of the same organization",
                    description=(
                        "For vendors that do not name the organization of a key: a connection with another key than "
                        "before writes nothing until this was run. crm_accounts records who confirmed it and when."
                    ),
                    func=confirm_account,
                    args=(arg("crm_conn_id", help="Id of the connection"), ledger),
                ),
            ),
        )
    ]


def clear_fence(args: Namespace) -> None:
    """Clear data times, and print them."""
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.ledger.fences import clear_fences
    from airflow_provider_crm.vendors import VENDORS

    vendor = VENDORS.get(args.account.partition(":")[0])
    records = {record_id if vendor is None else vendor.canonical_id(record_id) for record_id in args.record_ids}
    with _ledger(args) as database:
        fences = clear_fences(database, args.account, records, by=_user(), now=Clock().now())
    for fence in fences:
        result = "is being written by a run now, and was not cleared" if fence.busy else "cleared"
        print(f"{fence.record_id} {fence.field}: data time {fence.as_of:%Y-%m-%d %H:%M} UTC {result}")  # noqa: T201
    if not fences:
        print("No data time to clear.")  # noqa: T201


def confirm_account(args: Namespace) -> None:
    """Confirm a connection's present key, and print the consequence."""
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.hooks.crm import CrmHook
    from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER
    from airflow_provider_crm.ledger.accounts import AccountNames

    with _ledger(args) as database:
        hook = CrmHook.for_connection(args.crm_conn_id, ledger_conn_id=args.ledger_conn_id or DEFAULT_LEDGER)
        with hook.session as session:
            organization = session.catalogue(()).organization
        if organization is None:
            sentence = AccountNames(database, Clock()).confirm(session.account, _user())
        else:
            sentence = (
                f"{hook.vendor.display_name} names the organization of the key ({organization}): nothing to confirm."
            )
    print(sentence)  # noqa: T201


@contextmanager
def _ledger(args: Namespace) -> Iterator[Database]:
    """Open the ledger's database; an error of this package ends the command with its message."""
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database

    # Airflow's own commands set this, too; without it connections in its metadata database are not found.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        database = cast("Database", ledger_database(args.ledger_conn_id or DEFAULT_LEDGER))  # never None with a name
        try:
            yield database
        finally:
            database.close()
    except CrmError as err:
        raise SystemExit(str(err)) from None


def _user() -> str:
    """Return the user who runs the command, as far as the machine knows; in a container a user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
