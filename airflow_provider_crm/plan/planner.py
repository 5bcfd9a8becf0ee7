"""A plan: field by field what the CRM holds, what the rows want, and what would come of it. Making one writes nothing.

An undo is a plan whose wishes come from the change log instead of from rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError, RejectedError
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict, Written, WrittenRecord
from airflow_provider_crm.plan.records import RecordReader
from airflow_provider_crm.plan.spool import LastRows
from airflow_provider_crm.push.rules import check_won_date, dated
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors.comparison import field_value, matching_keys, still_shows, stored_values
from airflow_provider_crm.vendors.encoding import calls_of, writes_of

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.claims import FieldState
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.plan.spool import Spool
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

_READ_AT_ONCE = 200
_T = TypeVar("_T")


class _Wanted(NamedTuple):
    """A row that wants something: the JSON text of each key, and the calls that would write it."""

    update: Update
    texts: Mapping[str, str]
    calls: tuple[Call, ...]


class Planner:
    """Compares what is wanted with what the CRM and the ledger hold.

    Args:
        session: Where the CRM is.
        catalogue: What the account offers.
        rules: How rows would be written.
        ledger: What was acknowledged so far.
        reads: What this plan has read of the CRM already, and where that is kept.
    """

    def __init__(
        self, session: Session, catalogue: Catalogue, rules: PushRules, ledger: Ledger, reads: PlanReads
    ) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._rules = rules
        self._ledger = ledger
        self._reads = reads

    def updates(self, rows: Spool[Update | Outcome]) -> Iterator[PlanRow]:
        """Plan the rows of a source, in their order.

        Args:
            rows: What the source wants, and rows that it refuses; gone through twice.

        Yields:
            At least one plan row for each row, fields in the order of their names.

        Raises:
            CrmError: A record could not be read; half a plan is no plan. What was read is kept for the next try.
        """
        keys = {self._catalogue.fields[name].target for row in rows if isinstance(row, Update) for name in row.fields}
        places = ((row.record_id, row.row) for row in rows if isinstance(row, Update))
        with LastRows(places) as all_rows, self._reader(keys) as reader:
            reader.prepare(all_rows)
            for batch in _batches(rows):
                last = all_rows.of(row.record_id for row in batch if isinstance(row, Update))
                yield from self._planned([self._prepared(row, last) for row in batch], reader)

    def _planned(self, batch: Sequence[PlanRow | _Wanted], reader: RecordReader) -> Iterator[PlanRow]:
        ids = [item.update.record_id for item in batch if not isinstance(item, PlanRow)]
        records, states = self._read(reader, ids), self._ledger.states(ids)
        for item in batch:
            if isinstance(item, PlanRow):
                yield item
                continue
            record_id = item.update.record_id
            record = records[record_id]
            if self._reads.resumed and self._is_outdated(record, item, states):
                record = reader.again(record_id)
            yield from self._fields(item, record, states)

    def _is_outdated(
        self, record: Record | RejectedError | None, item: _Wanted, states: Mapping[tuple[str, str], FieldState]
    ) -> bool:
        """Whether a record that may have been read hours ago lacks what was written from here, perhaps since."""
        places = ((key, (item.update.record_id, key)) for key in item.texts)
        last = ((key, states[place].value) for key, place in places if place in states)
        return isinstance(record, dict) and any(
            value is not None and not self._is(value, key, record) for key, value in last
        )

    def undo(self, written: Spool[WrittenRecord], now: dt.datetime) -> Iterator[PlanRow]:
        """Plan to put back what stood before a run, where the CRM still holds what the run wrote.

        Args:
            written: What the run did, by record; gone through twice.
            now: Data time of the undo: it is the newest will.

        Yields:
            One plan row for each field that the run wrote.

        Raises:
            CrmError: A record could not be read; what was read is kept for the next try.
        """
        keys = {field.key for record in written for field in record.fields}
        places = ((record.record_id, number) for number, record in enumerate(written))
        number = -1
        with LastRows(places) as all_rows, self._reader(keys) as reader:
            reader.prepare(all_rows)
            for batch in _batches(written):
                records = self._read(reader, [one.record_id for one in batch])
                for one in batch:
                    number += 1
                    for field in one.fields:
                        blank = PlanRow(number, one.record_id, field.key, PlanVerdict.UPDATE, as_of=now)
                        yield self._undone(blank, field, records[one.record_id])

    def _read(self, reader: RecordReader, ids: Sequence[str]) -> Mapping[str, Record | RejectedError | None]:
        """Read records; of those that there are not, the ledger does not believe anything any more."""
        records = reader.get(ids)
        self._ledger.forget(record_id for record_id, record in records.items() if record is None)
        return records

    def _reader(self, keys: Iterable[str]) -> RecordReader:
        return RecordReader(self._session, frozenset(keys), self._rules.concurrency, self._reads)

    def _prepared(self, row: Update | Outcome, last: Mapping[str, int]) -> PlanRow | _Wanted:
        """The plan of a row that needs no reading, else the update with its calls."""
        if isinstance(row, Outcome):
            stale = row.word is OutcomeWord.STALE
            verdict = PlanVerdict.STALE if stale else PlanVerdict.INVALID
            return PlanRow(row.row, row.record_id, "", verdict, code=row.code, reason=row.reason)
        whole = PlanRow(row.row, row.record_id, "", PlanVerdict.UNCHANGED, as_of=row.as_of)
        if last[row.record_id] != row.row:
            reason = f"Row {last[row.record_id]} has the same id, comes later and is taken instead."
            return replace(whole, verdict=PlanVerdict.STALE, code="SUPERSEDED", reason=reason)
        try:
            update = dated(row, self._vendor, self._catalogue, self._rules)
            writes = writes_of(update, self._vendor, self._catalogue)
            calls = calls_of(update.record_id, writes)
        except InvalidValueError as err:
            return replace(whole, verdict=PlanVerdict.INVALID, code=err.code, reason=str(err))
        return _Wanted(update, writes.texts, calls) if calls else replace(whole, code="NOTHING_TO_WRITE")

    def _fields(
        self,
        item: _Wanted,
        record: Record | RejectedError | None,
        states: Mapping[tuple[str, str], FieldState],
    ) -> Iterator[PlanRow]:
        update, wanted, calls = item
        refused = self._unreadable(record)
        readable = record if isinstance(record, dict) else {}
        shown = stored_values(wanted, readable, self._vendor, self._catalogue) if readable else {}
        held = matching_keys(calls, readable, self._vendor) if readable else frozenset()
        for key, after in sorted(wanted.items()):
            row = PlanRow(
                update.row,
                update.record_id,
                key,
                PlanVerdict.UPDATE,
                before=self._ledger.stored_form(key, shown[key]) if key in shown else None,
                after=self._ledger.stored_form(key, after),
                as_of=update.as_of,
            )
            state = states.get((update.record_id, key))
            if refused:
                yield replace(row, verdict=refused[0], code=refused[1], reason=refused[2])
            elif state is not None and state.newest is not None and _before(update.as_of, state.newest):
                reason = f"Newer data, of {state.newest:%Y-%m-%d %H:%M} UTC, was written or claimed."
                yield replace(row, verdict=PlanVerdict.STALE, code="NEWER_DATA", reason=reason)
            elif key in held:
                yield replace(row, verdict=PlanVerdict.UNCHANGED)
            else:
                yield self._checked(row, update, after, readable, state)

    def _checked(self, row: PlanRow, update: Update, after: str, record: Record, state: FieldState | None) -> PlanRow:
        """A field that is to be changed: whether it may be."""
        if row.after != after:
            reason = (
                f"The ledger keeps only hashes of {row.field} ([crm] ledger_hash_fields), so a plan cannot keep its "
                "value; write it without a plan."
            )
            return replace(row, verdict=PlanVerdict.INVALID, code="HASHED", reason=reason)
        try:
            if row.field == self._catalogue.fields["stage"].target:
                check_won_date(update, self._vendor, self._catalogue, self._rules, self._session.clock.now())
        except InvalidValueError as err:
            return replace(row, verdict=PlanVerdict.INVALID, code=err.code, reason=str(err))
        last = None if state is None else state.value
        if row.before is not None and last is not None and not self._is(last, row.field, record):
            reason = f"{row.field} was changed in the CRM since it was last written from here."
            return replace(row, verdict=PlanVerdict.CONFLICT, code="CONFLICT", reason=reason)
        return row

    def _undone(self, row: PlanRow, field: Written, record: Record | RejectedError | None) -> PlanRow:
        refused = self._unreadable(record)
        if refused:
            return replace(row, verdict=refused[0], code=refused[1], reason=refused[2])
        readable = record if isinstance(record, dict) else {}
        shown = stored_values((field.key,), readable, self._vendor, self._catalogue)
        before = self._ledger.stored_form(field.key, shown[field.key]) if shown else None
        row = replace(row, before=before, after=field.before)
        problem = self._irreversible(field)
        if problem:
            return replace(row, verdict=PlanVerdict.INVALID, after=None, code=problem[0], reason=problem[1])
        if field.before is not None and self._is(field.before, field.key, readable):
            return replace(row, verdict=PlanVerdict.UNCHANGED)
        if not any(self._is(value, field.key, readable) for value in field.values):
            reason = f"{field.key} no longer holds what the run wrote; somebody has changed it since."
            return replace(row, verdict=PlanVerdict.CONFLICT, code="CONFLICT", reason=reason)
        return row

    def _irreversible(self, field: Written) -> tuple[str, str] | None:
        """Why what stood before cannot be put back: it is not known, or cannot be written."""
        if field.key not in self._catalogue.fields:
            return "UNKNOWN_FIELD", f"{field.key} is no longer a field that can be written."
        if self._catalogue.fields[field.key].partial:
            return "PARTIAL", f"{field.key} changes a part of a list; what stood there before is not kept."
        if field.before is None:
            return "BEFORE_UNKNOWN", f"What stood in {field.key} before the run is not known (see capture_before)."
        if is_hash(field.before) or not all(map(self._ledger.hashes.comparable, field.values)):
            return "HASHED", f"The ledger keeps only hashes of {field.key}, so what stood there is not known."
        try:
            value = field_value(field.key, field.before, self._catalogue)
            writes_of(Update(0, "any", {field.key: value}), self._vendor, self._catalogue)
        except (InvalidValueError, ConfigurationError) as err:
            return err.code, f"What stood in {field.key} before cannot be written: {err}"
        return None

    def _is(self, kept: str, key: str, record: Record) -> bool:
        """Whether a record holds a value that was kept, perhaps as a hash, whatever is kept as hashes by now."""
        if not is_hash(kept):
            return still_shows(key, kept, record, self._vendor, self._catalogue)
        shown = stored_values((key,), record, self._vendor, self._catalogue)
        return any(self._ledger.hashes.is_of(kept, value) for value in shown.values())

    def _unreadable(self, record: Record | RejectedError | None) -> tuple[PlanVerdict, str, str] | None:
        if record is None:
            return PlanVerdict.MISSING, "NOT_FOUND", f"{self._vendor.display_name} has no opportunity of that id."
        if isinstance(record, RejectedError):
            return PlanVerdict.INVALID, record.code, str(record)
        return None


def _before(as_of: dt.datetime | None, newest: dt.datetime) -> bool:
    return as_of is not None and as_of < newest


def _batches(items: Iterable[_T]) -> Iterator[Sequence[_T]]:
    source = iter(items)
    while batch := list(islice(source, _READ_AT_ONCE)):
        yield batch
