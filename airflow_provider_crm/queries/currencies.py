"""Read the currency of amounts: the one of a record, else the one of its whole account."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.database.schema import field_states, runs
from airflow_provider_crm.vendors import VENDORS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_LAST_RUNS = 10
_CANONICAL = "deal_currency"


def currency_key(account: str) -> str | None:
    """Return the vendor's key of the currency of a record; None if it has no such field."""
    vendor = VENDORS.get(account.partition(":")[0])
    fields = () if vendor is None else vendor.documented_fields
    return next((field.target for field in fields if field.name == _CANONICAL), None)


def account_currency(connection: Connection, account: str) -> str | None:
    """Return the one currency of an account, as its last runs reported it; None where each record has its own."""
    currency = dialect_of(connection).json_member(runs.c.report, "currency")
    query = sa.select(currency).where(runs.c.account == account, runs.c.report.is_not(None))
    found = connection.execute(query.order_by(runs.c.started_at.desc()).limit(_LAST_RUNS)).scalars()
    return next((text for text in found if text), None)


def record_currencies(connection: Connection, account: str, records: Collection[str]) -> Mapping[str, str]:
    """Return the currencies that the ledger knows of some records, such as `EUR`, by record id.

    Args:
        connection: To the ledger.
        account: The account's name in the ledger.
        records: Ids; at most those of a page.
    """
    key = currency_key(account)
    if key is None or not records:
        return {}
    state = field_states.c
    query = sa.select(state.record_id, state.value).where(
        state.account == account, state.record_id.in_(sorted(records)), state.field == key, state.known
    )
    texts = {row.record_id: row.value for row in connection.execute(query) if row.value and not is_hash(row.value)}
    return {record_id: code for record_id, text in texts.items() if isinstance(code := json.loads(text), str)}


class Currencies:
    """The currencies of the amounts on one page.

    Args:
        connection: To the ledger.
        records: Ids by account.
    """

    def __init__(self, connection: Connection, records: Mapping[str, Collection[str]]) -> None:
        self._of_accounts = {account: account_currency(connection, account) for account in records}
        self._of_records = {account: record_currencies(connection, account, ids) for account, ids in records.items()}

    def of(self, account: str, record_id: str) -> str:
        """Return the currency of the amounts of a record, or an empty text."""
        return self._of_records.get(account, {}).get(record_id) or self.of_account(account)

    def of_account(self, account: str) -> str:
        """Return the one currency of an account, or an empty text."""
        return self._of_accounts.get(account) or ""
