"""Claims: what one row wants, what the ledger answers, and the rule by which it decides. No I/O."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from airflow_provider_crm.values.opportunity import OutcomeWord

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
    """What one row wants, as it would be sent.

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
class PastRejection:
    """The last time the CRM refused a row.

    Attributes:
        fingerprint: Of the values that were refused.
        code: The vendor's.
        reason: The vendor's message.
        attempts: How often those values were refused.
        first_at: When they were first refused.
        rests: Whether those values are not sent again until they change.
    """

    fingerprint: str
    code: str
    reason: str
    attempts: int
    first_at: dt.datetime
    rests: bool


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


class StateOnRecord(NamedTuple):
    """One row of the ledger's field states.

    Attributes:
        value: The last acknowledged value as it is stored.
        known: Whether the CRM still has it, as far as the ledger knows.
        as_of: Its data time.
        claim_token: Whose claim there is, or None.
        claim_as_of: Data time of the claim.
        claimed_until: End of the claim's lease.
    """

    value: str | None
    known: bool
    as_of: dt.datetime | None
    claim_token: str | None
    claim_as_of: dt.datetime | None
    claimed_until: dt.datetime | None

    @property
    def newest(self) -> dt.datetime | None:
        """Return the newest data time that was acknowledged or claimed."""
        return max((moment for moment in (self.as_of, self.claim_as_of) if moment is not None), default=None)


@dataclass(frozen=True, slots=True)
class FieldState:
    """What is on record for one field of one opportunity.

    Attributes:
        value: The last acknowledged value as it is stored, or None if the CRM's value is not known.
        newest: The newest data time that was acknowledged or claimed.
    """

    value: str | None
    newest: dt.datetime | None
