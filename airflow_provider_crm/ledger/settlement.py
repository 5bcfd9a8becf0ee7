"""What becomes of a claimed row, as the ledger records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_crm.ledger.claims import Claim, DesiredRow
from airflow_provider_crm.values.opportunity import Outcome


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
class Settlement:
    """What became of a claimed row.

    Attributes:
        row: The row.
        outcome: How it ended.
        written: Keys that the CRM acknowledged, also of a row that failed half-way.
        sent: Whether anything was sent: what the CRM was not asked it has not refused.
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
