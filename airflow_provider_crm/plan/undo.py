"""Plan an undo: the values before a run, wherever the CRM still has the values that the run wrote."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError, RejectedError
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict, WrittenField, WrittenRecord
from airflow_provider_crm.plan.records_now import CurrentRecords, PlanProblem, batches
from airflow_provider_crm.values.opportunity import Update
from airflow_provider_crm.vendors.comparison import field_value, stored_values
from airflow_provider_crm.vendors.encoding import writes_of

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.plan.spool import Spool
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record


class UndoPlanner:
    """Plans to restore the values before a run.

    Args:
        session: The account.
        catalogue: What the account offers.
        ledger: Keeps the values.
        concurrency: Records read at once, at most.
        reads: The records that this plan has read already, and where they are kept.
    """

    def __init__(
        self, session: Session, catalogue: Catalogue, ledger: Ledger, concurrency: int, reads: PlanReads
    ) -> None:
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._ledger = ledger
        self._current = CurrentRecords(session, catalogue, ledger, concurrency, reads)

    def plan(self, written: Spool[WrittenRecord], now: dt.datetime) -> Iterator[PlanRow]:
        """Plan the fields that a run wrote.

        Args:
            written: The records that the run wrote; gone through twice.
            now: Data time of the undo, which is newer than any other.

        Yields:
            One plan row for each field that the run wrote.

        Raises:
            CrmError: A record could not be read; the records that were read are kept for the next try.
        """
        keys = {field.key for record in written for field in record.fields}
        numbers = ((record.record_id, number) for number, record in enumerate(written))
        number = -1
        with self._current.reader(keys, numbers) as (_, reader):
            for batch in batches(written, self._vendor):
                records = self._current.read(reader, [one.record_id for one in batch])
                for one in batch:
                    number += 1
                    for field in one.fields:
                        row = PlanRow(number, one.record_id, field.key, PlanVerdict.UPDATE, as_of=now)
                        yield self._planned(row, field, records[one.record_id])

    def _planned(self, row: PlanRow, field: WrittenField, record: Record | RejectedError | None) -> PlanRow:
        problem = self._current.problem(record)
        if problem is not None:
            return replace(row, **problem._asdict())
        readable = record if isinstance(record, dict) else {}
        shown = stored_values((field.key,), readable, self._vendor, self._catalogue)
        before = self._ledger.stored_form(field.key, shown[field.key]) if shown else None
        row = replace(row, before=before, after=field.before)
        problem = self._irreversible(field)
        if problem is not None:
            return replace(row, after=None, **problem._asdict())
        if field.before is not None and self._current.shows(field.before, field.key, readable):
            return replace(row, verdict=PlanVerdict.UNCHANGED)
        if not any(self._current.shows(value, field.key, readable) for value in field.values):
            reason = f"{field.key} no longer has the value that the run wrote: it was changed since."
            return replace(row, verdict=PlanVerdict.CONFLICT, code="CONFLICT", reason=reason)
        return row

    def _irreversible(self, field: WrittenField) -> PlanProblem | None:
        """Return why the value before the run cannot be put back: it is not known, or cannot be written."""
        key = field.key

        def invalid(code: str, reason: str) -> PlanProblem:
            return PlanProblem(PlanVerdict.INVALID, code, reason)

        if key not in self._catalogue.fields:
            return invalid("UNKNOWN_FIELD", f"{key} is no longer a field that can be written.")
        if self._catalogue.fields[key].partial:
            return invalid("PARTIAL", f"{key} changes a part of a list; the list before it is not kept.")
        if field.before is None:
            return invalid("BEFORE_UNKNOWN", f"The value of {key} before the run is not known (see capture_before).")
        if is_hash(field.before) or not all(map(self._ledger.hashes.comparable, field.values)):
            return invalid("HASHED", f"The ledger keeps only hashes of {key}, so its value is not known.")
        try:
            value = field_value(key, field.before, self._catalogue)
            writes_of(Update(0, "any", {key: value}), self._vendor, self._catalogue)
        except (InvalidValueError, ConfigurationError) as err:
            return invalid(err.code, f"The value of {key} before the run cannot be written: {err}")
        return None
