"""One row on its way: its calls, and what becomes of them."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.client.attempts import BeforeAttempt, always
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    RejectedError,
)
from airflow_provider_crm.vendors.comparison import check_echo

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Record

log = logging.getLogger(__name__)
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_ABOUT_VALUES = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)


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
        session: Where to.
        calls: What.
        record_id: The opportunity.
        rules: How.
        doubtful: Whether an earlier attempt may have written some of it: what may not be written twice is then read
            first.
        before_attempt: Called before each attempt; raises if the row may not be sent any more.
        seen: The record, if it was read a moment ago.
        attempts: How often each call is tried at most; default: the session's.

    Returns:
        The vendor's record: what all answers show, later ones on top.

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
    """The record before a resumed row is written; None if this key may not read."""
    try:
        return session.read(record_id)
    except (ConfigurationError, RejectedError) as err:
        log.warning("Row %s is written again, as it could not be read first: %s", record_id, err)
        return None


def shown_payload(call: Call, catalogue: Catalogue) -> str:
    """The body of a call for a log, with the values of personal fields left out."""
    personal = {field.target for field in catalogue.fields.values() if field.personal}
    return json.dumps(
        {key: "(hidden)" if key in personal else value for key, value in json.loads(call.body or "{}").items()}
    )
