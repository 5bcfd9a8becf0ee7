"""What one run would do, in numbers, before it does anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.plan.money import Money
from airflow_provider_crm.plan.plan_row import PlanRow, PlanVerdict
from airflow_provider_crm.push.rules import dated
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord, Update
from airflow_provider_crm.values.record_ids import path_segment
from airflow_provider_crm.vendors.encoding import writes_of

if TYPE_CHECKING:
    import datetime as dt

    from airflow_provider_crm.ledger.ledger import Ledger
    from airflow_provider_crm.push.rules import PushRules
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor

_COMPARED_AT_ONCE = 200


@dataclass(slots=True)
class ImpactEstimate:
    """What one run would do.

    Attributes:
        columns: Field names that the rows are mapped to.
        vendor: The adapter.
        catalogue: What the account offers.
        rules: How rows are written.
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
        """The field with most missing values, and their number."""
        return max(((name, self.nulls[name]) for name in self.columns), key=lambda one: one[1], default=("", 0))

    def add(self, rows: Iterable[Update | Outcome]) -> None:
        """Count rows, refused ones and missing values."""
        for row in rows:
            self.rows += 1
            if isinstance(row, Outcome):
                self.invalid += row.word is OutcomeWord.INVALID
            elif self._wanted(row) is None:
                self.invalid += 1
            else:
                self.nulls.update(name for name in self.columns if row.fields.get(name) is None)

    def compare(self, rows: Iterable[Update | Outcome], ledger: Ledger) -> None:
        """Count what differs from the last acknowledged values, and by how much."""
        source = (row for row in rows if isinstance(row, Update))
        money = Money(self.vendor)
        while batch := list(islice(source, _COMPARED_AT_ONCE)):
            states = ledger.states(row.record_id for row in batch)
            for row in batch:
                different = False
                for key, after in (self._wanted(row) or {}).items():
                    state = states.get((row.record_id, key))
                    if state is not None and _is_older(row, state.newest):
                        continue
                    before = None if state is None else state.value
                    if before != ledger.stored_form(key, after):
                        different = True
                        after_amount, before_amount = money.amount(key, after), money.amount(key, before)
                        self.total_delta += abs((after_amount or Decimal()) - (before_amount or Decimal()))
                self.changed += different

    def compare_plan(self, rows: Iterable[PlanRow]) -> None:
        """Count what a plan would write, and by how much it differs from what the CRM holds."""
        money, last = Money(self.vendor), -1
        for row in rows:
            if row.verdict not in (PlanVerdict.UPDATE, PlanVerdict.CONFLICT):
                continue
            self.total_delta += abs(money.change(row) or Decimal())
            self.changed += row.row != last
            last = row.row

    def _wanted(self, row: Update) -> dict[str, str] | None:
        """What a row would write, by key; None if it is refused."""
        try:
            path_segment(row.record_id)
            update = dated(row, self.vendor, self.catalogue, self.rules)
            return dict(writes_of(update, self.vendor, self.catalogue).texts)
        except InvalidValueError:
            return None


def _is_older(row: Update, newest: dt.datetime | None) -> bool:
    return row.as_of is not None and newest is not None and row.as_of < newest
