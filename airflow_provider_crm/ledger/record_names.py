"""Keep the names of opportunities, by which people know them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.schema import changes, record_names
from airflow_provider_crm.ledger.row_sets import storable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

LONGEST_NAME = 200
"""Characters that are kept of a name, at most."""
_AT_ONCE = 1_000


def store_names(connection: Connection, account: str, names: Mapping[str, str | None], now: dt.datetime) -> None:
    """Store the names of some records; None for one of which none was shown, which leaves a known one as it is."""
    if not names:
        return
    insert = dialect_of(connection).insert(record_names)
    upsert = insert.on_conflict_do_update(
        index_elements=[record_names.c.account, record_names.c.record_id],
        set_={"name": insert.excluded.name, "seen_at": insert.excluded.seen_at},
        where=insert.excluded.name.is_not(None) & record_names.c.name.is_distinct_from(insert.excluded.name),
    )
    rows = [
        {
            "account": account,
            "record_id": record_id,
            "name": None if name is None else storable(name)[:LONGEST_NAME],
            "seen_at": now,
        }
        for record_id, name in sorted(names.items())
    ]
    connection.execute(upsert, rows)


def unnamed_records(connection: Connection, account: str, run_key: str) -> Iterator[str]:
    """Yield the records in the change log of a run whose names were never asked for."""
    is_known = sa.exists().where(
        record_names.c.account == changes.c.account, record_names.c.record_id == changes.c.record_id
    )
    query = (
        sa.select(changes.c.record_id)
        .distinct()
        .where(changes.c.run_key == run_key, changes.c.account == account, changes.c.record_id != "", ~is_known)
    )
    yield from connection.execute(query, execution_options={"yield_per": _AT_ONCE}).scalars()


def forget_names(connection: Connection, account: str) -> None:
    """Delete the names of an account: they are not kept any more."""
    connection.execute(sa.delete(record_names).where(record_names.c.account == account))
