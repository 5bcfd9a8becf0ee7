"""Check the rows of a run, and encode what they want in the vendor's own keys and values. Nothing is sent.

The forms of a row on its way are here, too: prepared, claimed as a `Job`, and ended as a `RowResult`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, cast

from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError, LedgerUnavailableError
from airflow_provider_crm.ledger.claims import ClaimedRow, DesiredRow, DesiredRows, Settlement
from airflow_provider_crm.push.outcomes import invalid, not_sent
from airflow_provider_crm.values.hidden_values import HIDDEN, hidden_keys
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update, rows_at
from airflow_provider_crm.values.record_ids import are_plain_ids, path_segment
from airflow_provider_crm.vendors.encoding import Writes, calls_of_all, writes_of_all
from airflow_provider_crm.vendors.win_dates import wins_without_date, with_win_date

if TYPE_CHECKING:
    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.push.stops import Stops
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor

ROWS_AT_ONCE = 200
_LATE = dt.timedelta(days=1)

PreparedRow: TypeAlias = tuple[Update, Writes]
"""A row that passed its checks and has a data time, and what it wants in the vendor's own keys and values."""


@dataclass(slots=True, kw_only=True)
class Job(ClaimedRow):
    """A claimed row, and what is sent for it.

    Attributes:
        update: The row.
        writes: The values that are sent.
        calls: The calls that send them, in order.
        compared: Whether the record was read for this row already.
        maybe_written: Whether the answer to an earlier call that carried this row did not say what became of it.
    """

    update: Update
    writes: Writes
    calls: tuple[Call, ...]
    compared: bool = False
    maybe_written: bool = False


Batch: TypeAlias = Sequence[Job]
"""Rows that are sent in one call, each of another record; one row whose calls are its own."""


@dataclass(slots=True)
class RowResult(Settlement):
    """The outcome of a row, and its reason; not on record yet.

    Attributes:
        rests: See `Settlement`.
        cause: The error that ended the row, or None.
    """

    rests: bool = False
    cause: Exception | None = None

    @property
    def keeps_claim(self) -> bool:
        """Whether the row was left alone because the ledger had failed: its claim may as well run out."""
        failed = isinstance(self.cause, LedgerUnavailableError) and self.outcome.word is OutcomeWord.NOT_SENT
        return failed and not (self.doubtful or self.outcome.applied)


def desired_row(row: PreparedRow) -> DesiredRow:
    """Return a row as the ledger claims it."""
    update, writes = row
    if update.as_of is None:
        raise ValueError(update.record_id)
    return DesiredRow(update.record_id, writes.texts, update.as_of)


def all_desired(rows: Sequence[PreparedRow]) -> list[DesiredRow]:
    """Return rows as the ledger claims them; of columns that were encoded together many are taken at once."""
    if len({id(writes.columns) for _, writes in rows}) != 1:
        return list(map(desired_row, rows))
    together = desired_rows(rows)
    keys, texts = tuple(together.values), zip(*together.values.values(), strict=True)
    values = [dict(zip(keys, row, strict=True)) for row in texts]
    return list(map(DesiredRow, together.record_ids, values, together.as_of))


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


