"""One row that is written: what is sent for it, its calls in order, and the result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.client.attempts import BeforeAttempt, always
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    LedgerUnavailableError,
    RejectedError,
)
from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement
from airflow_provider_crm.values.opportunity import OutcomeWord, Update
from airflow_provider_crm.vendors.comparison import check_echo

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.encoding import Writes
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)

MaySend: TypeAlias = "Callable[[Job], bool]"
"""Notes that a call of a row is sent now; False if none may be sent any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(ClaimedRow):
    """A claimed row, and what is sent for it.

    Attributes:
        update: The row.
        writes: The values that are sent.
        calls: The calls that send them, in order.
    """

    update: Update
    writes: Writes
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class RowResult(Settlement):
    """What became of a row, and why; not on record yet.

    Attributes:
        rests: See `Settlement`.
        cause: The error that ended the row, or None.
    """

    rests: bool = False
    cause: Exception | None = None

    @property
    def keeps_claim(self) -> bool:
        """Whether the row was left alone because the ledger had failed: its claim may as well run out."""
        failed = isinstance(self.cause, LedgerUnavailableError) and self.outcome.word is OutcomeWord.NOT_SENT
        return failed and not (self.doubtful or self.outcome.applied)


def write_update(
    session: Session,
    calls: tuple[Call, ...],
    record_id: str,
    rules: PushRules,
    *,
    doubtful: bool = False,
    before_attempt: BeforeAttempt = always,
    seen: Record | None = None,
    attempts: int | None = None,
) -> Record:
    """Send the calls of one row, in order.

    Args:
        session: The account to write to.
        calls: The calls.
        record_id: The opportunity.
        rules: How rows are written.
        doubtful: Whether an earlier attempt may have written part of the row. Then the record is read before a call
            that may not be sent twice.
        before_attempt: Called before each attempt; raises if the row may not be sent any more.
        seen: The record, if it was read a moment ago.
        attempts: How often each call is tried at most; default: the session's.

    Returns:
        The vendor's record: the values that all answers show, later ones on top.

    Raises:
        CrmError: A call failed; `applied` names the fields that earlier calls of the row have written.
    """
    vendor = session.account.vendor
    if all(call.replayable for call in calls):
        seen = None
    elif doubtful and seen is None:
        seen = _read_if_allowed(session, record_id)
    merged: Record = {}
    applied: list[str] = []
    for call in calls:
        if seen is not None and vendor.applied(call, seen):
            merged |= seen
        else:
            try:
                record = session.write(
                    call, record_id, timezone=rules.timezone, before_attempt=before_attempt, attempts=attempts
                )
                if rules.verify_echo:
                    check_echo(vendor, call, record, record_id)
            except CrmError as err:
                err.applied = tuple(applied)
                session.label_fields(err)
                raise
            merged |= record
        applied += call.fields
    return merged


def _read_if_allowed(session: Session, record_id: str) -> Record | None:
    """Read the record before a resumed row is written; return None if this key may not read."""
    try:
        return session.read(record_id)
    except (ConfigurationError, RejectedError) as err:
        log.warning("Row %s is written again, as it could not be read first: %s", record_id, err)
        return None


def shown_payload(call: Call, catalogue: Catalogue) -> str:
    """Return the body of a call for a log, with the values of personal fields left out."""
    personal = {field.target for field in catalogue.fields.values() if field.personal}
    return json.dumps(
        {key: "(hidden)" if key in personal else value for key, value in json.loads(call.body or "{}").items()}
    )
