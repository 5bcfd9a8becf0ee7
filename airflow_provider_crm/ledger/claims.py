"""Claims: what one row wants, the rule by which the ledger decides, its answer, and how the row ended. No I/O.

Of some of these values there is one for each row. Nothing changes them, though Python would allow it: to make a frozen
one takes four times as long.

Over 300 lines because the rule and the values that it compares are read together.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

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


@dataclass(slots=True)
class DesiredRow:
    """The values that one row wants for its record, as they would be sent; never changed.

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
        if isinstance(numbers, range):
            cut = slice(numbers.start, numbers.stop, numbers.step)
            values = {key: column[cut] for key, column in self.values.items()}
            return DesiredRows(self.record_ids[cut], values, self.as_of[cut])
        return DesiredRows(
            [self.record_ids[number] for number in numbers],
            {key: [column[number] for number in numbers] for key, column in self.values.items()},
            [self.as_of[number] for number in numbers],
        )


@dataclass(slots=True)
class Claim:
    """The ledger's answer to a desired row; never changed.

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


_NOTHING: Mapping[str, StateOnRecord] = MappingProxyType({})
_NO_VALUES: Mapping[str, str] = MappingProxyType({})


class ClaimBatch:
    """The states of one batch while its rows are decided; the decisions are written at the end, set by set.

    Args:
        now: The database's clock.
        states: What is on record, by record id and key.
        refusals: The last refusal by record id.
        hashes: The form in which values are stored.

    Attributes:
        claimed: Data time of each field that is to be claimed, by record id and key.
        wanted: The values of these fields as they would be sent, in the same way; there may be more.
        overtaken: Fields to be claimed that another try had claimed, and never ended.
        confirmed: Data time of newer data that agrees with the CRM, so that older data does not get past it.
    """

    def __init__(
        self,
        now: dt.datetime,
        states: Mapping[str, Mapping[str, StateOnRecord]],
        refusals: Mapping[str, PastRejection],
        hashes: FieldHashes,
    ) -> None:
        self.claimed: dict[str, dict[str, dt.datetime]] = {}
        self.wanted: dict[str, Mapping[str, str]] = {}
        self.overtaken: list[FieldKey] = []
        self.confirmed: dict[FieldKey, dt.datetime] = {}
        self._now = now
        self._states = states
        self._refusals = refusals
        self._hashes = hashes

    def decide_all(
        self, rows: Sequence[DesiredRow], *, changes_only: bool, retry_rejected: bool, deadline: float
    ) -> list[Claim]:
        """Decide all rows, in order; rows that are new to the ledger and want the same keys share one claim."""
        claims: list[Claim] = []
        shared: dict[tuple[str, ...], Claim] = {}
        known = self._states.keys() | self._refusals.keys()
        for row in rows:
            if row.record_id in known or row.record_id in self.claimed or not row.values:
                one = self.decide(row, changes_only=changes_only, retry_rejected=retry_rejected, deadline=deadline)
            else:
                keys = tuple(row.values)
                self.claimed[row.record_id] = dict.fromkeys(keys, row.as_of)
                self.wanted[row.record_id] = row.values
                one = shared.get(keys) or Claim(Verdict.SEND, frozenset(keys), deadline=deadline)
                shared[keys] = one
            claims.append(one)
        return claims

    def decide(self, desired: DesiredRow, *, changes_only: bool, retry_rejected: bool, deadline: float) -> Claim:
        """Compare one row with what is on record, and claim what is to be sent."""
        states = self._states.get(desired.record_id, _NOTHING)
        send, stale, same, busy = self._sorted(desired, states, changes_only=changes_only)
        if busy:
            return Claim(Verdict.BUSY, busy_seconds=max(busy))
        refused = self._refusals.get(desired.record_id)
        if send and refused is not None and not retry_rejected and self._is_refused_before(desired, refused):
            return Claim(Verdict.REFUSED_BEFORE, refused=refused)
        for key in same:
            if states[key].as_of != desired.as_of:
                self.confirmed[desired.record_id, key] = desired.as_of
        if not send:
            return Claim(Verdict.STALE if stale else Verdict.UNCHANGED, stale=frozenset(stale))
        self.claimed.setdefault(desired.record_id, {}).update(dict.fromkeys(send, desired.as_of))
        earlier = self.wanted.get(desired.record_id, _NO_VALUES)
        self.wanted[desired.record_id] = {**earlier, **{key: desired.values[key] for key in send}}
        self.overtaken += [
            (desired.record_id, key) for key in send if key in states and states[key].claim_token is not None
        ]
        doubtful, before = self._on_record(send, states)
        return Claim(
            Verdict.SEND,
            fields=frozenset(send),
            stale=frozenset(stale),
            doubtful=doubtful,
            before=before,
            deadline=deadline,
            refused=refused,
        )

    def _sorted(
        self, desired: DesiredRow, states: Mapping[str, StateOnRecord], *, changes_only: bool
    ) -> tuple[Collection[str], Collection[str], Collection[str], Collection[float]]:
        """Return the keys to send, those with newer data, those that agree; and seconds until others are free."""
        claimed = self.claimed.get(desired.record_id)
        if not states and claimed is None:
            return desired.values, (), (), ()
        send: list[str] = []
        stale: list[str] = []
        same: list[str] = []
        busy: list[float] = []
        for key, text in desired.values.items():
            if claimed is not None and key in claimed:
                if desired.as_of < claimed[key]:
                    stale.append(key)
                else:
                    busy.append(0.0)
                continue
            row = states.get(key)
            if row is None:
                send.append(key)
            elif self._has_newer(desired, key, row):
                stale.append(key)
            elif row.claimed_until is not None and row.claimed_until > self._now:
                busy.append((row.claimed_until - self._now).total_seconds())
            elif row.claimed_until is None and changes_only and self._holds(row, key, text):
                same.append(key)
            else:
                send.append(key)
        return send, stale, same, busy

    def _has_newer(self, desired: DesiredRow, key: str, row: StateOnRecord) -> bool:
        """Return whether newer data of a field is on record, was claimed, or was confirmed in this batch."""
        as_of = desired.as_of
        if (row.as_of is not None and as_of < row.as_of) or (row.claim_as_of is not None and as_of < row.claim_as_of):
            return True
        confirmed = self.confirmed.get((desired.record_id, key)) if self.confirmed else None
        return confirmed is not None and as_of < confirmed

    def _holds(self, row: StateOnRecord, key: str, text: str) -> bool:
        """Return whether the CRM is known to hold a value already."""
        return row.known and row.value == self._hashes.form_of(key)(text)

    def _on_record(
        self, send: Collection[str], states: Mapping[str, StateOnRecord]
    ) -> tuple[frozenset[str], Mapping[str, str]]:
        """Return the keys that may have been sent without an acknowledgement, and the known values of the others."""
        doubtful: list[str] = []
        before: dict[str, str] = {}
        for key in send if states else ():
            row = states.get(key)
            if row is None:
                continue
            if row.claim_token is not None or not row.known:
                doubtful.append(key)
            elif row.value is not None and self._hashes.comparable(row.value):
                before[key] = row.value
        return frozenset(doubtful), before

    def _is_refused_before(self, desired: DesiredRow, refused: PastRejection) -> bool:
        return refused.rests and refused.fingerprint == self._hashes.fingerprint(desired.values)


@dataclass(slots=True)
class ClaimedRow:
    """A row that was claimed in order to send it; never changed.

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


@dataclass(slots=True)
class Settlement:
    """The end of a claimed row; never changed.

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
        name: Name of the record for people, if an answer showed one and names are kept.
    """

    row: ClaimedRow
    outcome: Outcome
    written: frozenset[str] = frozenset()
    sent: bool = True
    doubtful: bool = False
    disproved: frozenset[str] = frozenset()
    gone: bool = False
    rests: bool = True
    name: str | None = None