class RowPreparer:
    """Prepares rows to be sent.

    Args:
        vendor: The adapter.
        clock: Time.
        catalogue: What the account offers.
        rules: How rows are written.
        stops: Why the run ends; rows that come later are not sent.
        checks_won_date: Whether to refuse a win whose date is open. With a ledger that has to wait for the claim, as
            the stage may be in place already.
    """

    def __init__(
        self,
        vendor: Vendor,
        clock: Clock,
        catalogue: Catalogue,
        rules: PushRules,
        stops: Stops,
        *,
        checks_won_date: bool,
    ) -> None:
        self._clock = clock
        self._vendor = vendor
        self._catalogue = catalogue
        self._rules = rules
        self._stops = stops
        self._checks_won_date = checks_won_date

    def prepare(self, rows: Sequence[Update | Outcome]) -> list[Outcome | PreparedRow]:
        """Return the outcome of each row that needs no call, else what it wants."""
        reason = self._stops.reason
        checked = list(rows) if self._need_no_check(rows, reason) else [self._checked(row, reason) for row in rows]
        try:
            updates = [row for row in checked if isinstance(row, Update)]
            encoded = writes_of_all(updates, self._vendor, self._catalogue)
        except ConfigurationError as err:
            stop = self._stops.add(err)
            return [row if isinstance(row, Outcome) else not_sent(row, stop) for row in checked]
        if len(updates) == len(checked) and _are_ready(updates, encoded):
            return list(zip(updates, cast("list[Writes]", encoded), strict=True))
        writes = iter(encoded)
        return [row if isinstance(row, Outcome) else self._wanted(row, next(writes)) for row in checked]

    def _need_no_check(self, rows: Sequence[Update | Outcome], reason: CrmError | None) -> bool:
        """Return whether `_checked` would return all rows as they are: the ids of many are looked at together."""
        dates_wins = self._checks_won_date or self._rules.date_won_default == "as_of"
        return reason is None and not dates_wins and are_plain_ids([row.record_id for row in rows])

    def rehearse(self, rows: Iterable[Update | Outcome]) -> Iterator[tuple[Outcome, tuple[Call, ...]]]:
        """Check every row and make its calls, and send none.

        Yields:
            The outcome (`not_sent` with code `DRY_RUN` where calls would be made) and those calls.
        """
        source = iter(rows)
        while batch := list(islice(source, ROWS_AT_ONCE)):
            prepared = self.prepare(batch)
            sendable = [item for item in prepared if not isinstance(item, Outcome)]
            record_ids, writes = [update.record_id for update, _ in sendable], [one for _, one in sendable]
            calls = iter(calls_of_all(record_ids, writes))
            for item in prepared:
                if isinstance(item, Outcome):
                    yield item, ()
                else:
                    update = item[0]
                    yield Outcome(update.row, update.record_id, OutcomeWord.NOT_SENT, "DRY_RUN", "dry run"), next(calls)

    def _checked(self, row: Update | Outcome, reason: CrmError | None) -> Update | Outcome:
        """Return the row with the date of its win, or the outcome that says why it is not written."""
        if isinstance(row, Outcome):
            return row
        if reason is not None:
            return not_sent(row, reason)
        try:
            update = dated(row, self._vendor, self._catalogue, self._rules)
            if self._checks_won_date:
                check_won_date(update, self._vendor, self._catalogue, self._rules, self._clock.now())
            path_segment(update.record_id)  # an id that cannot be in a path must not reach the ledger, either
        except InvalidValueError as err:
            return invalid(row, err, self._catalogue.fields)
        return update

    def _wanted(self, update: Update, writes: Writes | InvalidValueError) -> Outcome | PreparedRow:
        if isinstance(writes, InvalidValueError):
            return invalid(update, writes, self._catalogue.fields)
        if not writes.columns.names:
            return Outcome(update.row, update.record_id, OutcomeWord.UNCHANGED, "NOTHING_TO_WRITE")
        return update if update.as_of is not None else replace(update, as_of=self._clock.now()), writes


def _are_ready(updates: Sequence[Update], encoded: Sequence[Writes | InvalidValueError]) -> bool:
    """Return whether all rows were encoded together, write a field, and have a data time: no row needs a closer look.

    Args:
        updates: The rows.
        encoded: Each row as it was encoded, or why it was not.
    """
    columns = {id(writes.columns): writes.columns for writes in encoded if type(writes) is Writes}
    together = len(columns) == 1 and all(one.names for one in columns.values())
    return together and set(map(type, encoded)) == {Writes} and None not in [update.as_of for update in updates]


def dated(update: Update, vendor: Vendor, catalogue: Catalogue, rules: PushRules) -> Update:
    """Return the update, dated if the rules say so: a win without a date gets the date of its data.

    Raises:
        InvalidValueError: The vendor does not let that date be written.
    """
    as_of = update.as_of
    if rules.date_won_default == "as_of" and as_of is not None and wins_without_date(update, vendor, catalogue):
        return with_win_date(update, rules.day_of(as_of), vendor, catalogue)
    return update


def check_won_date(update: Update, vendor: Vendor, catalogue: Catalogue, rules: PushRules, now: dt.datetime) -> None:
    """Refuse a win whose date is open.

    A stage that wins a deal lets the vendor set today's date. A run whose data is more than a day old would so write
    the wrong date; it must say which one it means.

    Raises:
        InvalidValueError: Naming both ways out.
    """
    if rules.date_won_default is not None or update.as_of is None or now - update.as_of <= _LATE:
        return
    if vendor.wins is not None and wins_without_date(update, vendor, catalogue):
        msg = (
            f"the stage wins the deal without a date, and the data is from {rules.day_of(update.as_of)}: "
            f"{vendor.display_name} would set today's date. {vendor.wins.advice}"
        )
        raise InvalidValueError(msg, vendor=vendor.name, code="DATE_WON", record_id=update.record_id)


def shown_payload(call: Call, catalogue: Catalogue) -> str:
    """Return the body of a call for a log, with the values of personal fields left out."""
    personal = hidden_keys(catalogue.fields)
    body = values = json.loads(call.body or "{}")
    for name in call.route.envelope if call.route is not None else ():
        values = values[name]
    values.update(dict.fromkeys(personal & values.keys(), HIDDEN))
    return json.dumps(body)
