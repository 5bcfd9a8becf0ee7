"""Write the rest of a limit into headers, in the forms that servers use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.rate_limit import CallsLeft, Rule

ResetForm = Literal["decimal", "whole", "epoch", "epoch_milliseconds", "absent"]
RetryAfterForm = Literal["seconds", "date", "absent"]

# Of a float's 1.0000000001 nothing is rounded up.
_NOISE = 1e-6


def reset_text(seconds: float, form: ResetForm, now: datetime) -> str | None:
    """Write when there are more calls, rounded up; None for a reset that is not named.

    Args:
        seconds: from now on.
        form: `decimal` seconds (to milliseconds, without needless zeros), `whole` seconds, or the moment as an `epoch`
            in whole seconds or in milliseconds.
        now: aware, on the vendor's clock.
    """
    match form:
        case "decimal":
            return f"{math.ceil(seconds * 1000 - _NOISE) / 1000:.3f}".rstrip("0").rstrip(".")
        case "whole":
            return str(math.ceil(seconds))
        case "epoch":
            return str(math.ceil(now.timestamp() + seconds - _NOISE))
        case "epoch_milliseconds":
            return str(math.ceil((now.timestamp() + seconds) * 1000 - _NOISE))
    return None


def retry_after_headers(seconds: float, form: RetryAfterForm, now: datetime) -> dict[str, str]:
    """Return a `Retry-After` header that is never too early; none if the form is `absent`."""
    if form == "seconds":
        return {"retry-after": str(math.ceil(seconds))}
    if form == "date":
        rounded_up = (now + timedelta(seconds=seconds, microseconds=999_999)).replace(microsecond=0)
        return {"retry-after": format_datetime(rounded_up, usegmt=True)}
    return {}


def policy_headers(
    limits: Mapping[str, tuple[Rule, CallsLeft]], form: ResetForm, now: datetime, *, names_window: bool = True
) -> dict[str, str]:
    """Return the standard headers with named policies: `RateLimit: "day";r=9;t=3600` and `RateLimit-Policy`.

    Args:
        limits: rule and rest of each limit, by its name.
        form: how the reset of each is written.
        now: aware, on the vendor's clock.
        names_window: whether the policies name the length of their windows.
    """
    rests, policies = [], []
    for name, (rule, left) in limits.items():
        reset = reset_text(left.reset, form, now)
        rests.append(f'"{name}";r={left.remaining}' + ("" if reset is None else f";t={reset}"))
        policies.append(f'"{name}";q={left.limit}' + (f";w={math.ceil(rule.window)}" if names_window else ""))
    return {"ratelimit": ", ".join(rests), "ratelimit-policy": ", ".join(policies)}
