"""Note in the ledger how far a run is, for those who watch it on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import LedgerUnavailableError
from airflow_provider_crm.report.run_progress import RunProgress

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from airflow_provider_crm.report.progress import Reading
    from airflow_provider_crm.sync.ledger_access import LedgerAccess
    from airflow_provider_crm.sync.run_context import RunContext


class NotedProgress:
    """The progress of one run in its ledger.

    A database that fails is reported by the run's next claim; here it only ends the notes.

    Args:
        access: The ledger's database.
        run_context: The run.
        total: Rows of the run, or None where their number is not known before the end.
        log: The task's log.
    """

    def __init__(self, access: LedgerAccess, run_context: RunContext, total: int | None, log: Logger) -> None:
        self._access = access
        self._failed = False
        self._run_context = run_context
        self._total = total
        self._log = log

    def note(self, reading: Reading, rate: float) -> None:
        """Store a reading, with the rows per second so far."""
        from airflow_provider_crm.ledger.tries import note_progress

        database = self._access.database
        if self._failed or database is None or self._run_context.ledger is None:
            return
        now = self._run_context.session.clock.now()
        progress = RunProgress(reading.rows, self._total, reading.refused, rate, now)
        names = (self._run_context.run_key, self._run_context.account)
        try:
            note_progress(database, *names, progress.to_dict())
        except LedgerUnavailableError as err:
            self._failed = True
            self._log.warning("The page no longer shows the progress of this run: %s", err)
