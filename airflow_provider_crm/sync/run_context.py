"""Define the context of a run, with which its rows are read and written, and the protocol of their source."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from airflow_provider_crm.report.warnings import Warnings

if TYPE_CHECKING:
    from airflow_provider_crm.hooks.sessions import Session
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.sync.row_stream import RowStream
    from airflow_provider_crm.vendors.catalogue import Catalogue

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """The parts of a run that its rows are written with, known before they are read.

    Attributes:
        session: The session with the CRM.
        catalogue: The fields and stages that the account offers.
        account: Name of the account, as in the ledger.
        rules: The rules by which rows are written.
        run_key: Name of the run.
        ledger: The values that were acknowledged so far; None in a dry run, or without a ledger.
        reads: The records that a plan has read; None in a dry run, or without a ledger.
        warnings: Sentences that a person should read; any part of the run adds some.
    """

    session: Session
    catalogue: Catalogue
    account: str
    rules: PushRules
    run_key: str
    ledger: Ledger | None = None
    reads: PlanReads | None = None
    warnings: Warnings = field(default_factory=lambda: Warnings(_log.warning))


class Source(Protocol):
    """The source of a run's rows; opened before the first call, and read after it."""

    names: tuple[str, ...]
    """The fields that the rows write, as far as the vendor has to be asked about them."""
    inspects: bool
    """Whether each record is read before it is written."""

    def rows(self, run_context: RunContext) -> RowStream:
        """Return the rows.

        Raises:
            ConfigurationError: They do not fit the account.
        """
        ...

    def close(self) -> None:
        """Close the files, cursors and threads of the source."""
        ...
