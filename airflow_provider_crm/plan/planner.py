"""Plan updates: field by field the value in the CRM, the value to write, and what would become of it.

A plan writes nothing. An undo is a plan as well, see `undo`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.exceptions import InvalidValueError, RejectedError
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict
from airflow_provider_crm.plan.records_now import CurrentRecords, batches
from airflow_provider_crm.push.prepare import check_won_date, dated
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors.comparison import matching_keys, stored_values
from airflow_provider_crm.vendors.deal_names import deal_name
from airflow_provider_crm.vendors.encoding import calls_of, writes_of
from airflow_provider_crm.vendors.win_dates import with_date_key

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.claims import FieldState
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.plan.records import RecordReader
    from airflow_provider_crm.plan.spool import Spool
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.calls import Call, WriteCall
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record


_VERDICTS = {
    OutcomeWord.STALE: PlanVerdict.STALE,
    OutcomeWord.SKIPPED: PlanVerdict.SKIPPED,
    OutcomeWord.REJECTED: PlanVerdict.MISSING,
}
"""Verdicts of rows that have their outcome before they are planned; of all others `INVALID`."""


class _Writable(NamedTuple):
    """A row with values to write: the JSON text of each key, and the calls that would write them."""

    update: Update
    texts: Mapping[str, str]
    calls: tuple[Call, ...]


class Planner:
    """Compares the rows of a source with the values in the CRM and in the ledger.

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows would be written.
        ledger: The values that were acknowledged so far.
        reads: The records that this plan has read already, and where they are kept.
    """

    def __init__(
        self, session: Session, catalogue: Catalogue, rules: PushRules, ledger: Ledger, reads: PlanReads
    ) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._rules = rules
        self._ledger = ledger
        self._resumed = reads.resumed
        self._current = CurrentRecords(session, catalogue, ledger, rules.concurrency, reads)

    def updates(self, rows: Spool[Update | Outcome]) -> Iterator[PlanRow]:
        """Plan the rows of a source, in their order.

        Args:
            rows: The rows of the source, refused ones included; gone through twice.

        Yields:
            At least one plan row for each row, fields in the order of their names.

        Raises:
            CrmError: A record could not be read; half a plan is no plan. Records that were read are kept for the next
                try.
        """
        fields = {name for row in rows if isinstance(row, Update) for name in row.fields}
        keys = {key for name in fields for key in self._catalogue.fields[name].keys}
        keys |= {key for call in self._vendor.write_calls(tuple(sorted(keys))) for key in _rule_keys(call)}
        if self._ledger.keeps_names and self._catalogue.name_key is not None:
            keys.add(self._catalogue.name_key)
        numbers = ((row.record_id, row.row) for row in rows if isinstance(row, Update))
        with self._current.reader(keys, numbers) as (last_rows, reader):
            for batch in batches(rows, self._vendor):
                last = last_rows.rows_of(row.record_id for row in batch if isinstance(row, Update))
                yield from self._planned([self._prepared(row, last) for row in batch], reader)

    def _planned(self, batch: Sequence[PlanRow | _Writable], reader: RecordReader) -> Iterator[PlanRow]:
        ids = [item.update.record_id for item in batch if not isinstance(item, PlanRow)]
        records, states = self._current.read(reader, ids), self._ledger.states(ids)
        self._keep_names(records)
        for item in batch:
            if isinstance(item, PlanRow):
                yield item
                continue
            record_id = item.update.record_id
            record = records[record_id]
            if self._resumed and self._is_outdated(record, item, states):
                record = reader.read_again(record_id)
            yield from self._fields(item, record, states)

    def _keep_names(self, records: Mapping[str, Record | RejectedError | None]) -> None:
        if self._ledger.keeps_names:
            shown = {record_id: record for record_id, record in records.items() if isinstance(record, dict)}
            self._ledger.name_records(
                {record_id: deal_name(record, self._vendor, self._catalogue) for record_id, record in shown.items()}
            )

    def _is_outdated(
        self, record: Record | RejectedError | None, item: _Writable, states: Mapping[tuple[str, str], FieldState]
    ) -> bool:
        """Return whether a record that may have been read hours ago lacks a value that we wrote, perhaps since."""
        field_keys = ((key, (item.update.record_id, key)) for key in item.texts)
        last = ((key, states[field_key].value) for key, field_key in field_keys if field_key in states)
        return isinstance(record, dict) and any(
            value is not None and not self._current.shows(value, key, record) for key, value in last
        )

    def _prepared(self, row: Update | Outcome, last: Mapping[str, int]) -> PlanRow | _Writable:
        """Return the plan of a row that needs no reading, else the update with its calls."""
        if isinstance(row, Outcome):
            verdict = _VERDICTS.get(row.word, PlanVerdict.INVALID)
            return PlanRow(row.row, row.record_id, "", verdict, code=row.code, reason=row.reason)
        row_plan = PlanRow(row.row, row.record_id, "", PlanVerdict.UNCHANGED, as_of=row.as_of)
        if last[row.record_id] != row.row:
            reason = f"Row {last[row.record_id]} has the same id, comes later and is taken instead."
            return replace(row_plan, verdict=PlanVerdict.STALE, code="SUPERSEDED", reason=reason)
        try:
            update = dated(row, self._vendor, self._catalogue, self._rules)
            writes = writes_of(update, self._vendor, self._catalogue)
            calls = calls_of(update.record_id, writes)
        except InvalidValueError as err:
            return replace(row_plan, verdict=PlanVerdict.INVALID, code=err.code, reason=str(err))
        return _Writable(update, writes.texts, calls) if calls else replace(row_plan, code="NOTHING_TO_WRITE")

    def _fields(
        self,
        item: _Writable,
        record: Record | RejectedError | None,
        states: Mapping[tuple[str, str], FieldState],
    ) -> Iterator[PlanRow]:
        update, texts, calls = item
        problem = self._current.problem(record)
        readable = record if isinstance(record, dict) else {}
        shown = stored_values(texts, readable, self._vendor, self._catalogue) if readable else {}
        matching = matching_keys(calls, readable, self._vendor, self._catalogue) if readable else frozenset()
        matching -= with_date_key(frozenset(texts.keys() - matching), texts, self._vendor, self._catalogue)
        for key, after in sorted(texts.items()):
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
            if problem is not None:
                yield replace(row, **problem._asdict())
            elif state is not None and state.newest is not None and _before(update.as_of, state.newest):
                reason = f"Newer data, of {state.newest:%Y-%m-%d %H:%M} UTC, was written or claimed."
                yield replace(row, verdict=PlanVerdict.STALE, code="NEWER_DATA", reason=reason)
            elif key in matching:
                yield replace(row, verdict=PlanVerdict.UNCHANGED)
            elif held := _held(key, calls, readable):
                yield replace(row, verdict=PlanVerdict.INVALID, code="NOT_TAKEN", reason=held)
            else:
                yield self._checked(row, update, after, readable, state)

    def _checked(self, row: PlanRow, update: Update, after: str, record: Record, state: FieldState | None) -> PlanRow:
        """Return the plan of a field that is to be changed, after the checks whether it may be."""
        if row.after != after:
            reason = (
                f"The ledger keeps only hashes of {row.field} ([crm] ledger_hash_fields), so a plan cannot keep its "
                "value; write it without a plan."
            )
            return replace(row, verdict=PlanVerdict.INVALID, code="HASHED", reason=reason)
        try:
            if row.field == self._catalogue.stage_key:
                check_won_date(update, self._vendor, self._catalogue, self._rules, self._session.clock.now())
        except InvalidValueError as err:
            return replace(row, verdict=PlanVerdict.INVALID, code=err.code, reason=str(err))
        last = None if state is None else state.value
        if row.before is not None and last is not None and not self._current.shows(last, row.field, record):
            reason = f"{row.field} was changed in the CRM since it was last written from here."
            return replace(row, verdict=PlanVerdict.CONFLICT, code="CONFLICT", reason=reason)
        return row


def _rule_keys(call: WriteCall) -> tuple[str, ...]:
    return () if call.record_rule is None else call.record_rule.keys


def _held(key: str, calls: Sequence[Call], record: Record) -> str:
    """Return why a record would keep its value of a key; empty if it would take another."""
    rules = (call.route.record_rule for call in calls if call.route is not None)
    return next((text for rule in rules if rule is not None and (text := rule.reason(key, record))), "")


def _before(as_of: dt.datetime | None, newest: dt.datetime) -> bool:
    return as_of is not None and as_of < newest
