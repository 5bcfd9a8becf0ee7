"""Declare `airflow crm ...`.

Airflow imports this whenever its command line starts, so a command's module in `commands/` is imported when it is run.
"""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentTypeError
from typing import Any

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
        _drift(),
        _export(),
        _exposures(),
        _fence(),
        _import(),
        _prune(),
        _rotate_fernet_key(),
        _plan(),
        _record(),
        _runs(),
        _status(),
        _vendors(),
    )
    text = "Look into the CRM provider's ledger, and look after it"
    return [GroupCommand(name="crm", help=text, subcommands=commands)]


def _arg(*flags: str, **more: Any) -> Arg:
    return Arg(flags, **more)  # type: ignore[no-untyped-call]  # of Airflow


_LEDGER = _arg("--ledger-conn-id", help="Connection to the ledger's database. Default: the one that tasks use, too.")
_ACCOUNT = _arg("--account", help="Name of the account, as in reports: vendor:host:organization")
_READING = (_LEDGER, ARG_OUTPUT, ARG_VERBOSE)


def _limit(number: int, what: str) -> Arg:
    return _arg("--limit", type=int, default=number, help=f"Maximum number of {what}. Default: {number}")


def _moment(text: str) -> dt.datetime:
    """Read a point in time, or the beginning of a date, in UTC if it names no offset."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as err:
        msg = f"{text!r} is no date or time such as 2026-11-30 or 2026-11-30T08:00:00+01:00"
        raise ArgumentTypeError(msg) from err
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


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
    rename = _command(
        "rename",
        "account.rename",
        "Give an account another name, in all tables",
        _arg("old", help="Its name, as in reports: vendor:host:organization"),
        _arg("new", help="Its new name, of the same form"),
        _LEDGER,
        description="The new name must not be there yet, and no run may be writing to the account.",
    )
    forget = _command(
        "forget",
        "account.forget",
        "Count all values of an account as unknown",
        _arg("account", help="Name of the account, as in reports: vendor:host:organization"),
        _LEDGER,
        description=(
            "After the CRM, or the ledger, was restored from a backup: each run then sends what it wants once more. "
            "Data times stay, so that older data stays out."
        ),
    )
    return GroupCommand(name="account", help="Names of accounts", subcommands=(confirm, forget, rename))


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


def _drift() -> ActionCommand:
    return _command(
        "drift",
        "drift.drift",
        "Compare the values that runs have written with what the CRM holds now",
        _arg("crm_conn_id", help="Id of the connection to the CRM"),
        _arg("--sample", type=int, help="Read so many records, chosen at random. Default: all"),
        *_READING,
        description=(
            "Reads records, as many in a call as the vendor can, and counts by field how many values differ from the "
            "ledger: people or other programs have changed them, or the CRM was restored. It changes nothing. "
            "`account forget` lets runs write their values again."
        ),
    )


def _prune() -> ActionCommand:
    return _command(
        "prune",
        "prune.old_changes",
        "Delete changes that are older than some days",
        _arg("--older-than-days", type=int, help="Number of days. Default: [crm] keep_changes_days"),
        _arg("--batch-rows", type=int, help="Rows of one transaction, at most. Default: 10,000"),
        _arg("--dry-run", action="store_true", help="Count them, and delete nothing"),
        _LEDGER,
        description=(
            "Runs may write at the same time. A run's changes and tries go once all of them are old; the run itself "
            "stays, with its report, and can no longer be undone. Rows of plans that were applied, reads of plans that "
            "were never completed, and refusals of rows that no run has had since go, too. Values of fields, and plans "
            "that were not applied, always stay."
        ),
    )


def _export() -> ActionCommand:
    return _command(
        "export",
        "ledger_file.export_file",
        "Write the whole ledger into one file",
        _arg("file", help="A new file, such as crm_ledger.jsonl.gz"),
        _LEDGER,
        description=(
            "Runs may write at the same time: the file has what was stored at one moment. It is gzipped JSON, a line "
            "for each row, and only its owner may read it. Tokens in it stay encrypted with Airflow's Fernet key."
        ),
    )


def _exposures() -> ActionCommand:
    return _command(
        "exposures",
        "exposures.exposures",
        "Print the syncs as exposures of dbt",
        _arg("--manifest", help="The project's target/manifest.json, by which exposures name what a query reads"),
        _arg("--days", type=int, default=90, help="Syncs that ran within so many days. Default: 90"),
        _LEDGER,
        ARG_VERBOSE,
        description="YAML for a file such as models/crm_exposures.yml: one exposure for each task that has written.",
    )


def _import() -> ActionCommand:
    return _command(
        "import",
        "ledger_file.import_file",
        "Read a file of `airflow crm export` into an empty ledger",
        _arg("file", help="The file"),
        _LEDGER,
        description="All of it or nothing: a file that was cut, and a ledger that has rows, change nothing.",
    )


def _rotate_fernet_key() -> ActionCommand:
    return _command(
        "rotate-fernet-key",
        "fernet_key.rotate",
        "Encrypt the tokens in the ledger with the first of Airflow's Fernet keys",
        _LEDGER,
        description="The old key has to stand behind the new one in [core] fernet_key until this was run.",
    )


def _plan() -> GroupCommand:
    show = _command(
        "show",
        "plan.show",
        "Show a plan: counts, sums, and its rows, the largest amounts first",
        _arg("plan_id", help="Id of the plan, as in the report of the run that made it"),
        _arg("--verdict", default="changes", help="Show the rows of this verdict. Default: all that would be written"),
        _limit(50, "rows"),
        *_READING,
    )
    return GroupCommand(name="plan", help="Plans: the difference before it is written", subcommands=(show,))


def _record() -> ActionCommand:
    return _command(
        "record",
        "record.record",
        "Show the values of one opportunity as the ledger knows them, and its history",
        _arg("record_id", help="The CRM's id of the opportunity"),
        _ACCOUNT,
        _limit(50, "changes"),
        *_READING,
    )


def _runs() -> ActionCommand:
    return _command(
        "runs",
        "runs.runs",
        "List the runs that began last, and what became of each",
        _ACCOUNT,
        _arg("--dag-id", help="Id of the Dag"),
        _arg("--since", type=_moment, help="Runs that began at this time or later; ISO 8601, UTC without an offset"),
        _limit(25, "runs"),
        *_READING,
    )


def _vendors() -> ActionCommand:
    return _command("vendors", "vendors.vendors", "List the installed vendors", ARG_OUTPUT, ARG_VERBOSE)


def _status() -> ActionCommand:
    return _command(
        "status",
        "status.status",
        "Show what needs attention, the accounts, and the last runs",
        _limit(10, "last runs"),
        *_READING,
    )
