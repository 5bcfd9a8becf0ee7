"""Keep the rows that are on their way, in the calls that threads are sending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.push.concurrency import CallTiming, Concurrency
from airflow_provider_crm.push.workers import Workers

if TYPE_CHECKING:
    from airflow_provider_crm.client.waiting import Waiting
    from airflow_provider_crm.push.prepare import Batch, Job, RowResult

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
