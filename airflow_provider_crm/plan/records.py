"""Read many opportunities: page by page where that takes fewer calls than by their ids."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

from airflow_provider_crm.exceptions import ConfigurationError, CrmError, RejectedError
from airflow_provider_crm.plan.reads import ListProgress
from airflow_provider_crm.push.concurrency import CallTiming, Concurrency
from airflow_provider_crm.push.stops import FirstError
from airflow_provider_crm.push.workers import Workers

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.values.record_ids import TemporaryIdTable
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)


class _Answer(NamedTuple):
    """The result of reading some records together: each record that was read, and the time that it took."""

    records: Mapping[str, Record | RejectedError | None]
    timing: CallTiming


class RecordReader:
    """Reads some keys of the records of one account; a context manager, which ends its threads.

    Args:
        session: The account.
        catalogue: What the account offers.
        keys: The vendor's keys to read; of a record only these are kept.
        concurrency: Records read at once, at most; see `Concurrency`.
        reads: Keeps records until the plan is made; a record that is there already is not read again.
    """

    def __init__(
        self, session: Session, catalogue: Catalogue, keys: Collection[str], concurrency: int, reads: PlanReads
    ) -> None:
        self._session = session
        self._catalogue = catalogue
        self._vendor = session.account.vendor
        self._keys = frozenset(keys)
        self._named_keys = tuple(sorted(self._keys))
        self._read_together = 1 if self._vendor.batch_read is None else self._vendor.batch_read.largest
        self._stored_keys = self._keys | {key.rpartition(".")[0] for key in keys} | {self._vendor.id_key}
        self._reads = reads
        self._concurrency = Concurrency(concurrency)
        self._workers: Workers[_Answer] = Workers("crm-read")
        self._failed = FirstError()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.close()

    def prepare(self, rows: TemporaryIdTable) -> None:
        """Read the list of all opportunities if its pages are fewer than the calls that read the rows by their ids.

        The first page names the number of pages. Records that the list lacks are read by their ids later, so it does
        not matter that records can move between pages while they are read.

        Args:
            rows: The records to read.
        """
        state = self._reads.begin(self._keys, self._session.clock.now())
        complete, read_count = state.complete or len(rows) <= self._read_together, self._reads.count()
        while not complete:
            try:
                body = self._session.fetch(self._vendor.list_call({}, state.cursor, self._named_keys))
            except RejectedError as err:  # such as a limit of how far a list may be paged
                log.info("The list ended at page %d, the rest is read by id: %s", state.pages + 1, err)
                return
            page = self._vendor.parse_page(body, state.cursor)
            wanted = self._wanted(page.records, rows)
            read_count += len(wanted)  # a record that moved to this page counts twice, which only ends it sooner
            calls = math.ceil((len(rows) - read_count) / self._read_together)
            left = None if page.pages is None else page.pages - state.pages - 1
            complete = page.cursor is None or left is None or not 0 < left < calls
            state = ListProgress(state.pages + 1, complete, page.cursor)
            self._reads.store_page(wanted, self._keys, state, self._session.clock.now())

    def get(self, record_ids: Iterable[str]) -> dict[str, Record | RejectedError | None]:
        """Return each record: None if the CRM has no such record, an error if the vendor does not show it.

        Raises:
            ConfigurationError: The key may not read.
            TransientError: A record could not be read now; the others are kept.
        """
        wanted = list(dict.fromkeys(record_ids))
        known = self._reads.of(wanted)
        read = self._read_and_store([record_id for record_id in wanted if record_id not in known])
        return {record_id: known[record_id] if record_id in known else read[record_id] for record_id in wanted}

    def read_again(self, record_id: str) -> Record | RejectedError | None:
        """Read a record again, whatever was read before; otherwise as `get`."""
        return self._read_and_store([record_id])[record_id]

    def _read_and_store(self, record_ids: list[str]) -> dict[str, Record | RejectedError | None]:
        read = self._read_all(record_ids)
        records = {
            record_id: shown if shown is None else self._of_interest(shown)
            for record_id, shown in read.items()
            if not isinstance(shown, RejectedError)
        }
        self._reads.add(records, self._session.clock.now())
        if self._failed.error is not None:
            raise self._failed.error
        return read

    def _read_all(self, record_ids: list[str]) -> dict[str, Record | RejectedError | None]:
        """Read as many as can be read; `_failed` has the error that ended it."""
        records: dict[str, Record | RejectedError | None] = {}
        waiting, running = iter(record_ids), 0
        more = True
        while more or running:
            while more and running < 2 * self._concurrency.size:
                together = list(islice(waiting, self._read_together))
                more = bool(together) and self._failed.error is None
                if more:
                    self._workers.add(partial(self._read, together))
                    running += 1
            for answer in self._workers.ended() if running else ():
                running -= 1
                self._concurrency.ended(answer.timing)
                records.update(answer.records)
            self._workers.resize(self._concurrency.size)
        return records

    def _wanted(self, records: Iterable[Record], rows: TemporaryIdTable) -> dict[str, Record]:
        canonical_id, id_key = self._vendor.canonical_id, self._vendor.id_key
        by_id = {canonical_id(str(record.get(id_key))): record for record in records}
        return {
            record_id: self._of_interest(by_id[record_id])
            for record_id in rows.rows_of(by_id)
            if all(self._vendor.stored_value(key, by_id[record_id], self._catalogue) for key in self._keys)
        }

    def _of_interest(self, record: Record) -> Record:
        """Return the values of the keys to read, in the objects in which the vendor nests them."""
        kept = {name: value for name, value in record.items() if name in self._stored_keys}
        nested = {name: self._of_interest(value) for name, value in record.items() if isinstance(value, dict)}
        return {name: value for name, value in nested.items() if value} | kept

    def _read(self, record_ids: Sequence[str]) -> _Answer:
        """Read some records together, in one of the threads; no more calls are made once one has failed."""
        monotonic, limit_seconds = self._session.clock.monotonic, self._session.waiting.limit_seconds
        began, waited = monotonic(), limit_seconds()
        records = {} if self._failed.error is not None else self._read_or_fail(record_ids)
        ended = monotonic()
        return _Answer(records, CallTiming(ended, ended - began, limit_seconds() - waited))

    def _read_or_fail(self, record_ids: Sequence[str]) -> Mapping[str, Record | RejectedError | None]:
        try:
            shown = self._session.read_many(record_ids, self._named_keys)
        except ConfigurationError as err:
            name = repr(record_ids[0]) if len(record_ids) == 1 else f"{record_ids[0]!r} and others"
            msg = f"A plan compares with the values in the CRM, and the record {name} cannot be read: {err}"
            self._failed.add(ConfigurationError(msg, vendor=err.vendor, status=err.status, code=err.code))
            return {}
        except CrmError as err:
            self._failed.add(err)
            return {}
        return {record_id: None if _is_missing(one) else one for record_id, one in shown.items()}


def _is_missing(shown: Record | RejectedError) -> bool:
    return isinstance(shown, RejectedError) and shown.status == HTTPStatus.NOT_FOUND
