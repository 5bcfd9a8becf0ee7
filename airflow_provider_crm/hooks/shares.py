"""Read which part of the vendor's limits may be used, where an argument does not say it."""

from __future__ import annotations

from airflow.sdk import conf

from airflow_provider_crm.budget.stated import check_share

DEFAULT_SHARE = 0.9
"""The part of a limit that runs may use together; the rest is left to people and other programs."""
DEFAULT_DAILY_SHARE = 0.5
"""The part of a daily limit that they may use, whose calls come back only the next day."""


def daily_share_of(value: object) -> float:
    """Return the part of a daily limit that may be used.

    Args:
        value: The argument `daily_share`; None for what `[crm] daily_share` says, else `DEFAULT_DAILY_SHARE`.

    Raises:
        ConfigurationError: The argument, or the option, is no share.
    """
    return _configured_daily_share() if value is None else check_share("daily_share", value)


def _configured_daily_share() -> float:
    text = (conf.get("crm", "daily_share", fallback="") or "").strip()
    if not text:
        return DEFAULT_DAILY_SHARE
    try:
        share: object = float(text)
    except ValueError:
        share = text
    return check_share("[crm] daily_share", share)
