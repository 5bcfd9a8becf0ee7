"""Decide how many rows of a run may fail before its task does."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from airflow_provider_crm.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Number or fraction of the rows that may fail before the task does.

    Attributes:
        max_rejected: A count (a whole number), or a fraction of all rows (a float from 0 to below 1). A float of 1 or
            more is refused: beside `1`, which is one row, `1.0` would be every row.
    """

    max_rejected: float = 0

    def __post_init__(self) -> None:
        """Check the number.

        Raises:
            ConfigurationError: If it is neither a count nor a fraction.
        """
        value: object = self.max_rejected
        is_count = isinstance(value, Integral) and not isinstance(value, bool)
        if is_count and int(self.max_rejected) >= 0:
            object.__setattr__(self, "max_rejected", int(self.max_rejected))
        elif isinstance(value, Real) and not isinstance(value, Integral) and 0 <= float(value) < 1:
            object.__setattr__(self, "max_rejected", float(value))
        else:
            msg = (
                f"max_rejected is {value!r}; write a count such as 10 (a whole number: 1 is one row), or a fraction "
                "below 1 such as 0.01."
            )
            raise ConfigurationError(msg)

    def exceeded(self, failures: int, rows: int) -> bool:
        """Return whether that many failures are too many."""
        allowed = self.max_rejected * rows if isinstance(self.max_rejected, float) else self.max_rejected
        return failures > allowed
