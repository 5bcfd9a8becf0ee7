"""Read records right before they are written, for plans and for `capture_before`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.push.outcomes import outdated_approval, unchanged
from airflow_provider_crm.vendors.comparison import matching_keys, stored_values
from airflow_provider_crm.vendors.encoding import calls_of
from airflow_provider_crm.vendors.win_dates import with_date_key

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.prepare import Batch, Job
    from airflow_provider_crm.push.rules import Inspect, PushRules
    from airflow_provider_crm.values.opportunity import Outcome
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

_FAILED_IN_A_ROW = 2


class Inspection:
    """Compares rows with the records that they are about to write.

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows are written.
        inspect: See `Push`.
    """

    def __init__(self, session: Session, catalogue: Catalogue, rules: PushRules, inspect: Inspect | None) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._rules = rules
        self._inspect = inspect

    @property
    def reads(self) -> bool:
        """Whether any row may have to be read before it is written."""
        return self._inspect is not None or self._rules.capture_before

    def records(self, jobs: Batch) -> dict[str, Record | CrmError]:
        """Read the records that have to be read before these rows are written; return each, or why it was not read."""
        return read_records(self._session, [job for job in jobs if self._is_needed(job)])

    def _is_needed(self, job: Job) -> bool:
        if job.compared:
            return False
        return self._inspect is not None or (
            self._rules.capture_before and not job.claim.fields <= job.claim.before.keys()
        )

    def compared(self, job: Job, record: Record) -> Job:
        """Note what the record showed; with an inspection, leave out the values that it shows already."""
        fields = job.claim.fields
        seen = stored_values(fields, record, self._vendor, self._catalogue)
        matching = (
            matching_keys(job.calls, record, self._vendor, self._catalogue)
            if self._inspect is not None
            else frozenset()
        )
        left = job.writes.only(with_date_key(fields - matching, job.writes.names, self._vendor, self._catalogue))
        calls = calls_of(job.update.record_id, left) if matching else job.calls
        return replace(job, writes=left, calls=calls, matching_keys=matching, seen=seen, compared=True)

    def known_outcome(self, job: Job, record: Record) -> Outcome | None:
        """Return the outcome of a row that needs no write after all, or must not be written."""
        if self._inspect is None:
            return None
        if not job.calls:
            return outdated_approval(job.update, job.claim) or unchanged(job.update)
        left = {name: job.update.fields[name] for name in job.writes.names.values()}
        return self._inspect(replace(job.update, fields=left), record)


def read_records(session: Session, jobs: Batch) -> dict[str, Record | CrmError]:
    """Read the records of some rows, as many in one call as the vendor can; return each, or the error in its place.

    When two calls have failed one after another, the rest has failed, too: it may take long to find out.
    """
    batch = session.account.vendor.batch_read
    largest = 1 if batch is None else batch.largest
    keys = tuple(dict.fromkeys(key for job in jobs for key in job.update.read_keys(job.writes.names)))
    record_ids = [job.update.record_id for job in jobs]
    found: dict[str, Record | CrmError] = {}
    failed: list[CrmError] = []
    for first in range(0, len(jobs), largest):
        some = record_ids[first : first + largest]
        if len(failed) < _FAILED_IN_A_ROW:
            try:
                found.update(session.read_many(some, keys))
                failed.clear()
            except CrmError as err:
                failed.append(err)
        if failed:
            found.update(dict.fromkeys(some, failed[-1]))
    return found
