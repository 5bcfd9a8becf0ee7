"""Turn prepared rows into rows to write: compare them with the ledger, batch by batch, and claim what is left.

Here a batch is some rows that the ledger sees together, whatever calls send them.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.ledger.claims import Claim, DesiredRow, Verdict
from airflow_provider_crm.push.in_flight import batch_of
from airflow_provider_crm.push.outcomes import all_unchanged, claim_outcome, invalid, not_sent, outdated_approval
from airflow_provider_crm.push.prepare import (
    ROWS_AT_ONCE,
    Job,
    PreparedRow,
    RowPreparer,
    RowResult,
    all_desired,
    check_won_date,
    desired_rows,
)
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.values.source_values import source_of
from airflow_provider_crm.vendors.encoding import calls_of_all
from airflow_provider_crm.vendors.win_dates import with_date_key

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.push.run_ledger import RunLedger
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.calls import BatchCall
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.encoding import Writes

_COMPARED_AT_ONCE = 8_000
_SHARING_ROWS_AT_ONCE = 1_000
_NOTED = frozenset({OutcomeWord.INVALID, OutcomeWord.REJECTED})
"""Outcomes of rows that were never claimed, of which the change log has a line."""
_SAMPLED = 20  # one row in so many shows whether a comparison is worth its time
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Pause(NamedTuple):
    """Time that has to pass before rows are claimed that other runs have claimed.

    Attributes:
        seconds: How long to wait until the rows are looked at again.
        busy_seconds: How long the first of these claims still lasts, unless it is given back.
    """

    seconds: float
    busy_seconds: float


class RowClaimer:
    """Claims rows batch by batch; rows whose record another run is writing are claimed again later.

    Args:
        session: The account.
        catalogue: What the account offers.
        rules: How rows are written.
        preparer: Prepares the rows.
        ledger: Claims them.
        stops: Why the run ends.
        compares: Whether there is a ledger: then rows are compared by thousands. Else they are read one by one, or as
            many as some calls take if they share calls.
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
        self._all_changed = False

    def jobs(self, source: Iterator[Update | Outcome]) -> Iterator[Outcome | Job | Pause | None]:
        """Yield the outcomes of rows that need no call, the rows to write, and pauses that other runs ask for.

        None marks the end of some rows: it is not known when others come, so that none should wait for them.
        """
        size = _COMPARED_AT_ONCE if self._compares else 1
        postponed: list[PreparedRow] = []
        while batch := list(islice(source, size)):
            prepared = self._preparer.prepare(batch)
            known = [item for item in prepared if isinstance(item, Outcome)]
            self._ledger.note(outcome for outcome in known if outcome.word in _NOTED)
            yield from known
            ready = [item for item in prepared if not isinstance(item, Outcome)] if known else prepared
            in_place, changed = self._compared(cast("list[PreparedRow]", ready))
            yield from all_unchanged(in_place)
            batch_call = batch_of(self._vendor.write_calls(tuple(changed[0][1].names))) if changed else None
            at_once = self._rows_at_once(batch_call)
            if batch_call is not None and batch_call.together is not None:
                changed = _grouped(changed, batch_call.together)
            for first in range(0, len(changed), at_once):
                postponed, _ = yield from self._claimed(postponed + changed[first : first + at_once])
                yield None
            size = _COMPARED_AT_ONCE if self._compares else at_once
        while postponed:
            postponed, seconds = yield from self._claimed(postponed)
            yield None
            if postponed:
                yield Pause(min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE), seconds)

    def _rows_at_once(self, batch: BatchCall | None) -> int:
        """Return how many rows to claim at once: as many as fill some calls, if such rows share calls."""
        if batch is None:
            return ROWS_AT_ONCE if self._compares else 1
        return batch.largest * max(1, _SHARING_ROWS_AT_ONCE // batch.largest)

    def _compared(self, rows: list[PreparedRow]) -> tuple[list[Update], list[PreparedRow]]:
        """Return the rows whose values are all in the CRM already, and the other ones."""
        known = self._unchanged(rows) if self._ledger.knows_unchanged and rows else frozenset()
        if not known:
            return [], rows
        if len(known) == len(rows):
            return [update for update, _ in rows], []
        return [rows[number][0] for number in sorted(known)], [
            row for number, row in enumerate(rows) if number not in known
        ]

    def _unchanged(self, rows: list[PreparedRow]) -> frozenset[int]:
        """Return the positions of the rows whose values are all in the CRM already.

        Where no row before these was unchanged, some are looked at first: if none of them is, the others are left to
        their claims, which find unchanged rows one by one.
        """
        wanted = desired_rows(rows)
        if self._all_changed and not self._ledger.unchanged(wanted.at(range(0, len(rows), _SAMPLED))):
            return frozenset()
        known = self._ledger.unchanged(wanted)
        self._all_changed = not known
        return known

    def _claimed(self, ready: list[PreparedRow]) -> Generator[Outcome | Job, None, tuple[list[PreparedRow], float]]:
        """Claim prepared rows; return the rows that have to wait, and for how many seconds at least."""
        postponed, shortest = [], math.inf
        desired = all_desired(ready)
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
            replace(claim_outcome(update, claim), source=source_of(update.fields, self._catalogue.fields))
            for (update, _), claim in zip(rows, claims, strict=True)
            if claim is not None
            and claim.verdict is not Verdict.SEND
            and (claim.verdict is Verdict.REFUSED_BEFORE or _is_outdated(update, claim))
        )

    def _jobs(
        self, rows: Sequence[PreparedRow], desired: Sequence[DesiredRow], claims: Sequence[Claim | None]
    ) -> Iterator[Outcome | Job]:
        """Yield each row that is to be sent, with the fields that were claimed."""
        to_send = [
            (update, writes if len(claim.fields) == len(one.values) else self._part(writes, claim), one, claim)
            for (update, writes), one, claim in zip(rows, desired, claims, strict=True)
            if claim is not None and claim.verdict is Verdict.SEND
        ]
        calls = calls_of_all([update.record_id for update, *_ in to_send], [writes for _, writes, *_ in to_send])
        stage_key = self._catalogue.stage_key if self._compares else None
        for (update, writes, one, claim), made in zip(to_send, calls, strict=True):
            job = Job(one, claim, update=update, writes=writes, calls=made)
            yield self._checked(job) if stage_key in claim.fields else job

    def _part(self, writes: Writes, claim: Claim) -> Writes:
        """Return the values to send: those that were claimed, and others that have to go along with them.

        These are the other keys of a field, and the date of a win. Newer data keeps out both.
        """
        names = writes.names
        keys = with_date_key(claim.fields, names, self._vendor, self._catalogue)
        companions = {other for key in keys for other in self._catalogue.fields[names[key]].also_writes}
        return writes.only((keys | companions) - claim.stale)

    def _checked(self, job: Job) -> Outcome | Job:
        """Refuse a win whose date is open."""
        update = job.update
        try:
            check_won_date(update, self._vendor, self._catalogue, self._rules, self._clock.now())
        except InvalidValueError as err:
            outcome = invalid(update, err, self._catalogue.fields)
            self._ledger.settle([RowResult(job, outcome, cause=err)])
            return outcome
        return job


def _grouped(rows: list[PreparedRow], key: str) -> list[PreparedRow]:
    """Return rows with the same value of a key side by side; the rows of a record keep their order."""
    if not all(key in writes.names for _, writes in rows):
        return rows
    groups: dict[str, list[PreparedRow]] = {}
    of_record: dict[str, list[PreparedRow]] = {}
    for row in rows:
        update, writes = row
        group = of_record.get(update.record_id)
        if group is None:
            group = of_record[update.record_id] = groups.setdefault(writes.texts[key], [])
        group.append(row)
    return [row for group in groups.values() for row in group]


def _is_outdated(update: Update, claim: Claim) -> bool:
    """Return whether newer data keeps out all of an approved change."""
    return claim.verdict is Verdict.STALE and outdated_approval(update, claim) is not None
