"""Updates in, outcomes out: the loop that writes rows, with its threads, its half-applied rows and its stops."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    InvalidValueError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
    UnknownFieldError,
)
from airflow_provider_crm.opportunity import Outcome, OutcomeWord, Update, local_date
from airflow_provider_crm.session import LARGEST_POOL, check_echo

if TYPE_CHECKING:
    from airflow_provider_crm.session import Session
    from airflow_provider_crm.vendors import Call, Catalogue, Record, Vendor

log = logging.getLogger(__name__)

DATE_WON_DEFAULTS = ("server", "as_of")
_LATE = dt.timedelta(days=1)
_INSTANT = dt.timedelta(microseconds=1)
_FORBIDDEN = 403
_OUTAGE_ROWS = 5


@dataclass(frozen=True, slots=True)
class PushRules:
    """How rows are written.

    Attributes:
        timezone: IANA zone of the run, or None when nobody named one (then the offset header says UTC).
        verify_echo: Whether the record that comes back is compared with what was sent.
        concurrency: Rows in flight at once, at most.
        date_won_default: What a won stage without a date means in a late run: "server" lets the vendor set its today,
            "as_of" sends the date of the row's data, None refuses the row.
        resumed: Whether an earlier try of this run may have written some rows already: what may not be written twice
            is then read first.
        interval_end: End of the run's data interval. As an `as_of` it is the first moment that is no longer part of the
            data, so the date of the data is the one before it.
    """

    timezone: str | None = None
    verify_echo: bool = True
    concurrency: int = 8
    date_won_default: str | None = None
    resumed: bool = False
    interval_end: dt.datetime | None = None

    def __post_init__(self) -> None:
        """Check the words and numbers.

        Raises:
            ConfigurationError: Saying what to write instead.
        """
        if self.date_won_default not in (None, *DATE_WON_DEFAULTS):
            msg = f"date_won_default is {self.date_won_default!r}; write 'server' or 'as_of', or leave it out."
            raise ConfigurationError(msg)
        if type(self.concurrency) is not int or not 1 <= self.concurrency <= LARGEST_POOL:
            msg = f"concurrency is {self.concurrency!r}; write a whole number from 1 to {LARGEST_POOL}."
            raise ConfigurationError(msg)

    def day_of(self, as_of: dt.datetime) -> dt.date:
        """The date of the data, in the run's zone."""
        last = as_of - _INSTANT if as_of == self.interval_end else as_of
        return local_date(last, self.timezone or "UTC")


def check_fields(fields: Mapping[str, str], vendor: Vendor, catalogue: Catalogue) -> None:
    """Refuse a mapping that names unknown fields, or one field twice.

    Args:
        fields: Field name by column.
        vendor: The adapter, for the message.
        catalogue: What the account offers.

    Raises:
        UnknownFieldError: Naming every unknown field and what may be written.
        ConfigurationError: Naming the columns that would overwrite each other.
    """
    unknown = [vendor.unknown_field(name, catalogue) for name in fields.values() if name not in catalogue.fields]
    if unknown:
        raise UnknownFieldError("; ".join(unknown) + ".", vendor=vendor.name, code="UNKNOWN_FIELD")
    columns: dict[str, str] = {}
    for column, name in fields.items():
        target = catalogue.fields[name].target
        if target in columns:
            msg = (
                f"columns {columns[target]!r} and {column!r} both write {vendor.title}'s {target!r}; keep one of them."
            )
            raise ConfigurationError(msg, vendor=vendor.name)
        columns[target] = column


def prepare(
    update: Update, vendor: Vendor, catalogue: Catalogue, rules: PushRules, now: dt.datetime
) -> tuple[Call, ...]:
    """The calls that one update needs, after the rule for won dates.

    A stage that wins a deal lets the vendor set today's date. A run whose data is more than a day old would so write
    the wrong date; it must say which one it means.

    Raises:
        InvalidValueError: If a value cannot be written to this account, or the date of the win is open.
    """
    if vendor.wins_without_date(update, catalogue):
        if rules.date_won_default == "as_of" and update.as_of is not None:
            update = vendor.dated(update, rules.day_of(update.as_of))
        elif rules.date_won_default is None and update.as_of is not None and now - update.as_of > _LATE:
            msg = (
                f"the stage wins the deal without a date, and the data is from {rules.day_of(update.as_of)}: "
                f"{vendor.title} would set today's date. {vendor.late_win_advice}"
            )
            raise InvalidValueError(msg, vendor=vendor.name, code="DATE_WON", record_id=update.record_id)
    return vendor.calls(update, catalogue)


