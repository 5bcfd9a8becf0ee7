"""Claim, renew and record the rows of one run.

An error of the ledger's database stops the run instead of leaving it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_crm.exceptions import LedgerUnavailableError, TransientError
from airflow_provider_crm.ledger.claims import Claim, DesiredRow, DesiredRows, Verdict

if TYPE_CHECKING:
    from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.values.opportunity import Outcome

_RENEWALS = 5  # a database that is slow for a moment, as after a restart, stops no run
AT_ONCE = 500
"""Rows that one transaction of the ledger takes, where their number has no other limit."""
_T = TypeVar("_T")


def ledger_parts(rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield rows in parts, each for one transaction of the ledger."""
    for first in range(0, len(rows), AT_ONCE):
        yield rows[first : first + AT_ONCE]


class RunLedger:
    """Claims, renews and records the rows of one run; all but `renew` is for the main thread only.

    Args:
        ledger: The ledger, or None: then every row is claimed, and nothing is recorded.
        rules: How rows are written.
        stops: Where errors of the database end the run.
        changes_only: Whether to leave out values that are known to be in the CRM.
    """

    def __init__(self, ledger: Ledger | None, rules: PushRules, stops: Stops, *, changes_only: bool) -> None:
        self._ledger = ledger
        self._retry_rejected = rules.retry_rejected
        self._stops = stops
        self._changes_only = changes_only
        self._claimed_records: set[str] = set()

    @property
    def knows_unchanged(self) -> bool:
        """Whether `unchanged` may know such rows: there is a ledger, only changes are sent, and the run goes on."""
        return self._ledger is not None and self._changes_only and self._stops.reason is None

    def unchanged(self, rows: DesiredRows) -> frozenset[int]:
        """Return the positions of the rows whose values are all known to be in the CRM."""
        if self._ledger is None or not self.knows_unchanged:
            return frozenset()
        try:
            return self._ledger.unchanged_rows(rows)
        except TransientError as err:
            self._stops.add(err)
            return frozenset()

    def claim(self, rows: Sequence[DesiredRow]) -> Sequence[Claim | None]:
        """Return the ledger's answer to each row, in order; None for all rows once the run ends."""
        if self._stops.reason is not None:
            return [None] * len(rows)
        if self._ledger is None:
            shapes = [frozenset(row.values) for row in rows]
            of_shape = {fields: Claim(Verdict.SEND, fields=fields, deadline=math.inf) for fields in set(shapes)}
            return [of_shape[fields] for fields in shapes]
        # Noted before they are claimed: a signal may raise while only the database knows of the claims.
        new = {row.record_id for row in rows} - self._claimed_records
        self._claimed_records |= new
        try:
            claims = self._ledger.claim(rows, changes_only=self._changes_only, retry_rejected=self._retry_rejected)
        except TransientError as err:
            self._stops.add(err)
            return [None] * len(rows)
        to_send = {row.record_id for row, one in zip(rows, claims, strict=True) if one.verdict is Verdict.SEND}
        self._claimed_records -= new - to_send
        return claims

    def renewer(
        self, rows: Sequence[ClaimedRow], monotonic: Callable[[], float], longest_call: float
    ) -> Callable[[], frozenset[str]]:
        """Return a function that renews the claims of the rows of one call, to be called before each attempt.

        A call that lands after a claim has run out could overwrite a newer value. So the function returns the record
        ids of the rows that another run has taken over, and raises if claims cannot be made to outlast one more call.

        Args:
            rows: The rows.
            monotonic: Seconds that never run backwards.
            longest_call: Seconds that a call may take at most.
        """
        ledger, deadline = self._ledger, min([row.claim.deadline for row in rows])

        def renew() -> frozenset[str]:
            nonlocal deadline
            if ledger is None or monotonic() + longest_call < deadline:
                return frozenset()
            for _ in range(_RENEWALS):
                renewed = ledger.renew_all(rows)
                if renewed.lost or monotonic() + longest_call < renewed.deadline:
                    deadline = renewed.deadline
                    return renewed.lost
            msg = (
                "The ledger cannot be used: its database is so slow that a claim runs out while it is renewed. "
                "Nothing is sent that could not be recorded; run again when its database is back."
            )
            raise LedgerUnavailableError(msg)

        return renew

    def begin_upload(self, vendor_id: str) -> bool:
        """Note an upload before rows are claimed for it; False if that fails, which ends the run."""
        return self._ledger is not None and self._tried(
            partial(self._ledger.uploads.begin, self._ledger.token, self._ledger.run_key, vendor_id)
        )

    def hold(self, rows: Sequence[ClaimedRow]) -> frozenset[str]:
        """Hold the claims of some rows until their upload has ended; return the records that others have taken over."""
        if self._ledger is None:
            return frozenset()
        try:
            self._ledger.uploads.touch(self._ledger.token)
            return self._ledger.hold(rows)
        except TransientError as err:
            self._stops.add(err)
            return frozenset(row.record_id for row in rows)

    def send_upload(self, vendor_id: str, rows: int) -> bool:
        """Note that the vendor is told to begin; False if it must not be told.

        Raises:
            LedgerUnavailableError: It could not be noted.
        """
        return self._ledger is not None and self._ledger.uploads.send(self._ledger.token, vendor_id, rows)

    def abandon_upload(self) -> None:
        """Note that the upload is never sent."""
        if self._ledger is not None:
            self._tried(partial(self._ledger.uploads.abandon, self._ledger.token))

    def _tried(self, change: Callable[[], object]) -> bool:
        try:
            change()
        except TransientError as err:
            self._stops.add(err)
            return False
        return True

    def settle(self, settlements: Sequence[Settlement], *, once_more: bool = False) -> None:
        """Record what became of claimed rows. If that fails, the run stops, and a later run sends the rows again.

        Args:
            settlements: The rows.
            once_more: Whether a signal may have interrupted this when it was stored already.
        """
        if self._ledger is None or not settlements:
            return
        try:
            self._ledger.settle(settlements, once_more=once_more)
            self._ledger.record_ids.forget(one.row.desired.record_id for one in settlements if one.gone)
        except TransientError as err:
            self._stops.add(err)
        else:
            self._claimed_records -= {settlement.row.desired.record_id for settlement in settlements}

    def note(self, outcomes: Iterable[Outcome]) -> None:
        """Put refused rows on record that were never claimed."""
        refused = [(outcome, ()) for outcome in outcomes]
        if self._ledger is None or not refused or self._stops.ledger_failed:
            return
        try:
            self._ledger.note(refused)
        except TransientError as err:
            self._stops.add(err)

    def release(self, sent: frozenset[str]) -> None:
        """Give back the claims of all records but the ones that were sent."""
        self.give_back(sorted(self._claimed_records - sent))

    def give_back(self, never_sent: Sequence[str]) -> None:
        """Give back the claims of some records."""
        if self._ledger is None or self._stops.ledger_failed:
            return
        try:
            for record_ids in ledger_parts(never_sent):
                self._ledger.release(record_ids)
        except TransientError as err:
            self._stops.add(err)
        else:
            self._claimed_records.difference_update(never_sent)

    def close(self, report: Mapping[str, Any], *, deferred: bool) -> Mapping[str, Any] | None:
        """Store the report of the run; return the one of all its tries, or None where no ledger has it."""
        if self._ledger is None or self._stops.ledger_failed:
            return None
        try:
            return self._ledger.close(report, deferred=deferred)
        except TransientError as err:
            self._stops.add(err)
            return None
