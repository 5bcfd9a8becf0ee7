"""The ledger in the hands of one push: an error of its database stops the run instead of leaving it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import ClaimLostError, LedgerUnavailableError, TransientError
from airflow_provider_crm.ledger.claims import Claim, DesiredRow, DesiredRows, Verdict
from airflow_provider_crm.values.columns import rows_at

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.claims import ClaimedRow
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.prepare import PreparedRow
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.push.write import RowResult
    from airflow_provider_crm.values.opportunity import Outcome

_RENEWALS = 5  # a database that is slow for a moment, as after a restart, stops no run


def desired_row(row: PreparedRow) -> DesiredRow:
    """Return a row as the ledger claims it."""
    update, writes = row
    if update.as_of is None:
        raise ValueError(update.record_id)
    return DesiredRow(update.record_id, writes.texts, update.as_of)


def desired_rows(rows: Sequence[PreparedRow]) -> DesiredRows:
    """Return rows as the ledger compares them; columns that were encoded together stay together."""
    record_ids = [update.record_id for update, _ in rows]
    as_of = [update.as_of for update, _ in rows if update.as_of is not None]
    encoded = {id(writes.columns): writes.columns for _, writes in rows}
    if len(encoded) == 1:
        (columns,) = encoded.values()
        return DesiredRows(record_ids, rows_at(columns.texts, [writes.index for _, writes in rows]), as_of)
    values: dict[str, list[str | None]] = {key: [None] * len(rows) for one in encoded.values() for key in one.texts}
    for number, (_, writes) in enumerate(rows):
        for key, column in writes.columns.texts.items():
            values[key][number] = column[writes.index]
    return DesiredRows(record_ids, values, as_of)


class RunLedger:
    """Claims, renews and records the rows of one run; all but `renew` is for the main thread only.

    Args:
        ledger: The ledger, or None: then every row is claimed, and nothing is recorded.
        rules: How rows are written.
        stops: Where errors of the database end the run.
        changes_only: Whether to leave out the values that the CRM is known to hold.
    """

    def __init__(self, ledger: Ledger | None, rules: PushRules, stops: Stops, *, changes_only: bool) -> None:
        self._ledger = ledger
        self._retry_rejected = rules.retry_rejected
        self._stops = stops
        self._changes_only = changes_only
        self._claimed_records: set[str] = set()

    def unchanged(self, rows: Sequence[PreparedRow]) -> frozenset[int]:
        """Return the positions of the rows of which the CRM is known to hold all values."""
        if self._ledger is None or not self._changes_only or self._stops.reason is not None:
            return frozenset()
        try:
            return self._ledger.settled(desired_rows(rows))
        except TransientError as err:
            self._stops.add(err)
            return frozenset()

    def claim(self, rows: Sequence[DesiredRow]) -> Sequence[Claim | None]:
        """Return the ledger's answer to each row, in order; None for all rows once the run ends."""
        if self._stops.reason is not None:
            return [None] * len(rows)
        if self._ledger is None:
            return [Claim(Verdict.SEND, fields=frozenset(row.values), deadline=math.inf) for row in rows]
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

    def renewer(self, row: ClaimedRow, session: Session) -> Callable[[], None]:
        """Return what keeps the claim of a row valid for as long as one more attempt may take.

        A call that lands after its claim has run out could overwrite a newer value. What is returned is called before
        each attempt, and raises if the row may not be sent any more.
        """
        ledger, clock, deadline = self._ledger, session.clock, row.claim.deadline
        longest_call = 2 * session.account.timeout  # connecting and answering may take that long each

        def renew() -> None:
            nonlocal deadline
            if ledger is None or clock.monotonic() + longest_call < deadline:
                return
            for _ in range(_RENEWALS):
                renewed = ledger.renew(row.desired, row.claim)
                if renewed is None:
                    msg = "Another run has taken this row over while it waited."
                    raise ClaimLostError(msg, record_id=row.record_id)
                if clock.monotonic() + longest_call < renewed:
                    deadline = renewed
                    return
            msg = (
                "The ledger cannot be used: its database is so slow that a claim runs out while it is renewed. "
                "Nothing is sent that could not be recorded; run again when its database is back."
            )
            raise LedgerUnavailableError(msg, record_id=row.record_id)

        return renew

    def settle(self, results: Iterable[RowResult], *, once_more: bool = False) -> None:
        """Record the results of claimed rows. If that fails, the run stops, and a later run sends the rows again.

        Once the database has failed, rows that were not sent are left to their leases instead of waiting for it again.

        Args:
            results: The rows.
            once_more: Whether a signal may have interrupted this when it was stored already.
        """
        settlements = [result for result in results if not result.keeps_claim]
        if self._ledger is None or not settlements:
            return
        try:
            self._ledger.settle(settlements, once_more=once_more)
        except TransientError as err:
            self._stops.add(err)
        else:
            self._claimed_records -= {settlement.row.record_id for settlement in settlements}

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
        """Give back the claims of all records but those that were sent."""
        never_sent = sorted(self._claimed_records - sent)
        if self._ledger is None or not never_sent or self._stops.ledger_failed:
            return
        try:
            self._ledger.release(never_sent)
        except TransientError as err:
            self._stops.add(err)

    def close(self, report: Mapping[str, Any], *, deferred: bool) -> None:
        """Store the report of the run."""
        if self._ledger is None or self._stops.ledger_failed:
            return
        try:
            self._ledger.close(report, deferred=deferred)
        except TransientError as err:
            self._stops.add(err)
