"""Put the rows of a run together that may share a call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_crm.client.shared_calls import batch_rows

if TYPE_CHECKING:
    from airflow_provider_crm.push.prepare import Batch, Job
    from airflow_provider_crm.vendors.calls import BatchCall, Call, WriteCall


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
        calls = list(_fitting(batch, jobs))
        left = calls.pop() if len(calls) > 1 else ()
        jobs[:] = left
        self._open_records.difference_update([job.update.record_id for sent in calls for job in sent])
        return calls


def sharing(jobs: Sequence[Job]) -> list[Batch]:
    """Return the calls of rows that were to share one, before the values that are in place were left out."""
    batches = Batches(first_alone=False)
    return [*(call for job in jobs for call in batches.add(job)), *batches.rest()]


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
