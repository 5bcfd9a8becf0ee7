"""Read what users say about a limit: the limit itself, and the share of it that a run may use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_crm.exceptions import ConfigurationError

_STATED = re.compile(r"(\d{1,9})/(\d{1,5})(s|m|h)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class StatedLimit:
    """The vendor's limit as a connection or the vendor's documents state it: where pacing starts.

    Attributes:
        calls: Calls per window.
        seconds: Length of the window.
        is_documented: Whether the vendor's documents state it. Then it is kept as it stands until answers say more;
            else calls find out now and then whether there is room for more.
    """

    calls: int
    seconds: int
    is_documented: bool = False

    @classmethod
    def parse(cls, text: object) -> StatedLimit:
        """Read `40/1s`, `600/1m` or `1000/1h`.

        Raises:
            ConfigurationError: Saying what to write instead.
        """
        match = _STATED.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None or not int(match[1]) or not int(match[2]):
            msg = f"budget is {text!r}; write calls per time, such as '40/1s', '600/1m' or '1000/1h'."
            raise ConfigurationError(msg)
        return cls(int(match[1]), int(match[2]) * _UNITS[match[3]])


def check_share(name: str, value: object) -> float:
    """Return the share that an argument names.

    Raises:
        ConfigurationError: Saying what to write instead.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < float(str(value)) <= 1:
        msg = (
            f"{name} is {value!r}; write the part of the vendor's limit that the run may use, such as 0.9 (at most 1)."
        )
        raise ConfigurationError(msg)
    return float(str(value))
