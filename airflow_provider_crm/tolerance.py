"""How many rows of a run may fail before its task does."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_crm.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many rows may fail before the task does.

    Attributes:
        max_rejected: A count (int) or a fraction of all rows (float from 0 to 1).
    """

    max_rejected: float = 0

    def __post_init__(self) -> None:
        """Check the number.

        Raises:
            ConfigurationError: If it is neither a count nor a fraction.
        """
        value = self.max_rejected
        fraction = isinstance(value, float) and not 0 <= value <= 1
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or fraction:
            msg = f"max_rejected is {value!r}; write a count such as 10, or a fraction such as 0.01."
            raise ConfigurationError(msg)

    def exceeded(self, failures: int, rows: int) -> bool:
        """Whether that many failures are too many."""
        allowed = self.max_rejected * rows if isinstance(self.max_rejected, float) else self.max_rejected
        return failures > allowed
