"""Send very many rows of a run as one file, which the vendor writes in its own time.

The rows before them go by ordinary calls, so that a wrong column is noticed before a file is made. The run ends when
its file is sent, as for a long wait: `ended_uploads` settles the rows when it goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ClaimLostError, CrmError, TransientError, UploadRunningError
from airflow_provider_crm.push.outcomes import not_sent
from airflow_provider_crm.push.prepare import Job
from airflow_provider_crm.push.run_ledger import AT_ONCE, ledger_parts
from airflow_provider_crm.values.opportunity import Outcome

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.run_ledger import RunLedger
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.calls import UploadCalls

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 15.0, 300.0
LONGEST_BUSY = 3_600.0
"""Seconds that no claim lasts but that of an upload."""
_TIMES_SENT = 3
_ONE_ATTEMPT = 1
_IN_FILE = "The row is in a file for the CRM, and the run ended before the CRM had written it."


def running(session: Session, vendor_id: str, rows: int, seconds: float) -> UploadRunningError:
    """Return the reason why a run ends while the vendor writes its rows.

    Args:
        session: The account.
        vendor_id: The vendor's id of the upload.
        rows: Its rows.
        seconds: How long ago it was opened; the longer, the longer the wait until it is asked for again.
    """
    vendor = session.account.vendor
    msg = f"{vendor.display_name} is writing {rows:,} rows that were uploaded as one file ({vendor_id})."
    wait = min(max(seconds / 3, FIRST_WAIT), LONGEST_WAIT)
    return UploadRunningError(msg, vendor=vendor.name, retry_after=wait)


def others_upload(session: Session) -> UploadRunningError:
    """Return the reason why a run ends while the vendor writes rows of another one, which want the same records."""
    vendor = session.account.vendor
    msg = f"{vendor.display_name} is writing some of the same records for another run, which uploaded them as one file."
    return UploadRunningError(msg, vendor=vendor.name, retry_after=LONGEST_WAIT)


@dataclass(slots=True)
class _File:
    """A file that is being filled.

    Attributes:
        calls: The vendor's calls.
        vendor_id: The vendor's id of the upload.
        keys: The vendor's keys of its columns.
        lines: The rows, each with the number of columns that there were then.
        size: Bytes of all lines.
        records: Record ids of the rows.
    """

    calls: UploadCalls
    vendor_id: str
    keys: list[str] = field(default_factory=list)
    lines: list[tuple[str, int]] = field(default_factory=list)
    size: int = 0
    records: list[str] = field(default_factory=list)

    def add(self, job: Job) -> bool:
        """Add a row; False if the file cannot express it."""
        line = self.calls.line(job.record_id, job.calls[0].body or "{}", self.keys)
        if line is None:
            return False
        self.lines.append((line, len(self.keys)))
        self.size += len(line.encode()) + 1
        self.records.append(job.record_id)
        return True

    @property
    def is_full(self) -> bool:
        """Whether no further rows fit."""
        return len(self.lines) + AT_ONCE > self.calls.largest or self.size > self.calls.largest_bytes

    def text(self) -> str:
        """Return the whole file."""
        columns = len(self.keys)
        rows = (line + "," * (columns - known) for line, known in self.lines)
        return "\n".join((self.calls.header(self.keys), *rows, ""))


class RowUpload:
    """The rows of a run that go as one file; for the main thread only.

    Args:
        session: The account.
        ledger: Holds the claims of the rows.
        stops: Ends the run when the file is sent.
        after: Rows that are sent by calls before any goes into a file; None if none ever does.
        by_calls: Record ids of rows that a file did not write, and that are sent by calls.
    """

    def __init__(
        self, session: Session, ledger: RunLedger, stops: Stops, *, after: int | None, by_calls: Collection[str]
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._stops = stops
        self._left = after
        self._by_calls = by_calls
        self._waiting: list[Job] = []
        self._file: _File | None = None
        self._sent: frozenset[str] = frozenset()

    @property
    def sent(self) -> frozenset[str]:
        """Record ids of the rows of a file that the vendor writes, or may write."""
        return self._sent

    def takes(self, job: Job) -> bool:
        """Return whether a row is for the file; else it is sent by calls."""
        if self._left is None or len(job.calls) != 1 or job.record_id in self._by_calls or self._stops.reason:
            return False
        route = job.calls[0].route
        if route is None or route.upload is None:
            return False
        if self._left > 0:
            self._left -= 1
            return False
        return True

    def add(self, job: Job) -> Iterator[Job | Outcome]:
        """Take a row; yield those that have to be sent by calls after all, and the outcomes of those that need not."""
        self._waiting.append(job)
        route = job.calls[0].route
        if route is None or (calls := route.upload) is None or len(self._waiting) < self._wanted(calls):
            return
        if self._file is None and not self._open(calls):
            yield from self._drained()
            return
        yield from self._filled()

    def end(self) -> Iterator[Job | Outcome]:
        """Send the file, as no row comes any more; yield what `add` does."""
        if self._file is None or self._stops.reason is not None:
            yield from self._drained()
            self.give_up()
            return
        yield from self._filled()
        self._send()

    def give_up(self) -> None:
        """Give back the claims of a file that was not sent, if there is one: it never is."""
        file, self._file = self._file, None
        if file is not None:
            self._ledger.abandon_upload()
            self._ledger.give_back(file.records)

    def _wanted(self, calls: UploadCalls) -> int:
        return calls.fewest if self._file is None else AT_ONCE

    def _drained(self) -> list[Job]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _open(self, calls: UploadCalls) -> bool:
        """Open an upload; False if the vendor refuses it: then all rows go by calls."""
        try:
            status = self._session.answer(calls.opening, calls.status)
        except CrmError as err:
            if self._stops.ends_run(err):
                self._stops.add(err)
            log.warning("Rows are sent by ordinary calls, as no upload could be opened: %s", err)
            self._left = None
            return False
        if not self._ledger.begin_upload(status.id):
            return False
        self._file = _File(calls, status.id)
        return True

    def _filled(self) -> Iterator[Job | Outcome]:
        """Hold the claims of the waiting rows, and write them into the file."""
        waiting, file = self._drained(), self._file
        for jobs in ledger_parts(waiting):
            lost = self._ledger.hold(jobs)
            for job in jobs:
                if file is None or job.record_id in lost or not file.add(job):
                    yield job
                else:
                    yield not_sent(job.update, UploadRunningError(_IN_FILE))
        if file is not None and file.is_full:
            self._send()

    def _send(self) -> None:
        """Send the file, and tell the vendor to begin; ends the run, whatever comes of it."""
        file = self._file
        if file is None:
            return
        try:
            self._send_file(file)
        except CrmError as err:
            self.give_up()
            self._stops.add(err if isinstance(err, TransientError) else self._refused(err))
            return
        self._file = None
        try:
            self._session.answer(file.calls.begin(file.vendor_id), file.calls.status)
        except CrmError as err:  # it may have begun: whoever goes on with the run asks
            log.warning("It is not known whether %s has begun with the upload: %s", file.vendor_id, err)
        self._stops.add(running(self._session, file.vendor_id, len(file.lines), 0.0))

    def _send_file(self, file: _File) -> None:
        """Send the file, in another upload each time if an answer is lost: a vendor takes one file for each.

        An upload that is not used is cancelled: the vendor would keep it open for days.

        Raises:
            CrmError: It was not taken; nothing of it is or will be written.
        """
        text = file.text()
        for number in range(1, _TIMES_SENT + 1):
            try:
                self._session.answer(file.calls.file(file.vendor_id, text), lambda _: None, attempts=_ONE_ATTEMPT)
                break
            except CrmError as err:
                self._cancel(file)
                if number == _TIMES_SENT or not isinstance(err, TransientError):
                    raise
                file.vendor_id = self._session.answer(file.calls.opening, file.calls.status).id
        self._sent = frozenset(file.records)  # before it is on record: a signal may come between the two
        if not self._ledger.send_upload(file.vendor_id, len(file.lines)):
            self._sent = frozenset()
            self._cancel(file)
            msg = "A later try of this run has given up the upload before it was sent."
            raise ClaimLostError(msg)

    def _cancel(self, file: _File) -> None:
        """Cancel an upload that was never to begin; if that fails, it stays open at the vendor, and writes nothing."""
        try:
            self._session.answer(file.calls.cancel(file.vendor_id), file.calls.status, attempts=_ONE_ATTEMPT)
        except CrmError as err:
            log.warning("The upload %s is not used, and could not be cancelled: %s", file.vendor_id, err)

    def _refused(self, err: CrmError) -> TransientError:
        vendor = self._session.account.vendor
        msg = (
            f"{vendor.display_name} did not take the rows as one file: {err} "
            "Pass upload_after=None to send all rows by ordinary calls."
        )
        return TransientError(msg, vendor=vendor.name, code="UPLOAD")
