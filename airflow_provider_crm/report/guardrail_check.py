"""One guardrail's limit beside what a run would do, as reports and pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class GuardrailCheck:
    """One limit beside what a run would do.

    Attributes:
        limit: Name of the limit.
        measured: The measured value.
        allowed: The largest value that is allowed; of a limit whose name begins with `min_`, the smallest.
        unit: The unit of both, in words that follow the number.
    """

    limit: str
    measured: Decimal
    allowed: Decimal
    unit: str

    @property
    def broken(self) -> bool:
        """Whether the run would go beyond the limit."""
        return self.measured < self.allowed if self.is_least else self.measured > self.allowed

    @property
    def is_least(self) -> bool:
        """Whether the run has to reach the limit, instead of staying within it."""
        return self.limit.startswith("min_")

    def __str__(self) -> str:
        required = "required are at least" if self.is_least else "allowed are"
        return f"{self.limit}: {_number(self.measured)} {self.unit}, {required} {_number(self.allowed)}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for XCom; numbers are text, and so exact."""
        return {
            "limit": self.limit,
            "measured": str(self.measured),
            "allowed": str(self.allowed),
            "unit": self.unit,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the check that `to_dict` wrote, maybe before the package was upgraded."""
        # XComs and the state of deferred tasks may be of a package whose ledger has version 1: it wrote `told`.
        unit = values["unit"] if "unit" in values else values["told"]
        return cls(values["limit"], Decimal(values["measured"]), Decimal(values["allowed"]), unit)


def _number(number: Decimal) -> str:
    whole = number == number.to_integral_value()
    return f"{int(number):,}" if whole else f"{number.quantize(Decimal('0.0001')).normalize():,f}"
