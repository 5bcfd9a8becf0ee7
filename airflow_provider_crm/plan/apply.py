"""The rows of a stored plan on their way to the CRM: exactly those, and no record that has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_crm.database.field_hashes import is_hash
from airflow_provider_crm.exceptions import ConfigurationError, InvalidValueError
from airflow_provider_crm.ledger.claims import DesiredRow
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.vendors.comparison import field_value, stored_values
from airflow_provider_crm.vendors.encoding import writes_of

if TYPE_CHECKING:
    from airflow_provider_crm.ledger.claims import FieldState
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.plan.stored_plan import Plan
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record

ANY_DIGEST = "any"
"""Stands for the digest of a plan that is applied as it is now, whoever has seen it."""
CONFLICT_RULES = ("fail", "skip", "overwrite")
_TO_WRITE = (PlanVerdict.UPDATE, PlanVerdict.CONFLICT)


@dataclass(slots=True)
class PlannedUpdate(Update):
    """An update of a plan.

    Attributes:
        expected: What the CRM showed when the plan was made, by key, also of keys that needed no change.
        resting: Keys that needed no change.
    """

    approved: ClassVar[bool] = True

    expected: Mapping[str, str] = field(default_factory=dict)
    resting: frozenset[str] = frozenset()


class PlanSource:
    """Turns the rows of one plan into updates and outcomes.

    Args:
        copied: The rows of the plan, in order.
        plan: The plan.
        on_conflict: What becomes of a record that the CRM changed on its own: "fail" refuses it, "skip" leaves it and
            is no failure, "overwrite" writes it all the same.
        vendor: The adapter.
        catalogue: What the account offers.
        ledger: Where values that are in place already are noted, and which knows hashed fields; None in a dry run.

    Raises:
        ConfigurationError: For another word, or if the plan is for another account.
    """

    def __init__(
        self,
        copied: Iterable[Sequence[PlanRow]],
        plan: Plan,
        *,
        on_conflict: str,
        vendor: Vendor,
        catalogue: Catalogue,
        ledger: Ledger | None,
    ) -> None:
        self._copied = copied
        self._plan = plan
        self._on_conflict = on_conflict
        self._vendor = vendor
        self._catalogue = catalogue
        self._ledger = ledger

    def read(self) -> Iterator[Update | Outcome]:
        """One update or outcome for each row of the plan's source, in order."""
        for batch in self._copied:
            for _, rows in groupby(self._as_of_now(batch), key=lambda row: row.row):
                yield self._row(list(rows))

    def inspect(self, update: Update, record: Record) -> Outcome | None:
        """Refuse a record that shows other values than it did when the plan was made."""
        if self._on_conflict == "overwrite" or not isinstance(update, PlannedUpdate):
            return None
        keys = [key for key in update.expected if key in update.fields or key in update.resting]
        shown = stored_values(keys, record, self._vendor, self._catalogue)
        changed = [key for key in keys if self._kept(key, shown.get(key)) != update.expected[key]]
        if not changed:
            return None
        unclear = [key for key in changed if not self._comparable(update.expected[key])]
        if unclear:
            reason = (
                f"What the plan saw in {', '.join(unclear)} was hashed with another key, so it is not known whether "
                "the CRM still holds it; plan again."
            )
            return self._conflict(update.row, update.record_id, reason)
        return self._conflict(update.row, update.record_id, f"{', '.join(changed)} changed in the CRM since the plan.")

    def _kept(self, key: str, value: str | None) -> str | None:
        return value if value is None or self._ledger is None else self._ledger.stored_form(key, value)

    def _comparable(self, expected: str) -> bool:
        return self._ledger is None or self._ledger.hashes.comparable(expected)

    def _as_of_now(self, rows: Sequence[PlanRow]) -> Sequence[PlanRow]:
        """Note the values that were in place; those that were written over from here since have another verdict."""
        if self._ledger is None:
            return rows
        desired_rows = [desired for row in rows if (desired := _in_place(row)) is not None]
        self._ledger.observe(desired_rows, self._plan.created_at)
        states = self._ledger.states(desired.record_id for desired in desired_rows)
        return [self._overtaken(row, states.get((row.record_id, row.field))) for row in rows]

    def _overtaken(self, row: PlanRow, state: FieldState | None) -> PlanRow:
        """The row as it is now that it was noted: if something else is still on record, it came after the plan."""
        desired = _in_place(row)
        if desired is None or state is None:
            return row
        if state.newest is not None and desired.as_of < state.newest:
            return replace(row, verdict=PlanVerdict.STALE, code="NEWER_DATA", reason="Newer data came after the plan.")
        if state.value is None or state.value == self._kept(row.field, row.after):
            return row
        reason = f"{row.field} was written from here since the plan, with older data."
        return replace(row, verdict=PlanVerdict.CONFLICT, code="CONFLICT", reason=reason)

    def _row(self, rows: list[PlanRow]) -> Update | Outcome:
        first = rows[0]
        for verdict, word in _ENDS:
            told = [row for row in rows if row.verdict is verdict]
            if told:
                reasons = " ".join(dict.fromkeys(row.reason for row in told))
                return Outcome(first.row, first.record_id, word, told[0].code, reasons)
        conflicts = [row.reason for row in rows if row.verdict is PlanVerdict.CONFLICT]
        if conflicts and self._on_conflict != "overwrite":
            return self._conflict(first.row, first.record_id, " ".join(conflicts))
        if any(row.verdict in _TO_WRITE for row in rows):
            return self._update(rows)
        stale = next((row for row in rows if row.verdict is PlanVerdict.STALE), None)
        if stale is not None:
            return Outcome(first.row, first.record_id, OutcomeWord.STALE, stale.code, stale.reason)
        return Outcome(first.row, first.record_id, OutcomeWord.UNCHANGED, first.code)

    def _update(self, rows: list[PlanRow]) -> Update | Outcome:
        """The update, if it still means what was planned."""
        first = rows[0]
        wanted = {row.field: row.after for row in rows if row.verdict in _TO_WRITE and row.after is not None}
        try:
            fields = {key: field_value(key, after, self._catalogue) for key, after in wanted.items()}
            update = PlannedUpdate(
                first.row,
                first.record_id,
                fields,
                first.as_of,
                expected={
                    row.field: row.before
                    for row in rows
                    if row.before is not None and row.verdict is not PlanVerdict.STALE
                },
                resting=frozenset(row.field for row in rows if row.verdict is PlanVerdict.UNCHANGED),
            )
            means = writes_of(update, self._vendor, self._catalogue).texts
        except InvalidValueError as err:
            return Outcome(first.row, first.record_id, OutcomeWord.INVALID, err.code, str(err))
        except KeyError as err:
            reason = f"{err.args[0]} is no longer a field that can be written."
            return Outcome(first.row, first.record_id, OutcomeWord.INVALID, "UNKNOWN_FIELD", reason)
        if means != wanted:
            reason = "What would be sent is no longer what was planned; plan again."
            return Outcome(first.row, first.record_id, OutcomeWord.INVALID, "NOT_AS_PLANNED", reason)
        return update

    def _conflict(self, row: int, record_id: str, reason: str) -> Outcome:
        word = OutcomeWord.SKIPPED if self._on_conflict == "skip" else OutcomeWord.REJECTED
        return Outcome(row, record_id, word, "CONFLICT", reason)


def _in_place(row: PlanRow) -> DesiredRow | None:
    """The value that a row found in place, if it can be noted."""
    if row.verdict is not PlanVerdict.UNCHANGED or row.after is None or row.as_of is None or is_hash(row.after):
        return None
    return DesiredRow(row.record_id, {row.field: row.after}, row.as_of)


_ENDS = ((PlanVerdict.INVALID, OutcomeWord.INVALID), (PlanVerdict.MISSING, OutcomeWord.REJECTED))


def check_conflict_rule(word: str) -> None:
    """Refuse a word that `on_conflict` does not know.

    Raises:
        ConfigurationError: Naming those that it knows.
    """
    if word not in CONFLICT_RULES:
        msg = f"on_conflict is {word!r}; write one of {', '.join(CONFLICT_RULES)}."
        raise ConfigurationError(msg)


def check_account(plan: Plan, account: str) -> None:
    """Refuse a plan that was made for another account.

    Raises:
        ConfigurationError: Naming both.
    """
    if plan.account != account:
        msg = f"Plan {plan.plan_id} is for the account {plan.account!r}, and the connection leads to {account!r}."
        raise ConfigurationError(msg)
