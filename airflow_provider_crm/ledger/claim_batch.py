"""The rule by which the ledger decides what a row may send. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from airflow_provider_crm.database.field_hashes import FieldHashes
from airflow_provider_crm.ledger.claims import Claim, DesiredRow, FieldKey, PastRejection, StateOnRecord, Verdict


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
        same = row.known and row.value == self._hashes.stored_form(key, desired.values[key])
        return (Verdict.UNCHANGED if same and changes_only else Verdict.SEND), 0.0

    def _confirm(self, desired: DesiredRow, keys: frozenset[str]) -> None:
        for field_key in ((desired.record_id, key) for key in keys):
            if self._states[field_key].as_of != desired.as_of:
                self.confirmed[field_key] = desired.as_of
