"""Give an account another name, in all tables at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.schema import field_states, metadata, plans, record_ids
from airflow_provider_crm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.database.database import Database

_TABLES = tuple(table for table in metadata.sorted_tables if "account" in table.c)


def rename_account(database: Database, old: str, new: str) -> Mapping[str, int]:
    """Rename an account in all tables, in one transaction; reports in JSON keep the name that they had.

    Plans that wait for an approval have to be made again: what was approved names the account.

    Args:
        database: The ledger's.
        old: Its name.
        new: The name to give to it.

    Returns:
        Number of rows by table, without the tables that have none; and under `open plans` the plans to be made again.

    Raises:
        ConfigurationError: There is no such account, there is one of the new name, the new name is one of another
            vendor, or a run is writing the account now.
        LedgerUnavailableError: The database cannot be used.
    """
    if old.partition(":")[0] != new.partition(":")[0] or new.count(":") < _COLONS or not new.rpartition(":")[2]:
        msg = (
            f"The new name has to be one of the same vendor, as {old.partition(':')[0]}:host:organization, not {new!r}."
        )
        raise ConfigurationError(f"{msg} {_UNCHANGED}")
    with database.transaction(lock=old) as connection:
        _check(connection, old, new, database)
        renamed = {
            table.name: connection.execute(sa.update(table).where(table.c.account == old).values(account=new)).rowcount
            for table in _TABLES
        }
        is_open = (plans.c.account == new, plans.c.applied_at.is_(None))
        open_plans = connection.execute(sa.select(sa.func.count()).select_from(plans).where(*is_open)).scalar_one()
    return {name: rows for name, rows in {**renamed, "open plans": open_plans}.items() if rows}


_COLONS = 2
_UNCHANGED = "Nothing was changed."


def _check(connection: Connection, old: str, new: str, database: Database) -> None:
    if not _has(connection, old):
        msg = f"The ledger knows no account {old!r}."
        raise ConfigurationError(f"{msg} {_UNCHANGED}")
    if _has(connection, new):
        msg = f"The ledger has an account {new!r} already, and two accounts cannot be merged."
        raise ConfigurationError(f"{msg} {_UNCHANGED}")
    claimed = sa.select(field_states.c.claim_run_key).where(
        field_states.c.account == old, field_states.c.claimed_until > database.now(connection)
    )
    writer = connection.execute(claimed.limit(1)).scalar()
    if writer is not None:
        msg = f"Run {writer!r} is writing to {old!r} now; pause its Dag, and rename the account when the run has ended."
        raise ConfigurationError(f"{msg} {_UNCHANGED}")


def _has(connection: Connection, account: str) -> bool:
    query = (sa.select(table.c.account).where(table.c.account == account).limit(1) for table in _TABLES)
    return any(connection.execute(one).first() is not None for one in query)


def forget_account(database: Database, account: str) -> int:
    """Count all values of an account as unknown, as after a restore of its CRM; return the number of fields.

    Each run then sends what it wants once more, and looks its keys up again. No data time moves, and no claim ends.

    Args:
        database: The ledger's.
        account: Its name.

    Raises:
        ConfigurationError: There is no such account.
        LedgerUnavailableError: The database cannot be used.
    """
    with database.transaction(lock=account) as connection:
        if not _has(connection, account):
            msg = f"The ledger knows no account {account!r}."
            raise ConfigurationError(f"{msg} {_UNCHANGED}")
        known = (field_states.c.account == account, field_states.c.known)
        connection.execute(sa.delete(record_ids).where(record_ids.c.account == account))
        return connection.execute(sa.update(field_states).where(*known).values(known=False)).rowcount
