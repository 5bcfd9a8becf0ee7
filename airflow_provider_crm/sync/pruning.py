"""Prune the ledger that Airflow's settings name."""

from __future__ import annotations

import logging
from dataclasses import asdict

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import keep_changes_days, ledger_database
from airflow_provider_crm.ledger.prunable import Pruned
from airflow_provider_crm.ledger.prune import prune

log = logging.getLogger(__name__)


def prune_ledger(keep_days: int | str | None, ledger_conn_id: str) -> dict[str, int]:
    """Delete changes that are older than some days; return the numbers of deleted rows by the names of `Pruned`.

    Args:
        keep_days: Days for which changes are kept; None for the setting. If that is empty, too, nothing is deleted.
        ledger_conn_id: Connection to the ledger's database.

    Raises:
        ConfigurationError: The days are no whole number from 1, or there is no such ledger.
        LedgerUnavailableError: The database cannot be used.
    """
    days = keep_changes_days() if keep_days is None else _whole(keep_days)
    if days is None:
        log.info("[crm] keep_changes_days is empty: the ledger keeps all changes, and nothing was deleted.")
        return asdict(Pruned())
    database = ledger_database(ledger_conn_id)
    if database is None:
        msg = "There is no ledger to prune: ledger_conn_id is None; name a connection, or leave it out."
        raise ConfigurationError(msg)
    try:
        pruned = prune(database, keep_days=days, clock=Clock())
    finally:
        database.close()
    log.info("Deleted %s; all of it older than %s days.", pruned.sentence(), days)
    return asdict(pruned)


def _whole(keep_days: int | str) -> int:
    text = str(keep_days).strip()
    if not text.isdecimal():
        msg = f"keep_days is {keep_days!r}; pass a whole number of days, 1 or more. Nothing was deleted."
        raise ConfigurationError(msg)
    return int(text)
