"""Judge how far two clocks are apart."""

from __future__ import annotations

from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem, warning

_NOTICED, _TOO_MUCH = 30.0, 120.0
_CURE = "Let the system synchronize the clock of the machine that is wrong, such as by chrony or systemd-timesyncd."


def clock_result(whose: str, seconds: float) -> CheckResult:
    """Return the result for another clock.

    Args:
        whose: Whose clock it is.
        seconds: How far it is ahead of this machine's.
    """
    size = abs(seconds)
    if size < _NOTICED:
        return ok("clock", f"This machine and {whose} have the same time, within {_NOTICED:.0f} seconds.")
    direction = "behind" if seconds > 0 else "ahead of"
    amount = f"{size:.0f} seconds" if size < _TOO_MUCH else f"{size / 60:.0f} minutes"
    sentence = f"The clock of this machine is {amount} {direction} the one of {whose}."
    if size < _TOO_MUCH:
        return warning("clock", sentence, _CURE)
    return problem("clock", f"{sentence} Data times, leases and tokens go wrong by that.", _CURE)
