"""`airflow crm doctor`: find out what is wrong with a set-up, and say the cure."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.commands.checks.connection import ConnectionCheck
from airflow_provider_crm.commands.checks.environment import environment_checks
from airflow_provider_crm.commands.checks.ledger import LedgerCheck
from airflow_provider_crm.commands.checks.options import option_checks
from airflow_provider_crm.commands.checks.page import page_checks
from airflow_provider_crm.commands.checks.result import CheckResult, CheckState
from airflow_provider_crm.commands.checks.tokens import token_checks
from airflow_provider_crm.commands.checks.vendors import vendor_checks
from airflow_provider_crm.commands.ledgers import find_connections
from airflow_provider_crm.commands.printing import print_rows
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER


@suppress_logs_and_warning
def doctor(args: Namespace) -> None:
    """Print the result of each check; exit with code 1 if one is a problem."""
    find_connections()
    results = list(_results(args.crm_conn_id, args.ledger_conn_id or DEFAULT_LEDGER, Clock()))
    print_rows([asdict(result) for result in results], args.output)
    if any(result.state is CheckState.PROBLEM for result in results):
        raise SystemExit(1)


def _results(crm_conn_id: str | None, ledger_conn_id: str, clock: Clock) -> Iterator[CheckResult]:
    yield from environment_checks()
    yield from vendor_checks()
    yield from option_checks()
    with LedgerCheck(ledger_conn_id, clock) as ledger:
        yield from ledger.results()
        checked = None if crm_conn_id is None else ConnectionCheck(crm_conn_id, ledger_conn_id, clock)
        if checked is not None:
            yield from checked.settings()
        key_results = _key_results(ledger, oauth=checked is not None and checked.signs_in_by_oauth)
        yield from key_results
    if checked is not None and all(result.state is CheckState.OK for result in key_results):
        yield from checked.answers(has_ledger=ledger.engine is not None)
    yield from page_checks(ledger_conn_id)


def _key_results(ledger: LedgerCheck, *, oauth: bool) -> list[CheckResult]:
    if ledger.engine is None:
        return list(token_checks(None, oauth=oauth))
    with ledger.engine.connect() as connection:
        return list(token_checks(connection, oauth=oauth))
