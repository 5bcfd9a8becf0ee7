"""Read how far the files of rows are that vendors write for runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_provider_crm.database.schema import uploads

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_SENT = "sent"


@dataclass(frozen=True, slots=True)
class RunUpload:
    """The file of rows that a vendor writes for a run.

    Attributes:
        rows: Its rows.
        opened_at: When the run began to fill it: its rows are on their way since then.
        noted_at: When its run last noted that the vendor was at it.
    """

    rows: int
    opened_at: dt.datetime
    noted_at: dt.datetime


def run_uploads(connection: Connection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], RunUpload]:
    """Return the uploads that the vendor has not ended, by account and run key.

    Args:
        connection: To the ledger.
        names: Account and run key of each run.
    """
    if not names:
        return {}
    accounts, run_keys = {account for account, _ in names}, {run_key for _, run_key in names}
    query = sa.select(uploads.c.account, uploads.c.run_key, uploads.c.rows, uploads.c.opened_at, uploads.c.touched_at)
    # Few are on their way at a time, and the index finds them by account and stage.
    query = query.where(
        uploads.c.account.in_(sorted(accounts)), uploads.c.stage == _SENT, uploads.c.run_key.in_(sorted(run_keys))
    )
    return {
        (row.account, row.run_key): RunUpload(row.rows, row.opened_at, row.touched_at)
        for row in connection.execute(query.order_by(uploads.c.opened_at))
    }
