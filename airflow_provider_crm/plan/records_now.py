"""Read the records of a plan, and compare them with the values in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.exceptions import RejectedError
from airflow_provider_crm.plan.plan_row import PlanVerdict
from airflow_provider_crm.plan.records import RecordReader
from airflow_provider_crm.values.record_ids import TemporaryIdTable
from airflow_provider_crm.vendors.comparison import still_shows, stored_values

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.database.field_hashes import FieldHashes
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.reads import PlanReads
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record


_READ_AT_ONCE = 200
_T = TypeVar("_T")


class PlanProblem(NamedTuple):
    """Why a field cannot be planned.

    Attributes:
        verdict: Its planned result.
        code: Machine-readable cause.
        reason: One sentence for a person.
    """

    verdict: PlanVerdict
    code: str
    reason: str


class CurrentRecords:
    """Reads records and compares them with values that the ledger keeps.

    Args:
        session: The account.
        catalogue: What the account offers.
        ledger: The ledger.
        concurrency: Records read at once, at most.
        reads: The records that this plan has read already, and where they are kept.
    """

    def __init__(
        self, session: Session, catalogue: Catalogue, ledger: Ledger, concurrency: int, reads: PlanReads
    ) -> None:
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._ledger = ledger
        self._concurrency = concurrency
        self._reads = reads

    @contextmanager
    def reader(
        self, keys: Iterable[str], rows: Iterable[tuple[str, int]]
    ) -> Iterator[tuple[TemporaryIdTable, RecordReader]]:
        """Open a reader of records.

        Args:
            keys: The vendor's keys to read.
            rows: Record id and number of each row.

        Yields:
            The last row of each record, and the reader.
        """
        read = RecordReader(self._session, self._catalogue, frozenset(keys), self._concurrency, self._reads)
        with TemporaryIdTable() as last_rows, read as reader:
            last_rows.add_last(rows)
            reader.prepare(last_rows)
            yield last_rows, reader

    def read(self, reader: RecordReader, ids: Sequence[str]) -> Mapping[str, Record | RejectedError | None]:
        """Read records; the ledger forgets each one that the CRM does not have."""
        records = reader.get(ids)
        self._ledger.forget(record_id for record_id, record in records.items() if record is None)
        return records

    def shows(self, stored: str, key: str, record: Record) -> bool:
        """Return whether a record shows a value of the ledger, in its stored form."""
        return shows_stored(stored, key, record, self._vendor, self._catalogue, self._ledger.hashes)

    def problem(self, record: Record | RejectedError | None) -> PlanProblem | None:
        """Return why no field of a record can be planned; None for a record that was read."""
        if record is None:
            reason = f"{self._vendor.display_name} has no opportunity of that id."
            return PlanProblem(PlanVerdict.MISSING, "NOT_FOUND", reason)
        if isinstance(record, RejectedError):
            return PlanProblem(PlanVerdict.INVALID, record.code, str(record))
        return None


def shows_stored(  # noqa: PLR0917 - a value, and all that it is compared by
    stored: str, key: str, record: Record, vendor: Vendor, catalogue: Catalogue, hashes: FieldHashes
) -> bool:
    """Return whether a record shows a value of the ledger, which is stored as it is, or as a hash."""
    if not is_hash(stored):
        return still_shows(key, stored, record, vendor, catalogue)
    shown = stored_values((key,), record, vendor, catalogue)
    return any(hashes.is_of(stored, value) for value in shown.values())


def batches(items: Iterable[_T], vendor: Vendor) -> Iterator[Sequence[_T]]:
    """Yield the items in batches whose records are read together: as many as one call reads, or some hundreds."""
    source, size = iter(items), _READ_AT_ONCE
    if vendor.batch_read is not None:
        size = max(size, vendor.batch_read.largest)
    while batch := list(islice(source, size)):
        yield batch
