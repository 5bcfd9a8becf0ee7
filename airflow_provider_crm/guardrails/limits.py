"""Limits to what one run may do, checked before its first call that writes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Protocol

from airflow_provider_crm.exceptions import ConfigurationError, GuardrailError
from airflow_provider_crm.report.guardrail_check import GuardrailCheck


class Impact(Protocol):
    """The numbers of one run that guardrails limit; see `ImpactEstimate`."""

    rows: int
    invalid: int
    changed: int
    total_delta: Decimal

    @property
    def valid(self) -> int:
        """Number of rows that are not refused."""
        ...

    def worst_column(self) -> tuple[str, int]:
        """Return the field with most missing values, and their number."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """What one run may do at most; what is left out is not limited.

    A run that would go beyond a limit fails before anything is written, without a retry. The rows are gone through once
    more for it, by way of a temporary file. A fraction is from 0 to 1.

    Attributes:
        min_rows: Rows that the source must have, against one that is empty or cut; of a shard, the rows of its task.
        max_rows: Rows of the source.
        max_changed_fraction: Rows that would be written, of all rows. A row is written if the ledger does not know
            that the CRM holds its values; in a plan, if the CRM does not hold them.
        max_total_delta: Sum of how much each deal value would change, up or down, in major units. The change is from
            the last acknowledged value, in a plan from the CRM's. A value that is not known counts as 0, so the first
            run counts in full.
        max_null_fraction: Missing values (null or absent) of any one column, of the rows that are valid.
        max_invalid_fraction: Rows that are refused before they are sent, of all rows.
    """

    min_rows: int | None = None
    max_rows: int | None = None
    max_changed_fraction: float | None = None
    max_total_delta: float | Decimal | None = None
    max_null_fraction: float | None = None
    max_invalid_fraction: float | None = None

    @property
    def compares(self) -> bool:
        """Whether a limit needs to know what the CRM holds."""
        return self.max_changed_fraction is not None or self.max_total_delta is not None

    def check(self) -> None:
        """Refuse limits that are none.

        Raises:
            ConfigurationError: Naming each and what to write instead.
        """
        problems = []
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not _from_zero_on(value):
                problems.append(f"{limit.name} is {value!r}; write a number from 0 on")
            elif limit.name.endswith("_fraction") and value > 1:
                problems.append(f"{limit.name} is {value!r}; write a fraction from 0 to 1, such as 0.05")
            elif limit.name.endswith("_rows") and not isinstance(value, int):
                problems.append(f"{limit.name} is {value!r}; write a whole number")
        if not problems and self.min_rows is not None and self.max_rows is not None and self.min_rows > self.max_rows:
            problems.append(
                f"min_rows is {self.min_rows} and max_rows {self.max_rows}; write a min_rows that is not above"
            )
        if problems:
            msg = f"guardrails: {'; '.join(problems)}."
            raise ConfigurationError(msg)

    def measurements(self, measured: Impact) -> tuple[GuardrailCheck, ...]:
        """What a run would do beside the limits that there are."""
        column, nulls = measured.worst_column()
        found: dict[str, tuple[Decimal | int, str]] = {
            "min_rows": (measured.rows, "rows"),
            "max_rows": (measured.rows, "rows"),
            "max_changed_fraction": (
                _fraction(measured.changed, measured.rows),
                f"of the rows would be written ({measured.changed} of {measured.rows})",
            ),
            "max_total_delta": (measured.total_delta, "in all would the deal values change by"),
            "max_null_fraction": (
                _fraction(nulls, measured.valid),
                f"of the values of {column!r} are missing ({nulls} of {measured.valid})",
            ),
            "max_invalid_fraction": (
                _fraction(measured.invalid, measured.rows),
                f"of the rows are invalid ({measured.invalid} of {measured.rows})",
            ),
        }
        return tuple(
            GuardrailCheck(name, Decimal(value), _exact(limit), unit)
            for name, (value, unit) in found.items()
            if (limit := getattr(self, name)) is not None
        )


def hold(measurements: Iterable[GuardrailCheck]) -> None:
    """Stop a run that would go beyond a limit.

    Raises:
        GuardrailError: Naming each limit that it would break, measured against allowed.
    """
    broken = [str(one) for one in measurements if one.broken]
    if broken:
        msg = f"Nothing was written: the run would break its guardrails. {'; '.join(broken)}."
        raise GuardrailError(msg)


def _from_zero_on(value: float | Decimal) -> bool:
    """Whether it is a number that is not negative; comparing a Decimal that is none raises an error of its own."""
    return not (value.is_nan() if isinstance(value, Decimal) else math.isnan(value)) and value >= 0


def _fraction(part: int, whole: int) -> Decimal:
    return Decimal(part) / whole if whole else Decimal()


def _exact(limit: float | Decimal) -> Decimal:
    """The number as it was written: a float by its shortest form, also where it is a numpy one."""
    return limit if isinstance(limit, Decimal) else Decimal(str(limit))
