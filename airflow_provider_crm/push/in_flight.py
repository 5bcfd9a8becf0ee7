"""Put the rows of a run together that may share a call, and keep the calls that are on their way."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from airflow_provider_crm.client.shared_calls import batch_rows
from airflow_provider_crm.push.concurrency import CallTiming, Concurrency
from airflow_provider_crm.push.workers import Workers

if TYPE_CHECKING:
    from airflow_provider_crm.client.waiting import Waiting
    from airflow_provider_crm.push.prepare import Batch, Job, RowResult
    from airflow_provider_crm.vendors.calls import BatchCall, Call, WriteCall

MaySend: TypeAlias = "Callable[[Batch], bool]"
"""Notes that a call of these rows is sent now; False if none may be sent any more."""
Write: TypeAlias = "Callable[[Batch, MaySend], tuple[list[RowResult], list[Batch]]]"
"""Sends the call of some rows. Returns the results of rows that have ended, and the calls that send the others."""


class InFlight:
    """The rows that threads are writing, or that have ended and are not on record yet.

    The threads never send more than `largest` calls at once, and no row comes while there are so many, so that no more
    rows are sent again after a crash than so many calls take. An ended row stays here until it is `recorded`: a signal
    may raise between any two steps of the main thread, and loses no row.

    Args:
        write: Sends the call of some rows; its last argument is called before each attempt.
        largest: Calls at most.
        waiting: Time, and how long the threads wait for the rate limit.
    """

    def __init__(self, write: Write, largest: int, waiting: Waiting) -> None:
        self._write = write
        self._largest = largest
        self._waiting = waiting
        self._concurrency = Concurrency(largest)
        self._jobs: dict[str, Job] = {}
        self._begun: set[str] = set()
        self._sent: set[str] = set()
        self._ended: dict[str, RowResult] = {}
        self._calls = 0
        self._ending = False
        self._changed = threading.Condition()
        self._workers: Workers[tuple[list[RowResult], CallTiming]] = Workers("crm-push")

    def __len__(self) -> int:
        return len(self._jobs)

    def accepts(self, jobs: Batch) -> bool:
        """Return whether a call may come now: there is room, and none of its records is here."""
        return self._calls < self._largest and self._jobs.keys().isdisjoint([job.update.record_id for job in jobs])

    def add(self, jobs: Batch) -> None:
        """Queue the call of some rows."""
        for job in jobs:
            self._jobs[job.update.record_id] = job
        with self._changed:
            self._calls += 1
        self._workers.add(partial(self._timed, jobs))

    def ended(self) -> list[list[RowResult]]:
        """Return the rows that have ended, call by call, waiting for the first; they stay here until `recorded`."""
        batch = self._workers.ended()
        for _, timing in batch:
            self._concurrency.ended(timing)
        self._workers.resize(self._concurrency.size)
        return [results for results, _ in batch]

    def recorded(self, calls: Sequence[Iterable[RowResult]]) -> None:
        """Make room for other rows."""
        with self._changed:
            self._calls -= len(calls)
            recorded = [result.row.desired.record_id for results in calls for result in results]
            for record_id in recorded:
                self._ended.pop(record_id, None)
                self._jobs.pop(record_id, None)
            self._begun.difference_update(recorded)
            self._sent.difference_update(recorded)

    def _may_send(self, jobs: Batch) -> bool:
        """Note that a call of these rows is sent now; False if none may be sent any more."""
        with self._changed:
            if not self._ending:
                self._sent.update([job.update.record_id for job in jobs])
            return not self._ending

    def end(self) -> frozenset[str]:
        """Allow no further call; return the records of the rows that were sent, or ended without being sent."""
        with self._changed:
            self._ending = True
            return frozenset(self._sent | self._ended.keys())

    def wait(self, seconds: float) -> tuple[list[RowResult], list[Job]]:
        """Wait for the calls that are on their way, after `end`.

        Args:
            seconds: At most; real ones, as no clock of a test can hurry an answer.

        Returns:
            The rows that have ended and are not on record, and the rows that were sent and have no answer yet.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._sent <= self._ended.keys(), timeout=seconds)
            unanswered = [self._jobs[record_id] for record_id in sorted(self._sent - self._ended.keys())]
            ended, idle = list(self._ended.values()), self._begun <= self._ended.keys()
        self._workers.close(wait=idle)  # a thread that waits for the budget finds out later that it may send nothing
        return ended, unanswered

    def close(self) -> None:
        """End the threads of a run of which all rows are on record."""
        self._workers.close()

    def _timed(self, jobs: Batch) -> tuple[list[RowResult], CallTiming]:
        with self._changed:
            self._begun.update([job.update.record_id for job in jobs])
        monotonic, limit_seconds = self._waiting.clock.monotonic, self._waiting.limit_seconds
        began, waited = monotonic(), limit_seconds()
        results, again = self._write(jobs, self._may_send)
        now = monotonic()
        with self._changed:
            if self._ending:  # no call is allowed any more, so that this ends the rows
                results += [result for rest in again for result in self._write(rest, self._may_send)[0]]
            else:
                self._send_again(again)
            self._ended.update({result.row.desired.record_id: result for result in results})
            self._changed.notify_all()
        return results, CallTiming(now, now - began, limit_seconds() - waited, len(jobs))

    def _send_again(self, again: Iterable[Batch]) -> None:
        """Queue calls of rows that are here already. Those that are known not to be written are not on their way."""
        for jobs in again:
            self._calls += 1
            for job in jobs:
                self._begun.discard(job.update.record_id)
                if not job.maybe_written:
                    self._sent.discard(job.update.record_id)
            self._workers.add(partial(self._timed, jobs))


