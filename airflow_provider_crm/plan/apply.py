"""Turn the rows of a stored plan into updates: exactly these, and no record that has changed since."""

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
"""Replaces the digest of a plan that is applied as it is now, without an approval."""
CONFLICT_RULES = ("fail", "skip", "overwrite")
_TO_WRITE = (PlanVerdict.UPDATE, PlanVerdict.CONFLICT)


@dataclass(slots=True)
class PlannedUpdate(Update):
    """An update of a plan.

    Attributes:
        expected: The values in the CRM when the plan was made, by key, also of keys that needed no change.
        resting: Keys that needed no change.
    """

    approved: ClassVar[bool] = True

    expected: Mapping[str, str] = field(default_factory=dict)
    resting: frozenset[str] = frozenset()

    def read_keys(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return also the keys that are compared with the plan."""
        return tuple(dict.fromkeys((*keys, *self.expected)))


class PlanSource:
    """Turns the rows of one plan into updates and outcomes.

    Args:
        copied: The rows of the plan, in order.
        plan: The plan.
        on_conflict: The treatment of a record that was changed in the CRM: "fail" refuses it, "skip" leaves it alone
            without a failure, "overwrite" writes it.
        vendor: The adapter.
        catalogue: What the account offers.
        ledger: Notes the values that needed no change, and knows hashed fields; None in a dry run.

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
        """Yield one update or outcome for each row of the plan's source, in order."""
        for batch in self._copied:
            for _, rows in groupby(self._with_current_verdicts(batch), key=lambda row: row.row):
                yield self._row(list(rows))

    def inspect(self, update: Update, record: Record) -> Outcome | None:
        """Refuse a record that shows other values than it did when the plan was made."""
        if self._on_conflict == "overwrite" or not isinstance(update, PlannedUpdate):
            return None
        keys = [key for key in update.expected if key in update.fields or key in update.resting]
        shown = stored_values(keys, record, self._vendor, self._catalogue)
        changed = [key for key in keys if self._stored_form(key, shown.get(key)) != update.expected[key]]
        if not changed:
            return None
        unclear = [key for key in changed if not self._comparable(update.expected[key])]
        if unclear:
            reason = (
                f"The plan's value of {', '.join(unclear)} was hashed with another key, so it is not known whether the "
                "CRM still has it; plan again."
            )
            return self._conflict(update.row, update.record_id, reason)
        return self._conflict(update.row, update.record_id, f"{', '.join(changed)} changed in the CRM since the plan.")

    def _stored_form(self, key: str, value: str | None) -> str | None:
        return value if value is None or self._ledger is None else self._ledger.stored_form(key, value)

    def _comparable(self, expected: str) -> bool:
        return self._ledger is None or self._ledger.hashes.comparable(expected)

    def _with_current_verdicts(self, rows: Sequence[PlanRow]) -> Sequence[PlanRow]:
        """Note the values that needed no change; a value that we have overwritten since gets another verdict."""
        if self._ledger is None:
            return rows
        desired_rows = [desired for row in rows if (desired := _unchanged_value(row)) is not None]
        self._ledger.observe(desired_rows, self._plan.created_at)
        states = self._ledger.states(desired.record_id for desired in desired_rows)
        return [self._overtaken(row, states.get((row.record_id, row.field))) for row in rows]

    def _overtaken(self, row: PlanRow, state: FieldState | None) -> PlanRow:
        """Return the row with its present verdict: another value in the ledger came after the plan."""
        desired = _unchanged_value(row)
        if desired is None or state is None:
            return row
        if state.newest is not None and desired.as_of < state.newest:
            return replace(row, verdict=PlanVerdict.STALE, code="NEWER_DATA", reason="Newer data came after the plan.")
        if state.value is None or state.value == self._stored_form(row.field, row.after):
            return row
        reason = f"Another run wrote {row.field} since the plan, with older data."
        return replace(row, verdict=PlanVerdict.CONFLICT, code="CONFLICT", reason=reason)

    def _row(self, rows: list[PlanRow]) -> Update | Outcome:
        first = rows[0]
        for verdict, word in _FINAL_VERDICTS:
            ended = [row for row in rows if row.verdict is verdict]
            if ended:
                reasons = " ".join(dict.fromkeys(row.reason for row in ended))
                return Outcome(first.row, first.record_id, word, ended[0].code, reasons)
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
        """Return the update if it would still write the planned values."""
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
            reason = "The values to send are no longer the planned ones; plan again."
            return Outcome(first.row, first.record_id, OutcomeWord.INVALID, "NOT_AS_PLANNED", reason)
        return update

    def _conflict(self, row: int, record_id: str, reason: str) -> Outcome:
        word = OutcomeWord.SKIPPED if self._on_conflict == "skip" else OutcomeWord.REJECTED
        return Outcome(row, record_id, word, "CONFLICT", reason)


def _unchanged_value(row: PlanRow) -> DesiredRow | None:
    """Return the value of a row that needed no change, if it can be noted."""
    if row.verdict is not PlanVerdict.UNCHANGED or row.after is None or row.as_of is None or is_hash(row.after):
        return None
    return DesiredRow(row.record_id, {row.field: row.after}, row.as_of)


_FINAL_VERDICTS = (
    (PlanVerdict.INVALID, OutcomeWord.INVALID),
    (PlanVerdict.MISSING, OutcomeWord.REJECTED),
    (PlanVerdict.SKIPPED, OutcomeWord.SKIPPED),
)


def check_conflict_rule(word: str) -> None:
    """Refuse a word that `on_conflict` does not know.

    Raises:
        ConfigurationError: Naming the words that it knows.
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
