"""Settle the rows of uploads that the vendor has written, as the records show them.

What a record does not show has not landed: such a row is sent by an ordinary call, whose answer says why.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import CrmError, RejectedError
from airflow_provider_crm.ledger.claims import Settlement
from airflow_provider_crm.ledger.uploads import UploadStage
from airflow_provider_crm.push.outcomes import is_gone
from airflow_provider_crm.push.run_ledger import AT_ONCE, ledger_parts
from airflow_provider_crm.push.uploads import running
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord
from airflow_provider_crm.vendors.calls import UploadState
from airflow_provider_crm.vendors.comparison import still_shows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.claims import ClaimedRow
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.ledger.uploads import Upload
    from airflow_provider_crm.vendors.calls import UploadCalls
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)

_LEFT_BEHIND = 900.0
"""Seconds after which an upload that its run does not ask for is settled by another run."""


@dataclass(frozen=True, slots=True)
class EndedUploads:
    """What became of the uploads of a run.

    Attributes:
        landed: Rows that landed, and were not known to.
        not_written: Record ids of the rows that an upload did not write.
        any_sent: Whether the run has ever sent one.
    """

    landed: int = 0
    not_written: frozenset[str] = frozenset()
    any_sent: bool = False


def settle_uploads(session: Session, catalogue: Catalogue, calls: UploadCalls, ledger: Ledger) -> EndedUploads:
    """Settle the uploads of this run, and those that other runs have left behind.

    Args:
        session: The account.
        catalogue: What the account offers.
        calls: The vendor's calls for uploads.
        ledger: That of the run.

    Raises:
        UploadRunningError: The vendor has not ended one of this run.
        CrmError: It could not be asked.
    """
    landed, not_written = 0, frozenset[str]()
    for upload in ledger.uploads.open():
        is_own = upload.run_key == ledger.run_key
        if is_own or upload.untouched > _LEFT_BEHIND:
            ending = _Ending(session, catalogue, ledger, upload, calls)
            if ending.settle(waits=is_own) and is_own:
                landed += ending.landed
                not_written |= ending.not_written
    return EndedUploads(landed, not_written, ledger.uploads.has_sent(ledger.run_key))


class _Ending:
    """One upload, until its rows are settled."""

    def __init__(
        self, session: Session, catalogue: Catalogue, ledger: Ledger, upload: Upload, calls: UploadCalls
    ) -> None:
        self.landed = 0
        self.not_written: frozenset[str] = frozenset()
        self._session = session
        self._catalogue = catalogue
        self._uploads = ledger.uploads
        self._ledger = ledger.holding(upload)
        self._upload = upload
        self._calls = calls

    def settle(self, *, waits: bool) -> bool:
        """Settle it; False if the vendor is not done with it, and nobody waits for that.

        Raises:
            UploadRunningError: The vendor is not done with it.
        """
        upload = self._upload
        if upload.stage is UploadStage.FILLING:
            if self._uploads.abandon(upload.claim_token):
                self._give_back()
            return False
        state = self._state()
        if state is UploadState.OPEN:
            state = self._cancelled()
        if state is UploadState.RUNNING:
            self._uploads.touch(upload.claim_token)
            if waits:
                raise running(self._session, upload.vendor_id, upload.rows, upload.opened)
            return False
        batch = self._session.account.vendor.batch_read
        for rows in self._held(AT_ONCE if batch is None else batch.largest):
            self._settle(rows)
        self._uploads.end(upload.claim_token, self.landed)
        log.info("Of %s rows that were uploaded, %s are in the CRM.", f"{upload.rows:,}", f"{self.landed:,}")
        return True

    def _state(self) -> UploadState:
        """Ask the vendor; one that it has deleted by now has ended."""
        try:
            status = self._session.answer(self._calls.ask(self._upload.vendor_id), self._calls.status)
        except RejectedError as err:
            if not is_gone(err, self._session.account.vendor):
                raise
            return UploadState.ENDED
        if status.reason:
            log.warning("The upload %s ended early: %s", self._upload.vendor_id, status.reason)
        return status.state

    def _cancelled(self) -> UploadState:
        """Cancel an upload that the vendor was never told to begin, so that it never is; return what it is then.

        Raises:
            CrmError: It waits to begin as before: a process that was left behind may still tell the vendor.
        """
        try:
            self._session.answer(self._calls.cancel(self._upload.vendor_id), self._calls.status)
        except RejectedError:
            if (state := self._state()) is UploadState.OPEN:
                raise
            return state
        return self._state()

    def _held(self, at_once: int) -> Iterator[list[ClaimedRow]]:
        """Yield the rows that are held for the upload."""
        after = ""
        while rows := self._ledger.held_rows(after, at_once):
            after = rows[-1].record_id
            yield rows

    def _give_back(self) -> None:
        """End the claims of rows of which none was sent."""
        for rows in self._held(AT_ONCE):
            self._ledger.release([row.record_id for row in rows])

    def _settle(self, rows: Sequence[ClaimedRow]) -> None:
        """Put those rows on record whose records show their values; end the claims of the others."""
        keys = tuple(dict.fromkeys(key for row in rows for key in row.claim.fields))
        records = self._session.read_many([row.record_id for row in rows], keys)
        landed = [row for row in rows if self._shows(records[row.record_id], row)]
        left = sorted({row.record_id for row in rows} - {row.record_id for row in landed})
        for some in ledger_parts(landed):
            self._ledger.settle(
                [Settlement(row, Outcome(0, row.record_id, OutcomeWord.UPDATED), row.claim.fields) for row in some]
            )
        for record_ids in ledger_parts(left):
            self._ledger.forget(record_ids)
            self._ledger.release(record_ids)
        self.landed += len(landed)
        self.not_written |= frozenset(left)

    def _shows(self, record: Record | CrmError, row: ClaimedRow) -> bool:
        if isinstance(record, CrmError):
            return False
        vendor, catalogue = self._session.account.vendor, self._catalogue
        return all(still_shows(key, text, record, vendor, catalogue) for key, text in row.desired.values.items())
