"""Keep the uploads of an account: files of rows that a vendor writes in its own time.

An upload is `filling` while its run claims rows for it, `sent` from the moment before the vendor is told to begin, and
`ended` once its rows were read and their claims have ended. One that was never sent is `abandoned`. A process that was
left behind finds its upload abandoned, and sends it no more: each change of the stage asks for the stage before.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_provider_crm.database.delayed_signals import delayed_signals
from airflow_provider_crm.database.schema import uploads

if TYPE_CHECKING:
    from airflow_provider_crm.database.database import Database

LONGEST = dt.timedelta(days=1)
"""How long the claims of an upload keep others away."""
HELD = dt.timedelta(hours=1)
"""A claim that lasts longer still is held for an upload: that of a call never does."""


class UploadStage(enum.StrEnum):
    """How far an upload is."""

    FILLING = "filling"
    SENT = "sent"
    ENDED = "ended"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload that has not ended.

    Attributes:
        claim_token: The claim of its rows.
        run_key: The run that made it.
        vendor_id: The vendor's id of it.
        stage: How far it is.
        rows: Rows of its file.
        opened: Seconds since its first rows were claimed for it.
        untouched: Seconds since its run last worked on it, or asked for it.
    """

    claim_token: str
    run_key: str
    vendor_id: str
    stage: UploadStage
    rows: int
    opened: float
    untouched: float


class Uploads:
    """The uploads of one account. Every method raises `LedgerUnavailableError` if the database cannot be used.

    Args:
        database: Of the ledger.
        account: Name of the account.
    """

    def __init__(self, database: Database, account: str) -> None:
        self._database = database
        self._account = account

    def begin(self, claim_token: str, run_key: str, vendor_id: str) -> None:
        """Note an upload before rows are claimed for it."""
        with delayed_signals(), self._database.transaction() as connection:
            now = self._database.now(connection)
            row = {
                "claim_token": claim_token,
                "account": self._account,
                "run_key": run_key,
                "vendor_id": vendor_id,
                "stage": UploadStage.FILLING.value,
                "rows": 0,
                "opened_at": now,
                "touched_at": now,
            }
            connection.execute(sa.insert(uploads), row)

    def touch(self, claim_token: str) -> None:
        """Note that its run works on it."""
        self._change(claim_token, UploadStage.FILLING, UploadStage.SENT)

    def send(self, claim_token: str, vendor_id: str, rows: int) -> bool:
        """Note that the vendor is told to begin; False if the upload was abandoned, so that it must not be told."""
        return self._change(
            claim_token, UploadStage.FILLING, stage=UploadStage.SENT.value, vendor_id=vendor_id, rows=rows
        )

    def abandon(self, claim_token: str) -> bool:
        """Note that it is never sent; False if it has been."""
        return self._change(claim_token, UploadStage.FILLING, stage=UploadStage.ABANDONED.value)

    def end(self, claim_token: str, landed: int) -> None:
        """Note that its rows were read, and their claims have ended."""
        self._change(claim_token, UploadStage.SENT, stage=UploadStage.ENDED.value, landed=landed)

    def open(self) -> list[Upload]:
        """Return the uploads that have not ended, the oldest first."""
        columns = [uploads.c[name] for name in ("claim_token", "run_key", "vendor_id", "stage", "rows")]
        query = sa.select(*columns, uploads.c.opened_at, uploads.c.touched_at).where(
            uploads.c.account == self._account, uploads.c.stage.in_([UploadStage.FILLING.value, UploadStage.SENT.value])
        )
        with self._database.transaction() as connection:
            now = self._database.now(connection)
            found = connection.execute(query.order_by(uploads.c.opened_at)).all()
        return [
            Upload(
                *(one.claim_token, one.run_key, one.vendor_id, UploadStage(one.stage), one.rows),
                opened=(now - one.opened_at).total_seconds(),
                untouched=(now - one.touched_at).total_seconds(),
            )
            for one in found
        ]

    def has_sent(self, run_key: str) -> bool:
        """Return whether a run has had an upload that was written."""
        query = sa.select(sa.func.count()).where(
            uploads.c.account == self._account,
            uploads.c.run_key == run_key,
            uploads.c.stage == UploadStage.ENDED.value,
        )
        with self._database.transaction() as connection:
            return bool(connection.execute(query).scalar_one())

    def _change(self, claim_token: str, *stages: UploadStage, **values: Any) -> bool:
        mine = (uploads.c.claim_token == claim_token) & uploads.c.stage.in_([one.value for one in stages])
        with delayed_signals(), self._database.transaction() as connection:
            touched = sa.update(uploads).where(mine).values(touched_at=self._database.now(connection), **values)
            return connection.execute(touched).rowcount > 0
