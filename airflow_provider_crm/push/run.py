"""Write a run's rows and yield one outcome per row: batching, claims, concurrency, and what stops a run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import CrmError, NotReachedError, TransientError
from airflow_provider_crm.push.claiming import Pause, RowClaimer, RunLedger
from airflow_provider_crm.push.concurrency import Concurrency, RowTiming
from airflow_provider_crm.push.outage import OutageWatch
from airflow_provider_crm.push.prepare import RowPreparer
from airflow_provider_crm.push.stops import Stops
from airflow_provider_crm.push.workers import Workers
from airflow_provider_crm.push.write import RowWriter
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.client.waiting import Waiting
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.prepare import Job, RowResult
    from airflow_provider_crm.push.rules import Inspect, PushRules
    from airflow_provider_crm.push.write import MaySend
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue

_NO_ANSWER = "It was sent, and the task was ended before the answer came."
_PATIENCE = 3.0


class Push:
    """Writes the rows of one run.

    A run that ends before its last row has a reason in `stopped`. It is a `ConfigurationError` that no row survives, or
    a `TransientError`: an outage, a ledger that cannot be used, or a wait that is too long for a worker slot.

    Args:
        session: The account to write to.
        catalogue: What the account offers.
        rules: How rows are written.
        ledger: What the CRM has acknowledged so far; None writes every row, in whatever order runs come.
        inspect: If given, every record is read right before it is written. Values that it shows already are not
            sent, and this function decides about the rest, whatever the ledger says.
        probing: Whether the vendor was down a while ago: then one row that fails, and one more call, show that it
            still is.

    Attributes:
        unreported: After a run that was ended from outside: outcomes of rows that were on their way, which `run` did
            not yield.
    """

    def __init__(
        self,
        session: Session,
        catalogue: Catalogue,
        rules: PushRules,
        ledger: Ledger | None = None,
        inspect: Inspect | None = None,
        *,
        probing: bool = False,
    ) -> None:
        self.unreported: list[Outcome] = []
        self.catalogue = catalogue
        self._session = session
        self._stops = stops = Stops(session.retry.defer_after)
        self._outages = OutageWatch(session, probing=probing)
        changes_only = rules.changes_only and inspect is None  # an inspection reads every record
        self._ledger = RunLedger(ledger, rules, stops, changes_only=changes_only)
        self._preparer = RowPreparer(session, catalogue, rules, stops, checks_won_date=ledger is None)
        self._claimer = RowClaimer(
            session, catalogue, rules, self._preparer, self._ledger, stops, compares=ledger is not None
        )
        resumed = rules.resumed and ledger is None
        writer = RowWriter(
            session, catalogue, rules, self._ledger.renewer, inspect, self._outages, stops, resumed=resumed
        )
        self._in_flight = InFlight(writer.write, rules.concurrency, session.waiting)
        self._recorded: deque[RowResult] = deque()

    @property
    def stopped(self) -> CrmError | None:
        """The reason why the run ends before its last row, or None; the first reason stands."""
        return self._stops.reason

    @property
    def wait(self) -> float | None:
        """Seconds that the vendor asks to wait, too long to occupy a worker slot; None if it asks for no wait."""
        stopped = self.stopped
        return stopped.retry_after if isinstance(stopped, TransientError) else None

    def run(self, rows: Iterable[Update | Outcome]) -> Iterator[Outcome]:
        """Write every update; pass on the outcomes that are already known.

        The first row goes alone, so that a key without rights is noticed before the second one is sent. Two rows of
        one record are never in flight together, so that the later one lands later.

        Args:
            rows: Updates and outcomes, in the order of the source; read as they are needed.

        Yields:
            Exactly one outcome for each row, in the order in which they become known.
        """
        in_flight = self._in_flight
        try:
            for item in self._claimer.jobs(iter(rows)):
                if isinstance(item, Outcome):
                    yield item
                elif isinstance(item, Pause):
                    yield from self._paused(item)
                else:
                    while not in_flight.accepts(item.update.record_id):
                        yield from self._ended()
                    in_flight.add(item)
            while len(in_flight):
                yield from self._ended()
        except BaseException as err:
            self._end_early(err)
            raise
        in_flight.close()

    def rehearse(self, rows: Iterable[Update | Outcome]) -> Iterator[tuple[Outcome, tuple[Call, ...]]]:
        """Check every row and make its calls, and send none; see `RowPreparer.rehearse`."""
        return self._preparer.rehearse(rows)

    def close(self, report: Mapping[str, Any], *, deferred: bool = False) -> None:
        """Store the report of the run in the ledger; a database that fails now stops the run, too.

        Args:
            report: What became of the rows.
            deferred: Whether the run goes on later.
        """
        self._ledger.close(report, deferred=deferred)

    def _paused(self, pause: Pause) -> Iterator[Outcome]:
        """Let some time pass; first put rows of this run on record, as they may be the ones in the way."""
        if len(self._in_flight):
            yield from self._ended()
        else:
            self._session.clock.sleep(pause.seconds)

    def _ended(self) -> Iterator[Outcome]:
        """Put the rows on record that have ended, waiting for the first."""
        results = self._in_flight.ended()
        self._settle(results)
        self._in_flight.recorded(results)
        self._recorded.extend(results)
        while self._recorded:
            yield self._counted(self._recorded.popleft())

    def _settle(self, results: Iterable[RowResult], *, once_more: bool = False) -> None:
        """Record results in the ledger.

        Once its database has failed, rows that were not sent are left to their leases instead of waiting for it again.
        """
        self._ledger.settle([result for result in results if not result.keeps_claim], once_more=once_more)

    def _counted(self, result: RowResult) -> Outcome:
        """Stop the run if the vendor is down."""
        outcome = result.outcome
        if self._stops.reason is None:
            outage = self._outages.add(outcome.word, result.cause, outcome.reason)
            if outage is not None:
                self._stops.add(outage)
        return outcome

    def _end_early(self, err: BaseException) -> None:
        """Leave ledger and CRM consistent when the run is ended by a signal, or by the code that reads its outcomes.

        Claims of rows that were not sent are given back at once. Rows that were sent are waited for: Airflow kills a
        task five seconds after SIGTERM. A row without an answer keeps its claim until its lease runs out, as it may
        land as long as that.
        """
        self._stops.add(NotReachedError("The run was ended before this row was sent."))
        self._ledger.release(self._in_flight.end())
        calls = 2 * self._session.account.timeout  # connecting and answering may take that long each
        results, unanswered = self._in_flight.wait(calls if isinstance(err, Exception) else _PATIENCE)
        self._settle(results, once_more=True)
        landed = (one.outcome for one in results if one.outcome.word is not OutcomeWord.NOT_SENT or one.outcome.applied)
        recorded = (result.outcome for result in self._recorded)
        self.unreported = [*recorded, *landed, *map(_unanswered, unanswered)]


def _unanswered(job: Job) -> Outcome:
    """Return the outcome of a row that was sent, and whose answer the run did not wait for."""
    code = NotReachedError.default_code
    return Outcome(job.update.row, job.update.record_id, OutcomeWord.UNKNOWN, code, _NO_ANSWER)


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
        self._workers: Workers[tuple[RowResult, RowTiming]] = Workers("crm-push")

    def __len__(self) -> int:
        return len(self._jobs)

    def accepts(self, record_id: str) -> bool:
        """Return whether a row may come now: there is room, and none of the same record is here."""
        return len(self._jobs) < self._largest and record_id not in self._jobs

    def add(self, job: Job) -> None:
        """Queue a row to be written."""
        self._jobs[job.update.record_id] = job
        self._workers.add(partial(self._timed, job))

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
