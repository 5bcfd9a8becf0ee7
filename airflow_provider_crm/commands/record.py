"""`airflow crm record`: the present values of one record, and its history."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import dags_in, readable_ledger
from airflow_provider_crm.commands.printing import is_for_programs, print_object, print_rows, print_title
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import hashed_fields
from airflow_provider_crm.ledger.fences import RUN_KEY
from airflow_provider_crm.queries.changes import RecordChanges, Search
from airflow_provider_crm.queries.runs import Runs
from airflow_provider_crm.queries.values import Values

if TYPE_CHECKING:
    from airflow_provider_crm.queries.changes import Change, State

# What stands before the first slash in the lines of a command: SQLite finds none, and PostgreSQL returns the whole.
_COMMANDS = ("", RUN_KEY)
_STATE_COLUMNS = ("field", "value", "as_of", "acknowledged_at", "run_key")
_CHANGE_COLUMNS = ("at", "outcome", "field", "before", "after", "code", "reason", "run_key")


@suppress_logs_and_warning
def record(args: Namespace) -> None:
    """Print a record, of each account that has it."""
    values = Values(hashed_fields())
    with one_sentence(), readable_ledger(args.ledger_conn_id) as connection:
        dags = {*dags_in(connection), *_COMMANDS}
        changes = RecordChanges(connection, dags, args.record_id)
        accounts = [one.name for one in Runs(connection, dags).accounts() if args.account in (None, one.name)]
        found = [_record(changes, values, account, args) for account in accounts]
        found = [one for one in found if one["values"] or one["history"]]
        if not found:
            where = f"account {args.account!r}" if args.account else "any account"
            msg = f"The ledger has no record {args.record_id!r} of {where}."
            raise ConfigurationError(msg)
    if is_for_programs(args.output):
        print_object(found, args.output)
        return
    for one in found:
        print_title(f"{one['record_id']} of {one['account']}: values as the ledger knows them")
        print_rows(one["values"], args.output, _STATE_COLUMNS)
        print_title("History, the last change first")
        print_rows(one["history"], args.output, _CHANGE_COLUMNS)


def _record(changes: RecordChanges, values: Values, account: str, args: Namespace) -> dict[str, Any]:
    history = changes.history(account, Search(size=args.limit)).rows
    return {
        "account": account,
        "record_id": args.record_id,
        "values": [_state_row(values, account, state) for state in changes.states(account)],
        "history": [_change_row(values, change) for change in history],
    }


def _state_row(values: Values, account: str, state: State) -> dict[str, Any]:
    shown = values.shown(account, state.field, state.value)
    return {
        "field": state.field,
        "value": shown.text,
        "kind": shown.kind,
        "as_of": state.as_of,
        "acknowledged_at": state.acknowledged_at,
        "run_key": state.run_key,
    }


def _change_row(values: Values, change: Change) -> dict[str, Any]:
    before, after = (values.shown(change.account, change.field, text) for text in (change.before, change.after))
    return {
        "at": change.at,
        "outcome": change.outcome,
        "field": change.field,
        "before": before.text,
        "before_kind": before.kind,
        "after": after.text,
        "after_kind": after.kind,
        "code": change.code,
        "reason": change.reason,
        "source": {one.field: values.source(change.account, one).text for one in change.source},
        "run_key": change.run_key,
    }
