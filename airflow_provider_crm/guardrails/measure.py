"""Measure the impact of a run before it writes anything, and compare it with the guardrails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.plan.money import AmountReader
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict
from airflow_provider_crm.push.prepare import dated
from airflow_provider_crm.report.guardrail_check import GuardrailCheck
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.encoding import writes_of

if TYPE_CHECKING:
    import datetime as dt

    from airflow_provider_crm.guardrails.limits import Guardrails
    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor

_COMPARED_AT_ONCE = 200

Measure: TypeAlias = tuple[Decimal | int, str]


@dataclass(slots=True)
class ImpactEstimate:
    """The changes that one run would make, in numbers.

    Attributes:
        columns: Field names that the rows are mapped to.
        vendor: The adapter.
        catalogue: The fields and stages of the account.
        rules: The rules by which rows are written.
        rows: All rows.
        invalid: Rows that are refused before they are sent.
        changed: Rows that would be written.
        total_delta: Sum of the changes of deal values, without their signs, in major units.
        nulls: Missing values by field name.
    """

    columns: Sequence[str]
    vendor: Vendor
    catalogue: Catalogue
    rules: PushRules
    rows: int = 0
    invalid: int = 0
    changed: int = 0
    total_delta: Decimal = Decimal()
    nulls: Counter[str] = field(default_factory=Counter)

    @property
    def valid(self) -> int:
        """Rows that are not refused."""
        return self.rows - self.invalid

    def worst_column(self) -> tuple[str, int]:
        """Return the field with the most missing values, and their number."""
        return max(((name, self.nulls[name]) for name in self.columns), key=lambda one: one[1], default=("", 0))

    def add(self, rows: Iterable[Update | Outcome]) -> None:
        """Count rows, refused ones and missing values."""
        for row in rows:
            self.rows += 1
            if isinstance(row, Outcome):
                self.invalid += row.word is OutcomeWord.INVALID
            elif self._texts(row) is None:
                self.invalid += 1
            else:
                self.nulls.update(name for name in self.columns if row.fields.get(name) is None)

    def compare(self, rows: Iterable[Update | Outcome], ledger: Ledger) -> None:
        """Count the rows that differ from the last acknowledged values, and by how much."""
        source = (row for row in rows if isinstance(row, Update))
        amounts = AmountReader.from_catalogue(self.catalogue)
        while batch := list(islice(source, _COMPARED_AT_ONCE)):
            states = ledger.states(row.record_id for row in batch)
            for row in batch:
                different = False
                for key, after in (self._texts(row) or {}).items():
                    state = states.get((row.record_id, key))
                    if state is not None and _is_older(row, state.newest):
                        continue
                    before = None if state is None else state.value
                    if before != ledger.stored_form(key, after):
                        different = True
                        after_amount, before_amount = amounts.amount(key, after), amounts.amount(key, before)
                        self.total_delta += abs((after_amount or Decimal()) - (before_amount or Decimal()))
                self.changed += different

    def compare_plan(self, rows: Iterable[PlanRow]) -> None:
        """Count the rows that a plan would write, and by how much they differ from the values in the CRM."""
        amounts, last = AmountReader.from_catalogue(self.catalogue), -1
        for row in rows:
            if row.verdict not in (PlanVerdict.UPDATE, PlanVerdict.CONFLICT):
                continue
            self.total_delta += abs(amounts.change(row) or Decimal())
            self.changed += row.row != last
            last = row.row

    def checks(self, guardrails: Guardrails) -> tuple[GuardrailCheck, ...]:
        """Return the limits that were set, each beside what the run would do."""
        checks = []
        for name, measure in MEASURES.items():
            limit = getattr(guardrails, name)
            if limit is not None:
                measured, unit = measure(self)
                checks.append(GuardrailCheck(name, Decimal(measured), _exact(limit), unit))
        return tuple(checks)

    def _texts(self, row: Update) -> dict[str, str] | None:
        """Return the values that a row would write, by key; None if it is refused."""
        try:
            path_segment(row.record_id)
            update = dated(row, self.vendor, self.catalogue, self.rules)
            return dict(writes_of(update, self.vendor, self.catalogue).texts)
        except InvalidValueError:
            return None


def _is_older(row: Update, newest: dt.datetime | None) -> bool:
    return row.as_of is not None and newest is not None and row.as_of < newest


def _fraction(part: int, total: int) -> Decimal:
    return Decimal(part) / total if total else Decimal()


def _exact(limit: float | Decimal) -> Decimal:
    """Return the number as it was written: a float by its shortest form, also that of numpy."""
    return limit if isinstance(limit, Decimal) else Decimal(str(limit))


def _rows(run: ImpactEstimate) -> Measure:
    return run.rows, "rows"


def _changed(run: ImpactEstimate) -> Measure:
    return _fraction(run.changed, run.rows), f"of the rows would be written ({run.changed} of {run.rows})"


def _total_delta(run: ImpactEstimate) -> Measure:
    return run.total_delta, "in changes of the deal values"


def _nulls(run: ImpactEstimate) -> Measure:
    column, nulls = run.worst_column()
    return _fraction(nulls, run.valid), f"of the values of {column!r} are missing ({nulls} of {run.valid})"


def _invalid(run: ImpactEstimate) -> Measure:
    return _fraction(run.invalid, run.rows), f"of the rows are invalid ({run.invalid} of {run.rows})"


MEASURES: Mapping[str, Callable[[ImpactEstimate], Measure]] = {
    "min_rows": _rows,
    "max_rows": _rows,
    "max_changed_fraction": _changed,
    "max_total_delta": _total_delta,
    "max_null_fraction": _nulls,
    "max_invalid_fraction": _invalid,
}
"""The measure of each guardrail: a function that returns a number, and its unit in words that follow it."""
