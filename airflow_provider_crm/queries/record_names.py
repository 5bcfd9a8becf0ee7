"""Read the names of opportunities, as far as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.schema import record_names

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class RecordNames:
    """The names of the records on one page.

    Args:
        connection: To the ledger.
        records: Ids by account; at most those of a page.
    """

    def __init__(self, connection: Connection, records: Mapping[str, Collection[str]]) -> None:
        self._names = {account: _names(connection, account, ids) for account, ids in records.items()}

    def of(self, account: str, record_id: str) -> str:
        """Return the name of a record, or an empty text."""
        return self._names.get(account, {}).get(record_id, "")


def _names(connection: Connection, account: str, record_ids: Collection[str]) -> dict[str, str]:
    name = record_names.c
    query = sa.select(name.record_id, name.name).where(
        name.account == account, name.record_id.in_(sorted(record_ids)), name.name.is_not(None)
    )
    return {row.record_id: row.name for row in connection.execute(query)}
