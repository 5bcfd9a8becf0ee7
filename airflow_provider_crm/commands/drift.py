"""`airflow crm drift`: how many of the values that were written does the CRM still hold."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import readable_ledger
from airflow_provider_crm.commands.printing import is_for_programs, print_object, print_rows, print_title
from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, field_hashes, hashed_fields
from airflow_provider_crm.plan.drift import DriftCheck, known_fields
from airflow_provider_crm.queries.values import Values, field_label

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.plan.drift import DifferingValue, Drift
    from airflow_provider_crm.vendors.catalogue import Catalogue

_CALLS_IN_FLIGHT = 8


@suppress_logs_and_warning
def drift(args: Namespace) -> None:
    """Compare the values of an account in the ledger with the CRM, and print what differs."""
    if args.sample is not None and args.sample < 1:
        msg = f"--sample is {args.sample}; write a number of records from 1 on, or leave it out to read all."
        raise SystemExit(msg)
    with one_sentence(), readable_ledger(args.ledger_conn_id) as reading:
        # No transaction stays open in the database while the CRM is read.
        connection = reading.execution_options(isolation_level="AUTOCOMMIT")
        hook = CrmHook.for_connection(args.crm_conn_id, ledger_conn_id=args.ledger_conn_id or DEFAULT_LEDGER)
        with hook:
            session = hook.session
            account, catalogue = _account(connection, session)
            check = DriftCheck(connection, account, session, catalogue, field_hashes(catalogue.fields), args.sample)
            found = check.run(_CALLS_IN_FLIGHT)
    _print(account, found, args.output)


def _account(connection: Connection, session: Session) -> tuple[str, Catalogue]:
    """Return the name of the account, and what it offers of the fields that runs have written.

    Raises:
        ConfigurationError: The ledger knows no value of it.
    """
    account = session.account.key(session.catalogue(()))
    keys = known_fields(connection, account)
    if not keys:
        query = sa.select(field_states.c.account).distinct().order_by(field_states.c.account)
        known = ", ".join(connection.execute(query).scalars()) or "no account"
        msg = f"The ledger knows no value of {account}; it knows {known}."
        raise ConfigurationError(msg)
    return account, session.catalogue(tuple(keys))


def _print(account: str, found: Drift, output: str) -> None:
    values = Values(hashed_fields())
    fields = [
        {
            "field": field_label(account, key).name,
            "key": key,
            "values": one.values,
            "differing": one.differing,
            "percent": round(100 * one.differing / one.values, 2),
        }
        for key, one in sorted(found.fields.items())
    ]
    examples = [_example_row(values, account, one) for one in found.examples]
    if is_for_programs(output):
        content = {
            "account": account,
            "records": found.records,
            "gone": found.gone_count,
            "gone_ids": found.gone,
            "fields": fields,
            "examples": examples,
        }
        print_object(content, output)
        return
    print_title(f"{account}: {found.records:,} records read, {found.gone_count:,} of them are gone.")
    if fields:
        print_rows(fields, output)
    if found.gone:
        print_title(f"Gone, such as {', '.join(found.gone)}")
    if examples:
        print_title("Values that the CRM no longer holds, such as")
        print_rows(examples, output)


def _example_row(values: Values, account: str, one: DifferingValue) -> dict[str, Any]:
    return {
        "record_id": one.record_id,
        "field": field_label(account, one.field).name,
        "written": values.shown(account, one.field, one.written).text,
        "shown": values.shown(account, one.field, one.shown).text,
    }
