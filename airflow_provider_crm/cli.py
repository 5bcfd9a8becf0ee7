"""Declare `airflow crm ...`.

Airflow imports this whenever its command line starts, so a command's module in `commands/` is imported when it is run.
"""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)


def get_crm_commands() -> list[CLICommand]:
    """Return the commands that provider info names."""
    commands = (
        _account(),
        _doctor(),
        _fence(),
    )
    text = "Look into the CRM provider's ledger, and look after it"
    return [GroupCommand(name="crm", help=text, subcommands=commands)]


def _arg(*flags: str, **more: str) -> Arg:
    return Arg(flags, **more)  # type: ignore[no-untyped-call]  # of Airflow


_LEDGER = _arg("--ledger-conn-id", help="Connection to the ledger's database. Default: the one that tasks use, too.")
_READING = (_LEDGER, ARG_OUTPUT, ARG_VERBOSE)


def _command(name: str, function: str, text: str, *args: Arg, description: str | None = None) -> ActionCommand:
    """Return a command.

    Args:
        name: The word on the command line.
        function: Module in `commands/`, and function.
        text: What it does, in a line.
        args: Its arguments.
        description: What it does, in sentences.
    """
    func = lazy_load_command(f"airflow_provider_crm.commands.{function}")
    return ActionCommand(name=name, help=text, description=description, func=func, args=args)


def _fence() -> GroupCommand:
    clear = _command(
        "clear",
        "fence.clear",
        "Clear data times that shut out newer data",
        _arg("account", help="Name of the account, as in reports: vendor:host:organization"),
        _arg("record_ids", nargs="*", metavar="record_id", help="The CRM's id of an opportunity"),
        _LEDGER,
        description=(
            "Without record ids: all data times of the account that lie in the future. With record ids: "
            "those of all their fields. The next run then writes, whatever its data time is, so let the "
            "newest run come first. crm_changes records the data time, the user and the time."
        ),
    )
    return GroupCommand(name="fence", help="Data times that shut out newer data", subcommands=(clear,))


def _account() -> GroupCommand:
    confirm = _command(
        "confirm",
        "account.confirm",
        "Say that a connection's new key is one of the same organization",
        _arg("crm_conn_id", help="Id of the connection"),
        _LEDGER,
        description=(
            "For vendors that do not name the organization of a key: a connection with another key than "
            "before writes nothing until this was run. crm_accounts records who confirmed it and when."
        ),
    )
    return GroupCommand(name="account", help="Names of accounts", subcommands=(confirm,))


def _doctor() -> ActionCommand:
    return _command(
        "doctor",
        "doctor.doctor",
        "Find out what is wrong with the set-up, and how to cure it",
        _arg("crm_conn_id", nargs="?", help="Id of a connection to a CRM, which is tried with a few reading calls"),
        *_READING,
        description=(
            "Checks versions, vendors, options, ledger, Fernet key, clocks and page, and a connection if one is named. "
            "It changes nothing; only a renewed OAuth token is stored. The exit code is 1 if there is a problem."
        ),
    )
