"""Decide the outcome of a row: by the ledger's answer, by the error of its call, or by the end of the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import repeat
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    InvalidValueError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.ledger.claims import Claim, Verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.values.source_values import source_of

if TYPE_CHECKING:
    from airflow_provider_crm.values.opportunity import Field
    from airflow_provider_crm.vendors.protocol import Vendor

log = logging.getLogger(__name__)

UNEXPECTED = "UNEXPECTED"
"""Code of a row that met an exception from outside this package."""
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_ABOUT_VALUES = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
_REFUSED = frozenset({OutcomeWord.INVALID, OutcomeWord.REJECTED})
_WORDS: tuple[tuple[type[CrmError], OutcomeWord], ...] = (
    (InvalidValueError, OutcomeWord.INVALID),
    (IgnoredError, OutcomeWord.IGNORED),
    (RejectedError, OutcomeWord.REJECTED),
    (ConfigurationError, OutcomeWord.REJECTED),
    (OutcomeUnknownError, OutcomeWord.UNKNOWN),
    (TransientError, OutcomeWord.FAILED),
)


def unchanged(update: Update) -> Outcome:
    """Return the outcome of a row whose values are in the CRM already."""
    return Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED)


def all_unchanged(updates: Sequence[Update]) -> Iterator[Outcome]:
    """Return the outcomes of many rows whose values are in the CRM already."""
    rows, record_ids = [update.row for update in updates], [update.record_id for update in updates]
    return map(Outcome, rows, record_ids, repeat(OutcomeWord.UNCHANGED))


def invalid(update: Update, err: InvalidValueError, fields: Mapping[str, Field]) -> Outcome:
    """Return the outcome of a row that is refused before it is sent.

    Args:
        update: The row.
        err: Why.
        fields: The account's catalogue, by field name.
    """
    source = source_of(update.fields, fields, err.field_errors)
    return Outcome(update.row, update.record_id, OutcomeWord.INVALID, err.code, str(err), source=source)


def claim_outcome(update: Update, claim: Claim) -> Outcome:
    """Return the outcome of a row for which the ledger says that nothing is to be sent."""
    if claim.verdict is Verdict.STALE:
        if (outdated := outdated_approval(update, claim)) is not None:
            return outdated
        reason = f"Newer data was written or claimed for {', '.join(sorted(claim.stale))}."
        return Outcome(update.row, update.record_id, OutcomeWord.STALE, "NEWER_DATA", reason)
    if claim.refused is not None:
        reason = (
            f"{claim.refused.reason} The same values were refused since {claim.refused.first_at:%Y-%m-%d}, "
            f"{claim.refused.attempts} times; they are sent again when they change, or with retry_rejected=True."
        )
        return Outcome(update.row, update.record_id, OutcomeWord.REJECTED, claim.refused.code, reason)
    return unchanged(update)


def outdated_approval(update: Update, claim: Claim, applied: tuple[str, ...] = ()) -> Outcome | None:
    """Return the outcome of a row whose approved change newer data keeps out, in part or as a whole.

    Args:
        update: The row.
        claim: The ledger's answer.
        applied: Names of its fields that were written nevertheless.

    Returns:
        None for any other row.
    """
    if not (update.approved and claim.stale):
        return None
    stale = ", ".join(sorted(claim.stale))
    reason = f"Newer data was written or claimed for {stale}, so this approved change did not land; plan again."
    reason = f"{', '.join(applied)} landed. {reason}" if applied else reason
    return Outcome(update.row, update.record_id, OutcomeWord.REJECTED, "NEWER_DATA", reason, applied)


def failure(update: Update, err: CrmError, fields: Mapping[str, Field]) -> Outcome:
    """Return the outcome of a row of which a call failed.

    Args:
        update: The row.
        err: Why.
        fields: The account's catalogue, by field name.
    """
    word = next(word for kind, word in _WORDS if isinstance(err, kind))
    source = source_of(update.fields, fields, err.field_errors) if word in _REFUSED else ()
    return Outcome(update.row, update.record_id, word, err.code, _reason(err, err.applied), err.applied, source)


def not_sent(update: Update, reason: CrmError, applied: tuple[str, ...] = ()) -> Outcome:
    """Return the outcome of a row that the end of the run left over, or overtook.

    Args:
        update: The row.
        reason: Why the run ends.
        applied: Names of the row's fields that had been written by then.
    """
    return Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, reason.code, _reason(reason, applied), applied)


def _reason(err: CrmError, applied: tuple[str, ...]) -> str:
    return f"{', '.join(applied)} landed, the rest did not: {err}" if applied else str(err)


def is_about_values(err: CrmError) -> bool:
    """Return whether a row that was refused so rests until its values change, as they would be refused again.

    | the vendor's own answer | the row rests |
    |---|---|
    | 400, 413, 422, or a failure within a 200: the values | until they change |
    | 404, 410: there is no such record, which may be made at any time | not at all |
    | 403, 451 and all others: rights, plans, rules of the account | not at all |
    """
    if not isinstance(err, RejectedError) or err.status is None or err.code == "NOT_FOUND":
        return False
    return err.status in _ABOUT_VALUES or err.status < HTTPStatus.MULTIPLE_CHOICES


def is_gone(err: BaseException | None, vendor: Vendor) -> bool:
    """Return whether an answer, also to a read, said that there is no such record, or showed another one."""
    if isinstance(err, IgnoredError):
        return vendor.id_key in err.field_errors
    if isinstance(err, RejectedError):
        return err.status in _GONE
    return isinstance(err, OutcomeUnknownError) and is_gone(err.__cause__, vendor)


class UnexpectedErrors:
    """Exceptions from outside this package, and the outcomes of the rows that met them; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._types: set[type[Exception]] = set()

    def outcome(self, update: Update, err: Exception) -> Outcome:
        """Return the outcome of a row that met an exception; log the first of its type.

        The reason names the type only, as such a message may show any value.
        """
        name = type(err).__name__
        if self._is_new(type(err)):
            log.error("Row %s met an unexpected %s.", update.record_id, name, exc_info=err)
        reason = f"An unexpected {name} ended this row; the task's log has the traceback of the first of its kind."
        return Outcome(update.row, update.record_id, OutcomeWord.FAILED, UNEXPECTED, reason)

    def _is_new(self, kind: type[Exception]) -> bool:
        with self._lock:
            new = kind not in self._types
            self._types.add(kind)
            return new
