"""Claims: what one row wants, the rule by which the ledger decides, its answer, and how the row ended. No I/O."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.ledger.states import PastRejection, StateOnRecord
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

FieldKey = tuple[str, str]
"""Record id, and the vendor's key of one of its fields."""


class Verdict(enum.Enum):
    """The ledger's decision about one row."""

    SEND = "send"
    UNCHANGED = "unchanged"
    STALE = "stale"
    BUSY = "busy"
    REFUSED_BEFORE = "refused before"


@dataclass(frozen=True, slots=True)
class DesiredRow:
    """The values that one row wants for its record, as they would be sent.

    Attributes:
        record_id: The opportunity.
        values: JSON text by the vendor's key; None clears.
        as_of: Data time of the row.
    """

    record_id: str
    values: Mapping[str, str]
    as_of: dt.datetime


@dataclass(frozen=True, slots=True)
class DesiredRows:
    """The values of many rows, column by column: the fastest way to compare them with the ledger.

    Attributes:
        record_ids: The opportunity of each row.
        values: JSON text of each row by the vendor's key; None where a row does not have it.
        as_of: Data time of each row.
    """

    record_ids: Sequence[str]
    values: Mapping[str, Sequence[str | None]]
    as_of: Sequence[dt.datetime]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.record_ids)

    def at(self, numbers: Sequence[int]) -> DesiredRows:
        """Return some of the rows, by position."""
        return DesiredRows(
            [self.record_ids[number] for number in numbers],
            {key: [column[number] for number in numbers] for key, column in self.values.items()},
            [self.as_of[number] for number in numbers],
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's answer to a desired row.

    Attributes:
        verdict: What to do with the row.
        fields: Keys to send.
        stale: Keys for which a newer value was claimed or acknowledged.
        doubtful: Keys that an earlier attempt may have sent without an acknowledgement.
        before: Last acknowledged value of each key to send, where it is known.
        deadline: Monotonic seconds after which the claim may have been taken over: nothing is sent then.
        busy_seconds: Seconds until the claim in the way runs out.
        refused: The refusal on record for this row, if there is one.
    """

    verdict: Verdict
    fields: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    before: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 0.0
    busy_seconds: float = 0.0
    refused: PastRejection | None = None

    def still_valid(self, key: str, word: OutcomeWord) -> bool:
        """Return whether the value on record is still the CRM's, after the row ended without being written."""
        return key in self.before and word is not OutcomeWord.IGNORED


@dataclass(frozen=True, slots=True)
class FieldState:
    """The ledger's record of one field of one opportunity.

    Attributes:
        value: The last acknowledged value as it is stored, or None if the CRM's value is not known.
        newest: The newest data time that was acknowledged or claimed.
    """

    value: str | None
    newest: dt.datetime | None


class ClaimBatch:
    """The states of one batch while its rows are decided; the decisions are written at the end, set by set.

    Args:
        now: The database's clock.
        states: What is on record, by record id and key.
        refusals: The last refusal by record id.
        hashes: The form in which values are stored.

    Attributes:
        claimed: Data time of each field that is to be claimed.
        confirmed: Data time of newer data that agrees with the CRM, so that older data does not get past it.
    """

    def __init__(
        self,
        now: dt.datetime,
        states: Mapping[FieldKey, StateOnRecord],
        refusals: Mapping[str, PastRejection],
        hashes: FieldHashes,
    ) -> None:
        self.claimed: dict[FieldKey, dt.datetime] = {}
        self.confirmed: dict[FieldKey, dt.datetime] = {}
        self._now = now
        self._states = states
        self._refusals = refusals
        self._hashes = hashes

    def decide(self, desired: DesiredRow, *, changes_only: bool, retry_rejected: bool, deadline: float) -> Claim:
        """Compare one row with what is on record, and claim what is to be sent."""
        verdicts = {key: self._verdict(desired, key, changes_only=changes_only) for key in desired.values}
        busy = max((seconds for verdict, seconds in verdicts.values() if verdict is Verdict.BUSY), default=None)
        if busy is not None:
            return Claim(Verdict.BUSY, busy_seconds=busy)
        send = frozenset(key for key, (verdict, _) in verdicts.items() if verdict is Verdict.SEND)
        stale = frozenset(key for key, (verdict, _) in verdicts.items() if verdict is Verdict.STALE)
        refused = self._refusals.get(desired.record_id)
        if send and refused is not None and not retry_rejected and self._is_refused_before(desired, refused):
            return Claim(Verdict.REFUSED_BEFORE, refused=refused)
        self._confirm(desired, frozenset(desired.values) - send - stale)
        if not send:
            return Claim(Verdict.STALE if stale else Verdict.UNCHANGED, stale=stale)
        self.claimed.update({(desired.record_id, key): desired.as_of for key in send})
        on_record = {key: self._states.get((desired.record_id, key)) for key in send}
        return Claim(
            Verdict.SEND,
            fields=send,
            stale=stale,
            doubtful=frozenset(
                key for key, row in on_record.items() if row is not None and (row.claim_token or not row.known)
            ),
            before={
                key: str(row.value)
                for key, row in on_record.items()
                if row is not None and row.known and row.claim_token is None and self._is_comparable(row.value)
            },
            deadline=deadline,
            refused=refused,
        )

    def _is_comparable(self, value: str | None) -> bool:
        """Return whether a value on record can be compared; a hash that was made with another key cannot."""
        return value is not None and self._hashes.comparable(value)

    def _is_refused_before(self, desired: DesiredRow, refused: PastRejection) -> bool:
        return refused.rests and refused.fingerprint == self._hashes.fingerprint(desired.values)

    def _verdict(self, desired: DesiredRow, key: str, *, changes_only: bool) -> tuple[Verdict, float]:
        field_key = (desired.record_id, key)
        if field_key in self.claimed:
            return (Verdict.STALE, 0.0) if desired.as_of < self.claimed[field_key] else (Verdict.BUSY, 0.0)
        row = self._states.get(field_key)
        if row is None:
            return Verdict.SEND, 0.0
        moments = (row.as_of, row.claim_as_of, self.confirmed.get(field_key))
        newest = max((moment for moment in moments if moment is not None), default=None)
        if newest is not None and desired.as_of < newest:
            return Verdict.STALE, 0.0
        if row.claimed_until is not None:
            seconds = (row.claimed_until - self._now).total_seconds()
            return (Verdict.BUSY, seconds) if seconds > 0 else (Verdict.SEND, 0.0)
        same = row.known and row.value == self._hashes.form_of(key)(desired.values[key])
        return (Verdict.UNCHANGED if same and changes_only else Verdict.SEND), 0.0

    def _confirm(self, desired: DesiredRow, keys: frozenset[str]) -> None:
        for field_key in ((desired.record_id, key) for key in keys):
            if self._states[field_key].as_of != desired.as_of:
                self.confirmed[field_key] = desired.as_of


@dataclass(frozen=True, slots=True)
class ClaimedRow:
    """A row that was claimed in order to send it.

    Attributes:
        desired: What the row wants.
        claim: The claim under which it is sent.
        matching_keys: Keys that a read under the claim showed to be as wanted, so that they are not sent.
        seen: The values that this read showed, by key.
    """

    desired: DesiredRow
    claim: Claim
    matching_keys: frozenset[str] = frozenset()
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def record_id(self) -> str:
        """The opportunity."""
        return self.desired.record_id


@dataclass(frozen=True, slots=True)
class Renewed:
    """The claims of some rows after they were renewed together.

    Attributes:
        deadline: Monotonic seconds until which the claims hold, but for those that are lost.
        lost: Record ids of the rows of which another run has taken over a field: these may not be sent any more.
    """

    deadline: float
    lost: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a claimed row.

    Attributes:
        row: The row.
        outcome: Its outcome.
        written: Keys that the CRM acknowledged, also of a row that failed half-way.
        sent: Whether anything was sent: a row that was not sent was not refused by the CRM.
        doubtful: Whether an attempt without an answer may have landed, whatever a later attempt was answered.
        disproved: Keys that were not sent, as the CRM was known to hold them, and that its answer showed otherwise.
        gone: Whether an answer said that there is no such record, or showed another one: then nothing is known of any
            of its fields.
        rests: Of a refused row: whether the refusal was about its values, which are not sent again until they change.
    """

    row: ClaimedRow
    outcome: Outcome
    written: frozenset[str] = frozenset()
    sent: bool = True
    doubtful: bool = False
    disproved: frozenset[str] = frozenset()
    gone: bool = False
    rests: bool = True
