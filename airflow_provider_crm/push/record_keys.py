"""Find the opportunity of each row by the warehouse's own key, before anything else is done with the row.

Keys that the ledger knows cost no call. All others are looked up in as few calls as the vendor allows, or in its list,
which is read once. A key that is not found in an index which lags behind is looked for once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_crm.client.records import all_records
from airflow_provider_crm.exceptions import ConfigurationError, TransientError
from airflow_provider_crm.push.workers import Workers
from airflow_provider_crm.values.hidden_values import HIDDEN
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.values.record_keys import TemporaryKeyTable, key_text
from airflow_provider_crm.values.source_values import source_of
from airflow_provider_crm.vendors.answers import FOREIGN_ANSWER
from airflow_provider_crm.vendors.lookups import lookup_of

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.values.opportunity import Field
    from airflow_provider_crm.vendors.calls import RecordLookup
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

ON_MISSING = ("error", "skip")
_ROWS_AT_ONCE = 1_000
_CANDIDATES = 5
_CALLS_IN_FLIGHT = 8


class RecordFinder:
    """Finds the opportunities that have some values in one field.

    Args:
        session: The account.
        catalogue: What the account offers.
        field: The field.
        concurrency: Calls in flight, at most.

    Raises:
        ConfigurationError: The vendor cannot look for values of this field.
    """

    def __init__(self, session: Session, catalogue: Catalogue, field: Field, concurrency: int) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._key = field.target
        self._concurrency = min(concurrency, _CALLS_IN_FLIGHT)
        self._lookup = lookup_of(self._vendor, field.target, catalogue)
        self._began = session.clock.monotonic()
        self._listed: TemporaryKeyTable | None = None

    def find(self, values: Sequence[str]) -> dict[str, list[str]]:
        """Return the record ids of each value: none, one, or several.

        Raises:
            CrmError: The vendor does not answer, or refuses the lookup.
        """
        if self._lookup is None:
            return _by_value(values, self._all_listed().find(values), folds_case=False)
        found = self._looked_up(values, self._lookup)
        missing = [value for value in values if not found[value]]
        wait = self._began + self._lookup.lag - self._session.clock.monotonic()
        if missing and self._lookup.lag and wait > 0:
            self._session.clock.sleep(wait)
            found |= self._looked_up(missing, self._lookup)
        return found

    def close(self) -> None:
        """Delete the temporary file."""
        if self._listed is not None:
            self._listed.close()

    def _looked_up(self, values: Sequence[str], lookup: RecordLookup) -> dict[str, list[str]]:
        pairs: list[tuple[str, str]] = []
        workers: Workers[list[tuple[str, str]]] = Workers("crm-lookup")
        workers.resize(self._concurrency)
        try:
            left = 0
            for some in _parts(values, lookup):
                workers.add(partial(self._part, lookup, some))
                left += 1
            while left:
                ended = workers.ended()
                pairs += [pair for of_part in ended for pair in of_part]
                left -= len(ended)
        finally:
            workers.close(wait=False)
        return _by_value(values, pairs, folds_case=lookup.folds_case)

    def _part(self, lookup: RecordLookup, values: list[str]) -> list[tuple[str, str]]:
        """Look up the values of one call, to the last page of its answer."""
        pairs: list[tuple[str, str]] = []
        cursor, number = None, 0
        while number == 0 or cursor is not None:
            page = lookup.page(self._session.fetch(lookup.call(values, cursor)))
            if page is None:
                raise self._error("answer to a search is no list of records", FOREIGN_ANSWER)
            pairs += self._pairs(page.records)
            if page.cursor is not None and page.cursor == cursor:
                raise self._error(f"search does not end: page {number + 1} is not the last", "NO_PROGRESS")
            number, cursor = number + 1, page.cursor
        return pairs

    def _all_listed(self) -> TemporaryKeyTable:
        """Return the keys of all opportunities; the list is read when it is first needed."""
        if self._listed is None:
            table, count = TemporaryKeyTable(), 0
            records = all_records(self._vendor, self._session.fetch, {}, (self._key,))
            while some := list(islice(records, _ROWS_AT_ONCE)):
                table.add(self._pairs(some))
                count += len(some)
            if not count:  # of a proxy's answer, too: that must not count as a verdict about rows
                raise self._error("list of opportunities is empty, so that no key can be looked up", FOREIGN_ANSWER)
            self._listed = table
        return self._listed

    def _error(self, problem: str, code: str) -> TransientError:
        return TransientError(f"{self._vendor.display_name}'s {problem}.", vendor=self._vendor.name, code=code)

    def _pairs(self, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
        """Yield the key and the record id of each record that shows both."""
        for record in records:
            record_id = record.get(self._vendor.id_key)
            shown = self._vendor.stored_value(self._key, record, self._catalogue)
            text = key_text(shown[0]) if shown else None
            if text is not None and record_id is not None:
                yield text, self._vendor.canonical_id(str(record_id))


def _parts(values: Sequence[str], lookup: RecordLookup) -> Iterator[list[str]]:
    """Cut values into parts that one call takes."""
    part: list[str] = []
    length = 0
    for value in values:
        size = len(quote(value, safe=""))
        is_full = len(part) == lookup.largest
        if part and (is_full or (lookup.largest_encoded is not None and length + size > lookup.largest_encoded)):
            yield part
            part, length = [], 0
        part.append(value)
        length += size
    if part:
        yield part


def _by_value(values: Sequence[str], pairs: Iterable[tuple[str, str]], *, folds_case: bool) -> dict[str, list[str]]:
    """Return the record ids of each value, each once."""
    by_text: dict[str, dict[str, None]] = {}
    for text, record_id in pairs:
        by_text.setdefault(text.casefold() if folds_case else text, {})[record_id] = None
    return {value: list(by_text.get(value.casefold() if folds_case else value, ())) for value in values}


class KeyResolver:
    """Gives rows that name a key the record id of the opportunity that has it.

    Args:
        session: The account.
        catalogue: What the account offers.
        ledger: Remembers record ids by key; None without a ledger.
        id_field: The name of the field whose values the rows name.
        on_missing: What becomes of a row whose key no opportunity has: "error" (`rejected`) or "skip" (`skipped`).
        concurrency: Calls in flight, at most.

    Raises:
        ConfigurationError: There is no such field, or the vendor cannot look for its values.
    """

    def __init__(
        self,
        session: Session,
        catalogue: Catalogue,
        ledger: Ledger | None,
        *,
        id_field: str,
        on_missing: str,
        concurrency: int,
    ) -> None:
        vendor = session.account.vendor
        if (field := catalogue.fields.get(id_field)) is None:
            msg = f"id_field: {catalogue.unknown_field(id_field, vendor.display_name)}."
            raise ConfigurationError(msg, vendor=vendor.name, code="UNKNOWN_FIELD")
        if field.multiple or field.also_writes:
            msg = f"id_field is {id_field!r}, whose value is no single text or number; name a field that is a key."
            raise ConfigurationError(msg, vendor=vendor.name)
        self._session = session
        self._catalogue = catalogue
        # A key that may stand in no log stands in no table either.
        self._known = None if ledger is None or field.personal else ledger.record_ids
        self._field = field
        self._word = OutcomeWord.SKIPPED if on_missing == "skip" else OutcomeWord.REJECTED
        self._finder = RecordFinder(session, catalogue, field, concurrency)

    def resolve(self, rows: Iterable[Update | Outcome]) -> Iterator[Update | Outcome]:
        """Yield the rows in their order, each under its record id; or why it has none.

        Raises:
            CrmError: The vendor does not answer, or refuses the lookup.
        """
        source = iter(rows)
        try:
            while some := list(islice(source, _ROWS_AT_ONCE)):
                keys = dict.fromkeys(row.record_id for row in some if isinstance(row, Update))
                found = self._found(list(keys))
                for row in some:
                    yield self._resolved(row, found[row.record_id]) if isinstance(row, Update) else row
        finally:
            self._finder.close()

    def _found(self, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        known = {} if self._known is None else self._known.known(self._field.target, keys)
        unknown = [key for key in keys if key not in known]
        found = self._finder.find(unknown) if unknown else {}
        if self._known is not None:
            new = {key: record_ids[0] for key, record_ids in found.items() if len(record_ids) == 1}
            self._known.remember(self._field.target, new)
        return {**{key: [record_id] for key, record_id in known.items()}, **found}

    def _resolved(self, row: Update, record_ids: Sequence[str]) -> Update | Outcome:
        if len(record_ids) == 1:
            return replace(row, record_id=record_ids[0])
        key = HIDDEN if self._field.personal else repr(row.record_id)
        name = self._catalogue.with_labels(self._field.name)
        source = source_of(row.fields, self._catalogue.fields)
        if not record_ids:
            reason = f"No opportunity has {key} in {name}."
            return Outcome(row.row, "", self._word, "NOT_FOUND", reason, source=source)
        shown = ", ".join(map(self._candidate, record_ids[:_CANDIDATES]))
        more = f" and {len(record_ids) - _CANDIDATES} more" if len(record_ids) > _CANDIDATES else ""
        reason = f"{len(record_ids)} opportunities have {key} in {name}: {shown}{more}."
        return Outcome(row.row, "", OutcomeWord.REJECTED, "AMBIGUOUS", reason, source=source)

    def _candidate(self, record_id: str) -> str:
        """Return a record id, with the address of its page if there is one."""
        account = self._session.account
        organization = self._catalogue.organization
        url = None if organization is None else account.vendor.record_url(account.origin, organization, record_id)
        return record_id if url is None else f"{record_id} ({url})"
