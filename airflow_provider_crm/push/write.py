"""Write one row: read the record first if need be, send its calls in order, and compare the answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider_crm.client.attempts import BeforeAttempt, always
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, RejectedError
from airflow_provider_crm.vendors.comparison import is_written
from airflow_provider_crm.vendors.encoding import check_echo

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)


def write_update(
    session: Session,
    calls: tuple[Call, ...],
    record_id: str,
    rules: PushRules,
    catalogue: Catalogue,
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
        catalogue: What the account offers.
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
        seen = _read_if_allowed(session, record_id, keys_of(calls))
    merged: Record = {}
    applied: list[str] = []
    for call in calls:
        if seen is not None and is_written(call, seen, vendor, catalogue):
            merged |= seen
        else:
            try:
                record = session.write(
                    call,
                    record_id,
                    catalogue,
                    timezone=rules.timezone,
                    before_attempt=before_attempt,
                    attempts=attempts,
                )
                if rules.verify_echo:
                    if call.route is not None and not call.route.shows_values:
                        record = _read_after(session, record_id, call.route.keys)
                    check_echo(call, record, record_id, vendor, catalogue)
            except CrmError as err:
                err.applied = tuple(applied)
                session.label_fields(err)
                raise
            merged |= record
        applied += call.fields
    return merged


def _read_after(session: Session, record_id: str, keys: tuple[str, ...]) -> Record:
    """Read the record after a call whose answer does not show it."""
    try:
        return session.read(record_id, keys)
    except CrmError as err:
        raise unread(err) from err.__cause__


def keys_of(calls: Iterable[Call]) -> tuple[str, ...]:
    """Return the vendor's keys that some calls write."""
    return tuple(key for call in calls if call.route is not None for key in call.route.keys)


def _read_if_allowed(session: Session, record_id: str, keys: tuple[str, ...]) -> Record | None:
    """Read the record before a resumed row is written; return None if this key may not read."""
    try:
        return session.read(record_id, keys)
    except (ConfigurationError, RejectedError) as err:
        log.warning("Row %s is written again, as it could not be read first: %s", record_id, err)
        return None


def unread(err: CrmError) -> CrmError:
    """Return the error of a read after a write whose answer shows no values, as the error of the row."""
    err.args = (f"It was written, and what the CRM holds now could not be read: {err}",)
    err.maybe_written = True
    return err
