"""Write a run's rows and yield one outcome per row: what is read, sent, recorded and reported when."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.exceptions import CrmError, NotReachedError, TransientError
from airflow_provider_crm.push.batch_writer import BatchWriter
from airflow_provider_crm.push.canary import Canary
from airflow_provider_crm.push.claiming import Pause, RowClaimer
from airflow_provider_crm.push.ended_uploads import EndedUploads
from airflow_provider_crm.push.in_flight import Batches, InFlight
from airflow_provider_crm.push.outage import OutageWatch
from airflow_provider_crm.push.prepare import Job, RowPreparer
from airflow_provider_crm.push.run_ledger import RunLedger
from airflow_provider_crm.push.stops import Stops
from airflow_provider_crm.push.uploads import LONGEST_BUSY, RowUpload, others_upload
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.in_flight import MaySend
    from airflow_provider_crm.push.prepare import Batch, RowResult
    from airflow_provider_crm.push.rules import Inspect, PushRules
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
        uploads: What became of the uploads of earlier segments and tries.

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
        uploads: EndedUploads | None = None,
    ) -> None:
        self.unreported: list[Outcome] = []
        self.catalogue = catalogue
        self._session = session
        self._stops = stops = Stops(session.retry.defer_after)
        self._outages = OutageWatch(session, probing=probing)
        changes_only = rules.changes_only and inspect is None  # an inspection reads every record
        self._ledger = RunLedger(ledger, rules, stops, changes_only=changes_only)
        self._preparer = RowPreparer(
            session.account.vendor, session.clock, catalogue, rules, stops, checks_won_date=ledger is None
        )
        self._claimer = RowClaimer(
            session, catalogue, rules, self._preparer, self._ledger, stops, compares=ledger is not None
        )
        writer = partial(
            BatchWriter,
            session=session,
            catalogue=catalogue,
            renewer=self._ledger.renewer,
            inspect=inspect,
            outages=self._outages,
            stops=stops,
            resumed=rules.resumed and ledger is None,
            keeps_names=ledger is not None and ledger.keeps_names,
        )
        self._canary = Canary(rules.canary_rows, session, None if ledger is None else ledger.run_key)
        # What such a row had before is read, too, so that it can be taken back.
        of_canary = replace(rules, verify_echo=True, capture_before=rules.capture_before or ledger is not None)
        self._canary_writer, self._writer = writer(rules=of_canary, reads_back=True), writer(rules=rules)
        uploads = uploads or EndedUploads()
        # The ledger's hashes cannot be compared with a record.
        may_upload = changes_only and ledger is not None and not ledger.hashes.fields and rules.may_upload
        self._upload_after = (0 if uploads.any_sent else rules.upload_after) if may_upload else None
        self._not_uploaded = uploads.not_written
        self._upload: RowUpload | None = None
        self._batches = Batches()
        self._in_flight = InFlight(self._write, rules.concurrency, session.waiting)
        self._recorded: deque[RowResult] = deque()

    @property
    def stopped(self) -> CrmError | None:
        """The reason why the run ends before its last row, or None; the first reason stands."""
        return self._stops.reason

    @property
    def wait(self) -> float | None:
        """Seconds that the vendor asks to wait, too long to occupy a worker slot; None if it asks for no wait.

        As long as the canary is not decided, it is not known whether a wait makes sense.
        """
        stopped = self.stopped
        if self._canary.is_undecided or not isinstance(stopped, TransientError):
            return None
        return stopped.retry_after

    def run(self, rows: Iterable[Update | Outcome]) -> Generator[Outcome, None, None]:
        """Write every update; pass on the outcomes that are already known.

        The first row goes alone, so that a key without rights is noticed before the second one is sent. Two rows of
        one record are never in flight together, so that the later one lands later.

        Args:
            rows: Updates and outcomes, in the order of the source; read as they are needed.

        Yields:
            Exactly one outcome for each row, in the order in which they become known.
        """
        try:
            for item in self._claimer.jobs(iter(rows)):
                if isinstance(item, Job):
                    yield from self._taken(item)
                elif isinstance(item, Outcome):
                    yield item
                elif isinstance(item, Pause):
                    yield from self._paused(item)
                else:
                    yield from self._queued(self._batches.rest())
            yield from self._uploaded()
            yield from self._decided()
        except BaseException as err:
            self._end_early(err)
            raise
        self._in_flight.close()

    def rehearse(self, rows: Iterable[Update | Outcome]) -> Iterator[tuple[Outcome, tuple[Call, ...]]]:
        """Check every row and make its calls, and send none; see `RowPreparer.rehearse`."""
        return self._preparer.rehearse(rows)

    def close(self, report: Mapping[str, Any], *, deferred: bool = False) -> Mapping[str, Any] | None:
        """Store the report of the run in the ledger; a database that fails now stops the run, too.

        Args:
            report: What became of the rows.
            deferred: Whether the run goes on later.

        Returns:
            The report of the run with all its tries; None where no ledger has it.
        """
        return self._ledger.close(report, deferred=deferred)

    def _write(self, jobs: Batch, may_send: MaySend) -> tuple[list[RowResult], list[Batch]]:
        """Send one call, in any thread; no row of the canary is on its way together with others."""
        writer = self._canary_writer if self._canary.is_open else self._writer
        return writer.write(jobs, may_send)

    def _decided(self) -> Iterator[Outcome]:
        """Put all rows on record that have come, and decide about the canary if it is open."""
        yield from self._queued(self._batches.rest())
        while len(self._in_flight):
            yield from self._ended()
        if (reason := self._canary.decide(self._stops.reason)) is not None:
            self._stops.outrank(reason)

    def _taken(self, job: Job) -> Iterator[Outcome]:
        """Put a row into a call, or into the file of rows that are uploaded."""
        if self._canary.is_open:
            yield from self._queued(self._batches.add(job))
            if self._canary.add():
                yield from self._decided()
            return
        upload = self._upload_for(job)
        if upload is not None and upload.takes(job):
            yield from self._by_calls(upload.add(job))
        elif batches := self._batches.add(job):
            yield from self._queued(batches)

    def _upload_for(self, job: Job) -> RowUpload | None:
        """Return what uploads rows; None if this one cannot be uploaded."""
        route = job.calls[0].route
        if self._upload_after is None or route is None or route.upload is None:
            return None
        if self._upload is None:
            self._upload = RowUpload(
                self._session, self._ledger, self._stops, after=self._upload_after, by_calls=self._not_uploaded
            )
        return self._upload

    def _by_calls(self, items: Iterable[Job | Outcome]) -> Iterator[Outcome]:
        """Yield outcomes; put rows that are not uploaded after all into calls."""
        for item in items:
            if isinstance(item, Outcome):
                yield item
            elif batches := self._batches.add(item):
                yield from self._queued(batches)

    def _uploaded(self) -> Iterator[Outcome]:
        """Send the file of rows that are uploaded, as no further ones come."""
        if self._upload is not None:
            yield from self._by_calls(self._upload.end())
            yield from self._queued(self._batches.rest())

    def _paused(self, pause: Pause) -> Iterator[Outcome]:
        """Let some time pass; first put rows of this run on record, as they may be the ones in the way.

        Where another run's upload is in the way, this run ends until that may have ended.
        """
        yield from self._uploaded()
        if len(self._in_flight):
            yield from self._ended()
        elif pause.busy_seconds > LONGEST_BUSY:
            self._stops.add(others_upload(self._session))
        else:
            self._session.clock.sleep(pause.seconds)

    def _queued(self, batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Queue calls; where there is no room, or a record is on its way, yield the rows that end by then."""
        for batch in batches:
            while not self._in_flight.accepts(batch):
                yield from self._ended()
            self._in_flight.add(batch)

    def _ended(self) -> Iterator[Outcome]:
        """Put the rows on record that have ended, waiting for the first."""
        calls = self._in_flight.ended()
        results = [result for call in calls for result in call]
        self._settle(results)
        self._in_flight.recorded(calls)
        self._recorded.extend(results)
        for call in calls:
            self._count(call)
            if self._canary.is_open:
                self._canary.count(call)
            for _ in call:
                yield self._recorded.popleft().outcome

    def _settle(self, results: Iterable[RowResult], *, once_more: bool = False) -> None:
        """Record results in the ledger.

        Once its database has failed, rows that were not sent are left to their leases instead of waiting for it again.
        """
        ended = [result for result in results if result.cause is None or not result.keeps_claim]
        self._ledger.settle(ended, once_more=once_more)

    def _count(self, call: Sequence[RowResult]) -> None:
        """Stop the run if the vendor is down."""
        if self._stops.reason is None:
            ends = [(result.outcome.word, result.cause) for result in call]
            outage = self._outages.add(ends, call[-1].outcome.reason if call else "")
            if outage is not None:
                self._stops.add(outage)

    def _end_early(self, err: BaseException) -> None:
        """Leave ledger and CRM consistent when the run is ended by a signal, or by the code that reads its outcomes.

        Claims of rows that were not sent are given back at once. Rows that were sent are waited for: Airflow kills a
        task five seconds after SIGTERM. A row without an answer keeps its claim until its lease runs out, as it may
        land as long as that.
        """
        self._stops.add(NotReachedError("The run was ended before this row was sent."))
        sent = self._in_flight.end()
        if self._upload is not None:
            self._upload.give_up()
            sent |= self._upload.sent
        self._ledger.release(sent)
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
