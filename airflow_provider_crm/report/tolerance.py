"""Decide how many rows of a run may fail before it warns, and before its task fails."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from airflow_provider_crm.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Number or fraction of the rows that may fail before the run warns, and before the task fails.

    Attributes:
        max_rejected: A count (a whole number), or a fraction of all rows (a float from 0 to below 1). A float of 1 or
            more is refused: beside `1`, which is one row, `1.0` would be every row.
        warn_rejected: The same for the warning; None for no such warning.
    """

    max_rejected: float = 0
    warn_rejected: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigurationError: If one is neither a count nor a fraction, or the task would fail before it could warn.
        """
        object.__setattr__(self, "max_rejected", checked_tolerance("max_rejected", self.max_rejected))
        if self.warn_rejected is None:
            return
        object.__setattr__(self, "warn_rejected", checked_tolerance("warn_rejected", self.warn_rejected))
        comparable = self.max_rejected == 0 or type(self.max_rejected) is type(self.warn_rejected)
        if comparable and self.warn_rejected >= self.max_rejected:
            msg = (
                f"warn_rejected is {self.warn_rejected} and max_rejected {self.max_rejected}, so the task fails before "
                "it can warn; write a warn_rejected below max_rejected."
            )
            raise ConfigurationError(msg)

    def exceeded(self, failures: int, rows: int) -> bool:
        """Return whether that many failures are too many."""
        return failures > _allowed(self.max_rejected, rows)

    def warning(self, failures: int, rows: int) -> str | None:
        """Return the warning of a run that succeeds with that many failures; None if they are few enough."""
        if (
            self.warn_rejected is None
            or failures <= _allowed(self.warn_rejected, rows)
            or self.exceeded(failures, rows)
        ):
            return None
        limits = f"more than warn_rejected={self.warn_rejected}, within max_rejected={self.max_rejected}"
        return f"{failures:,} of {rows:,} rows did not land: {limits}."


def checked_tolerance(name: str, value: object) -> float:
    """Return a count of rows, or a fraction below 1.

    Args:
        name: Name of the argument, for the message.
        value: Its value.

    Raises:
        ConfigurationError: If it is neither.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0:
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Integral) and 0 <= float(value) < 1:
        return float(value)
    msg = (
        f"{name} is {value!r}; write a count such as 10 (a whole number: 1 is one row), or a fraction below 1 such as "
        "0.01."
    )
    raise ConfigurationError(msg)


def _allowed(limit: float, rows: int) -> float:
    return limit * rows if isinstance(limit, float) else limit
