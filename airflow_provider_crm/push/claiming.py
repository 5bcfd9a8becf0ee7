"""Turn prepared rows into rows to write: compare them with the ledger, batch by batch, and claim what is left.

An error of the ledger's database stops the run instead of leaving it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_crm.exceptions import ClaimLostError, InvalidValueError, LedgerUnavailableError, TransientError
from airflow_provider_crm.ledger.claims import Claim, DesiredRow, DesiredRows, Verdict
from airflow_provider_crm.push.outcomes import claim_outcome, invalid, not_sent, outdated_approval, unchanged
from airflow_provider_crm.push.prepare import (
    ROWS_AT_ONCE,
    Job,
    PreparedRow,
    RowPreparer,
    RowResult,
    check_won_date,
    desired_row,
    desired_rows,
)
from airflow_provider_crm.push.rules import PushRules
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors.encoding import calls_of_all

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.claims import ClaimedRow, Settlement
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.catalogue import Catalogue

_COMPARED_AT_ONCE = 2_000
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Pause(NamedTuple):
    """Time that has to pass before rows are claimed that other runs have claimed."""

    seconds: float


class RowClaimer:
    """Claims rows batch by batch; rows whose record another run is writing are claimed again later.

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows are written.
        preparer: Prepares the rows.
        ledger: Claims them.
        stops: Why the run ends.
        compares: Whether there is a ledger: then rows are compared by thousands, else they go one by one.
    """

    def __init__(  # noqa: PLR0917 - the parts of one push
        self,
        session: Session,
        catalogue: Catalogue,
        rules: PushRules,
        preparer: RowPreparer,
        ledger: RunLedger,
        stops: Stops,
        *,
        compares: bool,
    ) -> None:
        self._clock = session.clock
        self._vendor = session.account.vendor
        self._catalogue = catalogue
        self._rules = rules
        self._preparer = preparer
        self._ledger = ledger
        self._stops = stops
        self._compares = compares

    def jobs(self, source: Iterator[Update | Outcome]) -> Iterator[Outcome | Job | Pause]:
        """Yield the outcomes of rows that need no call, the rows to write, and pauses that other runs ask for."""
        size = _COMPARED_AT_ONCE if self._compares else 1
        postponed: list[PreparedRow] = []
        while batch := list(islice(source, size)):
            prepared = self._preparer.prepare(batch)
            known = [item for item in prepared if isinstance(item, Outcome)]
            self._ledger.note(outcome for outcome in known if outcome.word is OutcomeWord.INVALID)
            yield from known
            changed = yield from self._changed([item for item in prepared if not isinstance(item, Outcome)])
            for first in range(0, len(changed), ROWS_AT_ONCE):
                postponed, _ = yield from self._claimed(postponed + changed[first : first + ROWS_AT_ONCE])
        while postponed:
            postponed, seconds = yield from self._claimed(postponed)
            if postponed:
                yield Pause(min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE))

    def _changed(self, rows: list[PreparedRow]) -> Generator[Outcome, None, list[PreparedRow]]:
        """Yield the outcomes of rows whose values are all in the CRM already; return the other rows."""
        known = self._ledger.unchanged(desired_rows(rows)) if self._ledger.knows_unchanged else frozenset()
        for number in sorted(known):
            yield unchanged(rows[number][0])
        return [row for number, row in enumerate(rows) if number not in known] if known else rows

    def _claimed(self, ready: list[PreparedRow]) -> Generator[Outcome | Job, None, tuple[list[PreparedRow], float]]:
        """Claim prepared rows; return the rows that have to wait, and for how many seconds at least."""
        postponed, shortest = [], _LONGEST_PAUSE
        desired = [desired_row(row) for row in ready]
        claims = self._ledger.claim(desired)
        self._note_refused(ready, claims)
        jobs = self._jobs(ready, desired, claims)
        for row, claim in zip(ready, claims, strict=True):
            if claim is not None and claim.verdict is Verdict.SEND:
                yield next(jobs)
            elif (reason := self._stops.reason) is not None:
                yield not_sent(row[0], reason)
            elif claim is not None and claim.verdict is Verdict.BUSY:
                postponed.append(row)
                shortest = min(shortest, claim.busy_seconds)
            elif claim is not None:
                yield claim_outcome(row[0], claim)
        return postponed, shortest

    def _note_refused(self, rows: Sequence[PreparedRow], claims: Sequence[Claim | None]) -> None:
        """Note the rows that rest: the change log of this run would otherwise not name them."""
        self._ledger.note(
            claim_outcome(update, claim)
            for (update, _), claim in zip(rows, claims, strict=True)
            if claim is not None and (claim.verdict is Verdict.REFUSED_BEFORE or _is_outdated(update, claim))
        )

    def _jobs(
        self, rows: Sequence[PreparedRow], desired: Sequence[DesiredRow], claims: Sequence[Claim | None]
    ) -> Iterator[Outcome | Job]:
        """Yield each row that is to be sent, with the fields that were claimed."""
        to_send = [
            (update, writes.only(claim.fields), one, claim)
            for (update, writes), one, claim in zip(rows, desired, claims, strict=True)
            if claim is not None and claim.verdict is Verdict.SEND
        ]
        calls = calls_of_all([update.record_id for update, *_ in to_send], [writes for _, writes, *_ in to_send])
        for (update, writes, one, claim), made in zip(to_send, calls, strict=True):
            yield self._checked(Job(one, claim, update=update, writes=writes, calls=made))

    def _checked(self, job: Job) -> Outcome | Job:
        """Refuse a win whose date is open."""
        update = job.update
        if self._compares and self._catalogue.stage_key in job.claim.fields:
            try:
                check_won_date(update, self._vendor, self._catalogue, self._rules, self._clock.now())
            except InvalidValueError as err:
                outcome = invalid(update, err)
                self._ledger.settle([RowResult(job, outcome, cause=err)])
                return outcome
        return job


def _is_outdated(update: Update, claim: Claim) -> bool:
    """Return whether newer data keeps out all of an approved change."""
    return claim.verdict is Verdict.STALE and outdated_approval(update, claim) is not None


_RENEWALS = 5  # a database that is slow for a moment, as after a restart, stops no run


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

    def renewer(self, row: ClaimedRow, monotonic: Callable[[], float], longest_call: float) -> Callable[[], None]:
        """Return a function that renews the claim of a row, to be called before each attempt.

        A call that lands after its claim has run out could overwrite a newer value. So the function raises if the
        claim cannot be made to outlast one more call.

        Args:
            row: The row.
            monotonic: Seconds that never run backwards.
            longest_call: Seconds that a call may take at most.
        """
        ledger, deadline = self._ledger, row.claim.deadline

        def renew() -> None:
            nonlocal deadline
            if ledger is None or monotonic() + longest_call < deadline:
                return
            for _ in range(_RENEWALS):
                renewed = ledger.renew(row.desired, row.claim)
                if renewed is None:
                    msg = "Another run has taken this row over while it waited."
                    raise ClaimLostError(msg, record_id=row.record_id)
                if monotonic() + longest_call < renewed:
                    deadline = renewed
                    return
            msg = (
                "The ledger cannot be used: its database is so slow that a claim runs out while it is renewed. "
                "Nothing is sent that could not be recorded; run again when its database is back."
            )
            raise LedgerUnavailableError(msg, record_id=row.record_id)

        return renew

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
        """Give back the claims of all records but the ones that were sent."""
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
