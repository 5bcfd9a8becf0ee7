"""Remember which opportunity has a key of the warehouse, so that later runs need not look it up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.delayed_signals import delayed_signals
from airflow_provider_crm.database.schema import record_ids

if TYPE_CHECKING:
    from airflow_provider_crm.database.database import Database

_AT_ONCE = 1_000


class RecordIds:
    """The record ids of one account, by key. Every method raises `LedgerUnavailableError` if the database fails.

    Args:
        database: Of the ledger.
        account: Name of the account.
    """

    def __init__(self, database: Database, account: str) -> None:
        self._database = database
        self._account = account

    def known(self, field: str, values: Collection[str]) -> dict[str, str]:
        """Return the record id of each value that is known.

        Args:
            field: The vendor's key of the field.
            values: Values of it.
        """
        found: dict[str, str] = {}
        source = iter(values)
        while some := list(islice(source, _AT_ONCE)):
            query = sa.select(record_ids.c.value, record_ids.c.record_id).where(
                record_ids.c.account == self._account, record_ids.c.field == field, record_ids.c.value.in_(some)
            )
            with self._database.errors(), self._database.engine.connect() as connection:
                found.update((row.value, row.record_id) for row in connection.execute(query))
        return found

    def remember(self, field: str, found: Mapping[str, str]) -> None:
        """Store the record id of each value; the newest one counts."""
        if not found:
            return
        with delayed_signals(), self._database.transaction() as connection:
            insert = self._database.dialect.insert(record_ids)
            key = (record_ids.c.account, record_ids.c.field, record_ids.c.value)
            newest = {"record_id": insert.excluded.record_id, "seen_at": insert.excluded.seen_at}
            now = self._database.now(connection)
            rows = [
                {"account": self._account, "field": field, "value": value, "record_id": record_id, "seen_at": now}
                for value, record_id in sorted(found.items())
            ]
            connection.execute(insert.on_conflict_do_update(index_elements=key, set_=newest), rows)

    def forget(self, gone: Iterable[str]) -> None:
        """Delete all keys of some records: the CRM has them no longer, or has merged them."""
        wanted = sorted(set(gone))
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            statement = sa.delete(record_ids).where(
                record_ids.c.account == self._account, record_ids.c.record_id.in_(some)
            )
            with delayed_signals(), self._database.transaction() as connection:
                connection.execute(statement)
