"""One row on its way: its calls, and what becomes of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_crm.client.attempts import BeforeAttempt, always
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    InvalidValueError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.ledger.claims import Claim, ClaimedRow, DesiredRow, Settlement, Verdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors.comparison import check_echo, still_shows

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.encoding import Writes
    from airflow_provider_crm.vendors.protocol import Vendor
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
        permit: Asked before each attempt; raises if the row may not be sent any more.
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


@dataclass(frozen=True, slots=True)
class Job:
    """One row on its way: what it wants, what is sent, and under which claim."""

    update: Update
    writes: Writes
    calls: tuple[Call, ...]
    desired: DesiredRow
    claim: Claim
    held: frozenset[str] = frozenset()
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that was on its way, and what became of it; not on record yet.

    Attributes:
        job: The row.
        outcome: Its outcome.
        sent: Whether anything was sent: what the CRM was not asked it has not refused.
        doubtful: Whether an attempt may have landed without an answer, whatever the last one was told.
        disproved: Keys that were not sent, and that the answer showed with another value than the row wants.
        gone: Whether an answer said that there is no such record, or showed another one.
        rests: Of a refused row: whether the refusal was about its values.
    """

    job: Job
    outcome: Outcome
    sent: bool = True
    doubtful: bool = False
    disproved: frozenset[str] = frozenset()
    gone: bool = False
    rests: bool = False

    @property
    def untouched(self) -> bool:
        """Whether the row was left alone because the ledger had failed: its claim may as well run out."""
        word, code = self.outcome.word, self.outcome.code
        return (word, code) == (OutcomeWord.NOT_SENT, "LEDGER") and not (self.doubtful or self.outcome.applied)

    def settlement(self, targets: Callable[[Iterable[str]], frozenset[str]]) -> Settlement:
        """What the ledger is to store of it.

        Args:
            targets: The vendor's keys of some fields.
        """
        job, outcome = self.job, self.outcome
        whole = outcome.word is OutcomeWord.UPDATED
        written = job.claim.fields if whole else targets(outcome.applied)
        return Settlement(
            ClaimedRow(job.desired, job.claim, job.held, job.seen),
            outcome,
            written,
            sent=self.sent,
            doubtful=self.doubtful,
            disproved=self.disproved,
            gone=self.gone,
            rests=self.rests,
        )


def disproved_keys(job: Job, record: Record, vendor: Vendor, catalogue: Catalogue) -> frozenset[str]:
    """The keys that a row did not send, as the CRM was known to hold them, and that its answer shows otherwise."""
    unsent = job.desired.values.keys() - job.claim.fields - job.claim.stale
    return frozenset(
        key
        for key in unsent
        if vendor.stored_value(key, record) and not still_shows(key, job.desired.values[key], record, vendor, catalogue)
    )


def rests(err: CrmError) -> bool:
    """Return whether a row that was refused so rests until its values change, as they would be refused again.

    | the vendor's own answer | the row rests |
    |---|---|
    | 400, 413, 422, or a failure told with 200: the values | until they change |
    | 404, 410: there is no such record, which may be made at any time | not at all |
    | 403, 451 and all others: rights, plans, rules of the account | not at all |
    """
    if not isinstance(err, RejectedError) or err.status is None or err.code == "NOT_FOUND":
        return False
    return err.status in _ABOUT_VALUES or err.status < HTTPStatus.MULTIPLE_CHOICES


def is_gone(err: BaseException | None, vendor: Vendor) -> bool:
    """Whether an answer said that there is no such record, or showed another one; also one that was read back."""
    if isinstance(err, IgnoredError):
        return vendor.id_key in err.field_errors
    if isinstance(err, RejectedError):
        return err.status in _GONE
    return isinstance(err, OutcomeUnknownError) and is_gone(err.__cause__, vendor)


def unsent(update: Update, claim: Claim) -> Outcome:
    """The outcome of a row for which the ledger says that nothing is to be sent."""
    if claim.verdict is Verdict.STALE:
        if (kept_out := approved_in_vain(update, claim)) is not None:
            return kept_out
        reason = f"Newer data was written or claimed for {', '.join(sorted(claim.stale))}."
        return Outcome(update.row, update.record_id, OutcomeWord.STALE, "NEWER_DATA", reason)
    if claim.refused is not None:
        reason = (
            f"{claim.refused.reason} The same values were refused since {claim.refused.first_at:%Y-%m-%d}, "
            f"{claim.refused.attempts} times; they are sent again when they change, or with retry_rejected=True."
        )
        return Outcome(update.row, update.record_id, OutcomeWord.REJECTED, claim.refused.code, reason)
    return Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED)


def approved_in_vain(update: Update, claim: Claim, applied: tuple[str, ...] = ()) -> Outcome | None:
    """The outcome of a row whose approved change newer data keeps out, in part or as a whole; None for any other row.

    Args:
        update: The row.
        claim: What the ledger said of it.
        applied: Names of its fields that were written all the same.
    """
    if not (update.approved and claim.stale):
        return None
    stale = ", ".join(sorted(claim.stale))
    reason = f"Newer data was written or claimed for {stale}, so this approved change did not land; plan again."
    reason = f"{', '.join(applied)} landed. {reason}" if applied else reason
    return Outcome(update.row, update.record_id, OutcomeWord.REJECTED, "NEWER_DATA", reason, applied)


_WORDS: tuple[tuple[type[CrmError], OutcomeWord], ...] = (
    (InvalidValueError, OutcomeWord.INVALID),
    (IgnoredError, OutcomeWord.IGNORED),
    (RejectedError, OutcomeWord.REJECTED),
    (ConfigurationError, OutcomeWord.REJECTED),
    (OutcomeUnknownError, OutcomeWord.UNKNOWN),
    (TransientError, OutcomeWord.FAILED),
)


def failure(update: Update, err: CrmError) -> Outcome:
    """The outcome of a row of which a call failed."""
    word = next(word for kind, word in _WORDS if isinstance(err, kind))
    return Outcome(update.row, update.record_id, word, err.code, _reason(err, err.applied), err.applied)


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


def shown_payload(call: Call, catalogue: Catalogue) -> str:
    """The body of a call for a log, with the values of personal fields left out."""
    personal = {field.target for field in catalogue.fields.values() if field.personal}
    return json.dumps(
        {key: "(hidden)" if key in personal else value for key, value in json.loads(call.body or "{}").items()}
    )
