"""Read the names of a run's opportunities that no answer of the run has shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.plan.records_now import batches
from airflow_provider_crm.plan.spool import Spool
from airflow_provider_crm.vendors.deal_names import deal_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.types import Logger

    from airflow_provider_crm.sync.run_context import RunContext


def read_missing_names(run_context: RunContext, log: Logger) -> None:
    """Read each name that was never asked for, if the ledger keeps names; an error is logged, and ends no run."""
    ledger = run_context.ledger
    if ledger is None or not ledger.keeps_names:
        return
    try:
        with Spool(ledger.unnamed_records()) as records:
            for record_ids in batches(records, run_context.session.account.vendor):
                ledger.name_records(_names(run_context, record_ids))
    except CrmError as err:
        log.warning("Some names of deals could not be read, and their ids stand on the page instead: %s", err)


def _names(run_context: RunContext, record_ids: Sequence[str]) -> dict[str, str | None]:
    session, catalogue = run_context.session, run_context.catalogue
    keys = () if catalogue.name_key is None else (catalogue.name_key,)
    return {
        record_id: deal_name(shown, session.account.vendor, catalogue) if isinstance(shown, dict) else None
        for record_id, shown in session.read_many(record_ids, keys).items()
    }
