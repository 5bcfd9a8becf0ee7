"""Compare what the ledger says the CRM holds with what the CRM shows now; nothing is changed in either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from airflow_provider_crm.database.schema import field_states
from airflow_provider_crm.exceptions import RejectedError
from airflow_provider_crm.plan.reads import PlanReads
from airflow_provider_crm.plan.records import RecordReader
from airflow_provider_crm.plan.records_now import shows_stored
from airflow_provider_crm.values.record_ids import TemporaryIdTable
from airflow_provider_crm.vendors.comparison import stored_values

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.database.field_hashes import FieldHashes
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

_RECORDS_AT_ONCE = 500
_MOST_EXAMPLES = 20


class DifferingValue(NamedTuple):
    """A value that the CRM no longer holds.

    Attributes:
        record_id: The opportunity.
        field: The vendor's key.
        written: JSON text of the value in the ledger, or its hash.
        shown: JSON text of the value in the CRM; None if it shows none.
    """

    record_id: str
    field: str
    written: str
    shown: str | None


@dataclass(slots=True)
class FieldDrift:
    """The values of one field that were compared.

    Attributes:
        values: Their number.
        differing: Those of them that the CRM holds otherwise.
    """

    values: int = 0
    differing: int = 0


@dataclass(slots=True)
class Drift:
    """The difference between the ledger and the CRM.

    Attributes:
        records: Records that were read.
        gone: Ids of the first of those that the CRM does not have.
        gone_count: The number of all of those.
        fields: What was found, by the vendor's key.
        examples: The first values that differ.
    """

    records: int = 0
    gone: list[str] = field(default_factory=list)
    gone_count: int = 0
    fields: dict[str, FieldDrift] = field(default_factory=dict)
    examples: list[DifferingValue] = field(default_factory=list)


def known_fields(connection: Connection, account: str) -> list[str]:
    """Return the vendor's keys of which the ledger knows values, in order."""
    query = sa.select(field_states.c.field).distinct().where(*_known(account)).order_by(field_states.c.field)
    return list(connection.execute(query).scalars())


class DriftCheck:
    """Reads records, as many in one call as the vendor can, and compares them with the ledger.

    Args:
        connection: To the ledger.
        account: Name of the account.
        session: The same account.
        catalogue: What it offers.
        hashes: Which fields are stored as hashes only.
        sample: Records to read, chosen at random; None for all.
    """

    def __init__(  # noqa: PLR0917 - the parts of one check
        self,
        connection: Connection,
        account: str,
        session: Session,
        catalogue: Catalogue,
        hashes: FieldHashes,
        sample: int | None,
    ) -> None:
        self._connection = connection
        self._account = account
        self._session = session
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._hashes = hashes
        self._sample = sample

    def run(self, concurrency: int) -> Drift:
        """Read the records and compare them.

        Args:
            concurrency: Calls in flight, at most.

        Raises:
            CrmError: A record could not be read.
        """
        drift = Drift()
        offered = {key for one in self._catalogue.fields.values() for key in one.keys}
        keys = [key for key in known_fields(self._connection, self._account) if key in offered]
        read = RecordReader(self._session, self._catalogue, keys, concurrency, PlanReads.temporary())
        with TemporaryIdTable() as wanted, read as reader:
            chosen = None if self._sample is None else list(self._chosen())
            wanted.add_last((one, 0) for one in chosen or self._all_records())
            reader.prepare(wanted)
            source = iter(chosen or self._all_records())
            while record_ids := list(islice(source, _RECORDS_AT_ONCE)):
                records = reader.get(record_ids)
                values = self._values(record_ids, keys)
                for record_id in record_ids:
                    self._compare(drift, record_id, records[record_id], values.get(record_id, {}))
        return drift

    def _compare(
        self, drift: Drift, record_id: str, record: Record | RejectedError | None, values: dict[str, str]
    ) -> None:
        drift.records += 1
        if not isinstance(record, dict):
            drift.gone_count += 1
            drift.gone += [record_id] if len(drift.gone) < _MOST_EXAMPLES else []
            return
        for key, written in values.items():
            found = drift.fields.setdefault(key, FieldDrift())
            found.values += 1
            if not shows_stored(written, key, record, self._vendor, self._catalogue, self._hashes):
                found.differing += 1
                if len(drift.examples) < _MOST_EXAMPLES:
                    shown = stored_values((key,), record, self._vendor, self._catalogue).get(key)
                    drift.examples.append(DifferingValue(record_id, key, written, shown))

    def _chosen(self) -> Iterator[str]:
        records = self._record_ids().subquery()
        query = sa.select(records.c.record_id).order_by(sa.func.random()).limit(self._sample)
        yield from self._connection.execute(query).scalars()

    def _all_records(self) -> Iterator[str]:
        """Yield all records in the order of their ids, page by page: no query stays open while the CRM is read."""
        last = ""
        while True:
            query = self._record_ids().where(field_states.c.record_id > last)
            page = query.order_by(field_states.c.record_id).limit(_RECORDS_AT_ONCE)
            found = list(self._connection.execute(page).scalars())
            if not found:
                return
            yield from found
            last = found[-1]

    def _record_ids(self) -> sa.Select[Any]:
        return sa.select(field_states.c.record_id).distinct().where(*_known(self._account))

    def _values(self, record_ids: Sequence[str], keys: Sequence[str]) -> dict[str, dict[str, str]]:
        query = sa.select(field_states.c.record_id, field_states.c.field, field_states.c.value).where(
            *_known(self._account), field_states.c.record_id.in_(record_ids), field_states.c.field.in_(keys)
        )
        found: dict[str, dict[str, str]] = {}
        for row in self._connection.execute(query.order_by(field_states.c.record_id, field_states.c.field)):
            found.setdefault(row.record_id, {})[row.field] = row.value
        return found


def _known(account: str) -> tuple[sa.ColumnElement[bool], ...]:
    known: sa.ColumnElement[bool] = field_states.c.known
    return field_states.c.account == account, known, field_states.c.value.is_not(None)
