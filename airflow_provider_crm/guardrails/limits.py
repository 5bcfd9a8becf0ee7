"""Limits of what one run may do, checked before its first call that writes, or after its first rows.

A new guardrail is a field of `Guardrails` here, and a line of the table in `measure`, which says how it is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError, GuardrailError

if TYPE_CHECKING:
    from airflow_provider_crm.report.guardrail_check import GuardrailCheck


COMPARING = ("max_changed_fraction", "max_total_delta")
"""Limits for which the values in the CRM have to be known."""
CANARY = "canary_rows"
"""The guardrail that is not measured before the run writes: the run's first rows show whether it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Limits of what one run may do; None is no limit.

    A run that would go beyond a limit fails before anything is written, without a retry. To measure it, its rows are
    read once more, from a temporary file. A fraction is from 0 to 1. `canary_rows` alone is no such limit.

    Attributes:
        min_rows: Rows that the source must have at least, which refuses an empty or cut source; of a shard, the rows of
            its task.
        max_rows: Rows of the source.
        max_changed_fraction: Rows that would be written, of all rows. A row is written unless the ledger, or in a plan
            the CRM itself, has all of its values.
        max_total_delta: Sum of how much each deal value would change, up or down, in major units. The change is from
            the last acknowledged value, in a plan from the CRM's. A value that is not known counts as 0, so the first
            run counts in full.
        max_null_fraction: Missing values (null or absent) of any one column, of the rows that are valid.
        max_invalid_fraction: Rows that are refused before they are sent, of all rows.
        canary_rows: Number of rows that are written first, read back from the CRM and compared. If one of them does not
            land, no other row is sent, and the task fails without a retry, whatever `max_rejected` allows.
    """

    min_rows: int | None = None
    max_rows: int | None = None
    max_changed_fraction: float | None = None
    max_total_delta: float | Decimal | None = None
    max_null_fraction: float | None = None
    max_invalid_fraction: float | None = None
    canary_rows: int | None = None

    @property
    def compares(self) -> bool:
        """Whether a limit needs the values in the CRM."""
        return any(getattr(self, name) is not None for name in COMPARING)

    @property
    def measures(self) -> bool:
        """Whether a limit has to be measured before the run writes."""
        return any(getattr(self, one.name) is not None for one in fields(self) if one.name != CANARY)

    def check(self) -> None:
        """Refuse wrong limits.

        Raises:
            ConfigurationError: Naming each, and a limit to write instead.
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
            elif limit.name == CANARY and value == 0:
                problems.append(f"{limit.name} is 0; write a whole number from 1 on, or leave it out")
        if not problems and self.min_rows is not None and self.max_rows is not None and self.min_rows > self.max_rows:
            problems.append(
                f"min_rows is {self.min_rows} and max_rows {self.max_rows}; write a min_rows that is not above"
            )
        if problems:
            msg = f"guardrails: {'; '.join(problems)}."
            raise ConfigurationError(msg)


def enforce(checks: Iterable[GuardrailCheck]) -> None:
    """Stop a run that would go beyond a limit.

    Raises:
        GuardrailError: Naming each limit that it would break, measured against allowed.
    """
    broken = [str(one) for one in checks if one.broken]
    if broken:
        msg = f"Nothing was written: the run would break its guardrails. {'; '.join(broken)}."
        raise GuardrailError(msg)


def _from_zero_on(value: float | Decimal) -> bool:
    """Return whether it is a number that is not negative; a comparison with Decimal("NaN") would raise."""
    return not (value.is_nan() if isinstance(value, Decimal) else math.isnan(value)) and value >= 0