def write_update(session: Session, calls: tuple[Call, ...], record_id: str, rules: PushRules) -> Record:
    """Send the calls of one row, in order.

    Returns:
        The vendor's record: what all answers show, later ones on top.

    Raises:
        CrmError: A call failed; `applied` names the fields that earlier calls of the row have written.
    """
    vendor = session.account.vendor
    seen: Record | None = None
    if rules.resumed and any(not call.replayable for call in calls):
        seen = _read_if_allowed(session, record_id)
    merged: Record = {}
    applied: list[str] = []
    for call in calls:
        if seen is not None and vendor.applied(call, seen):
            merged |= seen
        else:
            try:
                record = session.write(call, record_id, timezone=rules.timezone)
                if rules.verify_echo:
                    check_echo(vendor, call, record, record_id)
            except CrmError as err:
                err.applied = tuple(applied)
                raise
            merged |= record
        applied += call.fields
    return merged


def _read_if_allowed(session: Session, record_id: str) -> Record | None:
    """The record before a resumed row is written; None if this key may not read."""
    try:
        return session.read(record_id)
    except (ConfigurationError, RejectedError) as err:
        log.warning("Row %s is written again, as it could not be read first: %s", record_id, err)
        return None


class Push:
    """Writes the rows of one run.

    Args:
        session: Where to.
        catalogue: What the account offers.
        rules: How.

    Attributes:
        stopped: Why the run ended before its last row, or None: a `ConfigurationError` that no row survives, or a
            `TransientError` for an outage or a wait longer than a worker slot should be held.
    """

    def __init__(self, session: Session, catalogue: Catalogue, rules: PushRules) -> None:
        self.stopped: CrmError | None = None
        self._session = session
        self._vendor = session.account.vendor
        self.catalogue = catalogue
        self._rules = rules
        self._failed_in_a_row = 0
        self._landed = False

    @property
    def wait(self) -> float | None:
        """Seconds that the vendor asks to wait, longer than a worker slot should be held; None if it asks nothing."""
        return self.stopped.retry_after if isinstance(self.stopped, TransientError) else None

    def run(self, rows: Iterable[Update | Outcome]) -> Iterator[Outcome]:
        """Write every update; pass on the outcomes that are already known.

        The first row goes alone, so that a key without rights is noticed before the second one is sent. Two rows of
        one record are never in flight together, so that the later one lands later.

        Args:
            rows: Updates and outcomes, in the order of the source; read as they are needed.

        Yields:
            Exactly one outcome for each row, in the order in which they become known.
        """
        source = iter(rows)
        yield from self._until_one_was_sent(source)
        in_flight: dict[Future[Outcome], str] = {}
        pool = ThreadPoolExecutor(self._rules.concurrency, thread_name_prefix="crm-push")
        try:
            for row in source:
                known = self._known(row)
                if isinstance(known, Outcome):
                    yield known
                    continue
                while len(in_flight) >= 2 * self._rules.concurrency or row.record_id in in_flight.values():
                    yield from self._settled(in_flight)
                in_flight[pool.submit(self._outcome, *known)] = row.record_id
            while in_flight:
                yield from self._settled(in_flight)
        finally:
            pool.shutdown(cancel_futures=True)

    def rehearse(self, rows: Iterable[Update | Outcome]) -> Iterator[tuple[Outcome, tuple[Call, ...]]]:
        """Check every row and make its calls, and send none.

        Yields:
            The outcome (`not_sent` with code `DRY_RUN` where calls would be made) and those calls.
        """
        for row in rows:
            known = self._known(row)
            if isinstance(known, Outcome):
                yield known, ()
            else:
                update, calls = known
                yield Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, "DRY_RUN", "dry run"), calls

    def _until_one_was_sent(self, source: Iterator[Update | Outcome]) -> Iterator[Outcome]:
        for row in source:
            known = self._known(row)
            if isinstance(known, Outcome):
                yield known
            else:
                yield self._counted(self._outcome(*known))
                return

    def _settled(self, in_flight: dict[Future[Outcome], str]) -> Iterator[Outcome]:
        for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
            del in_flight[future]
            yield self._counted(future.result())

    def _known(self, row: Update | Outcome) -> Outcome | tuple[Update, tuple[Call, ...]]:
        """The outcome of a row that needs no call, else the update with its calls."""
        if isinstance(row, Outcome):
            return row
        if self.stopped is not None:
            return _not_sent(row, self.stopped)
        try:
            calls = prepare(row, self._vendor, self.catalogue, self._rules, self._session.clock.now())
        except InvalidValueError as err:
            return Outcome(row.row, row.record_id, OutcomeWord.INVALID, err.code, str(err))
        except ConfigurationError as err:
            self.stopped = err
            return _not_sent(row, err)
        if not calls:
            return Outcome(row.row, row.record_id, OutcomeWord.UNCHANGED, "NOTHING_TO_WRITE")
        return row, calls

    def _outcome(self, update: Update, calls: tuple[Call, ...]) -> Outcome:
        """Write one row; runs in a thread of the pool."""
        if self.stopped is not None:
            return _not_sent(update, self.stopped)
        try:
            write_update(self._session, calls, update.record_id, self._rules)
        except CrmError as err:
            if self._stops_the_run(err):
                self.stopped = err
                return _not_sent(update, err)
            return _failure(update, err)
        self._landed = True
        return Outcome(update.row, update.record_id, OutcomeWord.UPDATED)

    def _stops_the_run(self, err: CrmError) -> bool:
        if isinstance(err, TransientError):
            return err.retry_after is not None and err.retry_after > self._session.retry.defer_after
        # A key that has just written other rows is good: what it may not do is about this row.
        about_this_row = err.status == _FORBIDDEN and self._landed
        return isinstance(err, ConfigurationError) and not about_this_row

    def _counted(self, outcome: Outcome) -> Outcome:
        """Stop the run after several rows in a row whose attempts were exhausted: the vendor is down."""
        self._failed_in_a_row = self._failed_in_a_row + 1 if outcome.word is OutcomeWord.FAILED else 0
        if self._failed_in_a_row >= _OUTAGE_ROWS and self.stopped is None:
            msg = f"{self._vendor.title} failed {_OUTAGE_ROWS} rows one after another, every attempt; {outcome.reason}"
            self.stopped = TransientError(msg, vendor=self._vendor.name, code="OUTAGE")
        return outcome


_WORDS: tuple[tuple[type[CrmError], OutcomeWord], ...] = (
    (InvalidValueError, OutcomeWord.INVALID),
    (IgnoredError, OutcomeWord.IGNORED),
    (RejectedError, OutcomeWord.REJECTED),
    (ConfigurationError, OutcomeWord.REJECTED),
    (OutcomeUnknownError, OutcomeWord.UNKNOWN),
    (TransientError, OutcomeWord.FAILED),
)


def _failure(update: Update, err: CrmError) -> Outcome:
    word = next(word for kind, word in _WORDS if isinstance(err, kind))
    return Outcome(update.row, update.record_id, word, err.code, _reason(err), err.applied)


def _not_sent(update: Update, err: CrmError) -> Outcome:
    return Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, err.code, _reason(err), err.applied)


def _reason(err: CrmError) -> str:
    return f"{', '.join(err.applied)} landed, the rest did not: {err}" if err.applied else str(err)


def shown_payload(call: Call, catalogue: Catalogue) -> str:
    """The body of a call for a log, with the values of personal fields left out."""
    personal = {field.target for field in catalogue.fields.values() if field.personal}
    return json.dumps({key: "(hidden)" if key in personal else value for key, value in (call.json or {}).items()})