def batch_of(routes: Sequence[WriteCall | None]) -> BatchCall | None:
    """Return how rows that are written by these calls share a call; None if each goes alone."""
    if len(routes) != 1 or (route := routes[0]) is None or not route.replayable:
        return None
    return route.batch


def shared_batch(calls: Sequence[Call]) -> BatchCall | None:
    """Return how a row with these calls shares a call with others; None if it goes alone."""
    return batch_of((calls[0].route,)) if len(calls) == 1 else None


_LONGEST_CHARACTER = 6  # of an id in JSON: \u1234


class _Open(NamedTuple):
    """A call that takes more rows, and its rows so far."""

    batch: BatchCall
    jobs: list[Job]


class Batches:
    """Puts rows together, in their order, until a call is full or `rest` asks for what there is.

    The first row goes alone, so that a key without rights is noticed before the second one is sent. A row with several
    calls, or with one that may not be sent twice, goes alone, too. Of one record there is never more than one row in
    the calls that are open; others are held until these are sent.

    Args:
        first_alone: Whether the first row goes alone.
    """

    def __init__(self, *, first_alone: bool = True) -> None:
        self._alone = first_alone
        self._route: WriteCall | None = None
        self._batch: BatchCall | None = None
        self._open: list[_Open] = []
        self._open_records: set[str] = set()
        self._held: list[Job] = []
        self._held_records: set[str] = set()

    def add(self, job: Job) -> Sequence[Batch]:
        """Return the calls that can be sent now that this row has come."""
        record_id = job.update.record_id
        if record_id in self._open_records or record_id in self._held_records:
            self._held.append(job)
            self._held_records.add(record_id)
            return ()
        calls = job.calls
        if len(calls) != 1 or calls[0].route is not self._route:  # rows that are encoded together have the very same
            self._route, self._batch = calls[0].route, shared_batch(calls)
        batch = self._batch
        if batch is None or self._alone:
            self._alone = False
            return ((job,),)
        _, jobs = self._opened(batch)
        jobs.append(job)
        self._open_records.add(record_id)
        return self._full(batch, jobs) if len(jobs) >= batch.largest else ()

    def rest(self) -> Iterator[Batch]:
        """Return the calls of all rows that have come, in an order that keeps the rows of each record in theirs."""
        while self._open or self._held:
            opened, self._open = self._open, []
            self._open_records.clear()
            for batch, jobs in opened:
                if jobs:
                    yield from _fitting(batch, jobs)
            held, self._held = self._held, []
            self._held_records.clear()
            for job in held:
                yield from self.add(job)

    def _opened(self, batch: BatchCall) -> _Open:
        for one in self._open:
            if one.batch is batch or one.batch == batch:
                return one
        self._open.append(_Open(batch, []))
        return self._open[-1]

    def _full(self, batch: BatchCall, jobs: list[Job]) -> Sequence[Batch]:
        """Return the calls of as many rows as fill them; rows that are too few for another one stay."""
        complete = _complete(batch, jobs)
        calls = list(_fitting(batch, jobs[:complete]))
        left = calls.pop() if len(calls) > 1 else ()
        jobs[:] = [*left, *jobs[complete:]]
        self._open_records.difference_update([job.update.record_id for sent in calls for job in sent])
        return calls


def sharing(jobs: Sequence[Job]) -> list[Batch]:
    """Return the calls of rows that were to share one, before the values that are in place were left out."""
    batches = Batches(first_alone=False)
    return [*(call for job in jobs for call in batches.add(job)), *batches.rest()]


def _complete(batch: BatchCall, jobs: Sequence[Job]) -> int:
    """Return how many of the first rows may go: the last ones wait for others that belong into their call."""
    key = batch.together
    if key is None or key not in jobs[-1].writes.names:
        return len(jobs)
    value, complete = jobs[-1].writes.texts[key], len(jobs) - 1
    while complete and jobs[complete - 1].writes.texts.get(key) == value:
        complete -= 1
    return complete or len(jobs)


def _fitting(batch: BatchCall, jobs: Sequence[Job]) -> Iterator[Batch]:
    """Cut rows into calls of which none is too large; a row that is too large by itself goes alone."""
    largest = batch.largest_bytes
    while largest is not None and len(jobs) > 1 and _most(batch, jobs) > largest and _size(batch, jobs) > largest:
        sizes = range(1, len(jobs))
        fitting = max(1, bisect_right(sizes, largest, key=lambda count: _size(batch, jobs[:count])))
        yield tuple(jobs[:fitting])
        jobs = jobs[fitting:]
    yield tuple(jobs)


def _most(batch: BatchCall, jobs: Sequence[Job]) -> int:
    """Return a size that a call does not exceed: that of as many calls for the longest row alone.

    To put a call together only to measure it takes as long as to put it together for being sent.
    """
    lengths = [len(job.calls[0].body or "") + _LONGEST_CHARACTER * len(job.update.record_id) for job in jobs]
    longest = jobs[lengths.index(max(lengths))]
    varying = _LONGEST_CHARACTER * len(longest.update.record_id) + len(str(len(jobs)))  # how ids and traces are written
    return len(jobs) * (_size(batch, [longest]) + varying)


def _size(batch: BatchCall, jobs: Sequence[Job]) -> int:
    rows = batch_rows([job.calls[0] for job in jobs], [job.update.record_id for job in jobs])
    return len(batch.join(rows).encode())
