"""Log claims that end without an outcome: their values may have reached the CRM, and have no other line.

A try that was killed between a call and its acknowledgement leaves its claims behind. They stand in `crm_field_states`
until another try takes the fields over, or a user clears their data times.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_crm.ledger.row_sets import FIELD_KEY, write_rows
from airflow_provider_crm.ledger.statements import LOG_OVERTAKEN
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_crm.ledger.claims import FieldKey

OVERTAKEN = "OVERTAKEN"
"""Code of a claim that another try has taken over."""
CLEARED = "CLAIM_CLEARED"
"""Code of a claim that a user has cleared."""
_REASON = "The try that claimed this field ended without an outcome, and its value may have reached the CRM: {end}."


def log_overtaken(
    connection: Connection, account: str, fields: Iterable[FieldKey], *, token: str, run_key: str, now: dt.datetime
) -> None:
    """Log claims of others that a try is about to take over, before it does.

    Args:
        connection: In a transaction that keeps other claims of the account away.
        account: Whose ledger.
        fields: Record id and key of the fields.
        token: Of the try.
        run_key: Its run.
        now: The database's clock.
    """
    _log(connection, account, fields, token=token, code=OVERTAKEN, end=f"{run_key} took the field over", now=now)


def log_cleared(connection: Connection, account: str, fields: Iterable[FieldKey], *, by: str, now: dt.datetime) -> None:
    """Log the claims on some fields that a user is about to clear; others of the fields may have none."""
    _log(connection, account, fields, token="", code=CLEARED, end=f"{by} cleared the claim", now=now)


def _log(
    connection: Connection,
    account: str,
    fields: Iterable[FieldKey],
    *,
    token: str,
    code: str,
    end: str,
    now: dt.datetime,
) -> None:
    if rows := sorted(fields):
        cause = {"outcome": OutcomeWord.UNKNOWN.value, "code": code, "reason": _REASON.format(end=end)}
        write_rows(connection, LOG_OVERTAKEN, FIELD_KEY, rows, account=account, token=token, **cause, now=now)
