"""The ledger's records of one opportunity: as they are read, and as they are to be stored when claims end. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


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


class EndedRow(NamedTuple):
    """Fields of one row whose claims end in the same way: their states, and their lines in the change log.

    Attributes:
        record_id: The opportunity.
        fields: Of each field: the vendor's key, the value before if that is known, and the one that was to be written.
        stands: Whether the CRM has the values that were to be written.
        known: Whether the CRM's values are known. Unless they stand, they stay unknown where an answer to another row
            has shown that what was on record is not true.
        as_of: The new data time, or None to leave it.
        outcome: The fields' own word.
        code: Cause of a failure.
        reason: The same as a sentence.
        source: Of a refused row: JSON of its values as the source had them.
    """

    record_id: str
    fields: Sequence[tuple[str, str | None, str]]
    stands: bool
    known: bool
    as_of: dt.datetime | None
    outcome: str
    code: str
    reason: str
    source: str | None = None
