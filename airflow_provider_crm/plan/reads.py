"""Store the records that a plan has read so far in a database: they outlast a deferral, and take no memory."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import plan_reads

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.vendors.records import Record

_RETENTION = dt.timedelta(days=7)
_NO_RECORD_ID = ""


class ListProgress(NamedTuple):
    """The progress of reading the list of all opportunities.

    Attributes:
        pages: Pages that were read.
        complete: Whether no further page is to be read.
        cursor: The vendor's cursor of the next page; None for the first one.
    """

    pages: int = 0
    complete: bool = False
    cursor: str | None = None


class PlanReads:
    """The records that one run has read for its plan.

    Every method raises `LedgerUnavailableError` if the database cannot be reached or written.

    Args:
        database: Where they are stored.
        account: Name of the account.
        run_key: The run that makes the plan.
        resumed: Whether it goes on after a deferral; otherwise it begins from the start.

    Attributes:
        lasting: Whether another process can use the reads.
        resumed: Whether some of it may have been read before a deferral.
    """

    def __init__(self, database: Database, account: str, run_key: str, *, resumed: bool = False) -> None:
        self._database = database
        self._own_rows = (plan_reads.c.run_key == run_key) & (plan_reads.c.account == account)
        self._key = {"run_key": run_key, "account": account}
        self.resumed = resumed
        self.lasting = True

    @classmethod
    def temporary(cls) -> PlanReads:
        """Return reads in a file of this process, for values that the ledger must not store."""
        reads = cls(Database.temporary(plan_reads), "", "")
        reads.lasting = False
        return reads

    def begin(self, keys: Collection[str], now: dt.datetime) -> ListProgress:
        """Delete reads that can no longer be used, and return how far the list was read.

        Args:
            keys: The vendor's keys that the plan is about: reads for other keys lack some of these.
            now: The time.
        """
        wanted = json.dumps(sorted(keys))
        with self._database.transaction() as connection:
            connection.execute(sa.delete(plan_reads).where(plan_reads.c.read_at < now - _RETENTION))
            stored = self._stored(connection, [_NO_RECORD_ID]).get(_NO_RECORD_ID)
            if self.resumed and stored is not None and stored["keys"] == wanted:
                cursor = stored.get("cursor")
                return ListProgress(
                    int(str(stored["pages"])), bool(stored["over"]), None if cursor is None else str(cursor)
                )
            connection.execute(sa.delete(plan_reads).where(self._own_rows))
            self._put(connection, {_NO_RECORD_ID: {"keys": wanted, "pages": 0, "over": False}}, now)
        return ListProgress()

    def store_page(
        self, records: Mapping[str, Record], keys: Collection[str], state: ListProgress, now: dt.datetime
    ) -> None:
        """Store the records of a page of the list, and how far the list was read."""
        progress: Record = {
            "keys": json.dumps(sorted(keys)),
            "pages": state.pages,
            "over": state.complete,
            "cursor": state.cursor,
        }
        with self._database.transaction() as connection:
            self._put(connection, {**records, _NO_RECORD_ID: progress}, now)

    def add(self, records: Mapping[str, Record | None], now: dt.datetime) -> None:
        """Store records that were read by their ids; None for an opportunity that the CRM does not have."""
        with self._database.transaction() as connection:
            self._put(connection, records, now)

    def of(self, record_ids: Iterable[str]) -> dict[str, Record | None]:
        """Return the records among these that were read; at most some hundreds at once."""
        with self._database.transaction() as connection:
            return self._stored(connection, list(record_ids))

    def count(self) -> int:
        """Count the records that were read."""
        query = sa.select(sa.func.count()).select_from(plan_reads).where(self._own_rows, plan_reads.c.record_id != "")
        with self._database.transaction() as connection:
            return connection.execute(query).scalar_one()

    def clear(self) -> None:
        """Delete all reads: the plan is made, or will not be made."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(plan_reads).where(self._own_rows))

    def close(self) -> None:
        """Delete a temporary file."""
        if not self.lasting:
            self._database.close()

    def _stored(self, connection: Connection, record_ids: list[str]) -> dict[str, Record | None]:
        query = sa.select(plan_reads.c.record_id, plan_reads.c.record)
        rows = connection.execute(query.where(self._own_rows, plan_reads.c.record_id.in_(record_ids)))
        return {record_id: json.loads(record) for record_id, record in rows}

    def _put(self, connection: Connection, records: Mapping[str, Record | None], now: dt.datetime) -> None:
        if not records:
            return
        rows = [
            {**self._key, "record_id": record_id, "record": json.dumps(record), "read_at": now}
            for record_id, record in records.items()
        ]
        connection.execute(sa.delete(plan_reads).where(self._own_rows, plan_reads.c.record_id.in_(records)))
        connection.execute(sa.insert(plan_reads), rows)
