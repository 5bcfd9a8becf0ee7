"""The rows that threads are writing at the moment, and how they end with the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from airflow_provider_crm.push.concurrency import Concurrency, RowTiming
from airflow_provider_crm.push.workers import Workers

if TYPE_CHECKING:
    from airflow_provider_crm.client.waiting import Waiting
    from airflow_provider_crm.push.write import Job, MaySend, RowResult


class InFlight:
    """The rows that threads are writing, or that have ended and are not on record yet.

    There are never more of them than `largest`, so that no more are sent again after a crash. An ended row stays here
    until it is `recorded`: a signal may raise between any two steps of the main thread, and loses no row.

    Args:
        write: Writes one row; its last argument is called before each attempt.
        largest: Rows at most.
        waiting: Time, and how long the threads wait for the rate limit.
    """

    def __init__(self, write: Callable[[Job, MaySend], RowResult], largest: int, waiting: Waiting) -> None:
        self._write = write
        self._largest = largest
        self._waiting = waiting
        self._concurrency = Concurrency(largest)
        self._jobs: dict[str, Job] = {}
        self._begun: set[str] = set()
        self._sent: set[str] = set()
        self._ended: dict[str, RowResult] = {}
        self._ending = False
        self._changed = threading.Condition()
        self._workers: Workers[Job, tuple[RowResult, RowTiming]] = Workers(self._timed, "crm-push")

    def __len__(self) -> int:
        return len(self._jobs)

    def accepts(self, record_id: str) -> bool:
        """Return whether a row may come now: there is room, and none of the same record is here."""
        return len(self._jobs) < self._largest and record_id not in self._jobs

    def add(self, job: Job) -> None:
        """Queue a row to be written."""
        self._jobs[job.update.record_id] = job
        self._workers.add(job)

    def ended(self) -> list[RowResult]:
        """Return all rows that have ended, waiting for the first; they stay here until they are `recorded`."""
        batch = self._workers.ended()
        for _, timing in batch:
            self._concurrency.ended(timing)
        self._workers.resize(self._concurrency.size)
        return [result for result, _ in batch]

    def recorded(self, batch: Iterable[RowResult]) -> None:
        """Make room for other rows."""
        with self._changed:
            for record_id in [result.row.record_id for result in batch]:
                self._ended.pop(record_id, None)
                self._jobs.pop(record_id, None)
                self._begun.discard(record_id)
                self._sent.discard(record_id)

    def _may_send(self, job: Job) -> bool:
        """Note that a call of a row is sent now; False if none may be sent any more."""
        with self._changed:
            if not self._ending:
                self._sent.add(job.update.record_id)
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

    def _timed(self, job: Job) -> tuple[RowResult, RowTiming]:
        record_id = job.update.record_id
        with self._changed:
            self._begun.add(record_id)
        monotonic, limit_seconds = self._waiting.clock.monotonic, self._waiting.limit_seconds
        began, waited = monotonic(), limit_seconds()
        result = self._write(job, self._may_send)
        now = monotonic()
        with self._changed:
            self._ended[record_id] = result
            self._changed.notify_all()
        return result, RowTiming(now, now - began, limit_seconds() - waited)
