"""Choose the kind of limit that fits the answers so far.

- `windows.FixedWindow`: so many calls per window. The answers name its limit, the calls that remain and its end.
- `bucket.TokenBucket`: a limit that is refilled all the time, with the same headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_crm.budget.bucket import TokenBucket
from airflow_provider_crm.budget.rate import TESTING_SHARE
from airflow_provider_crm.budget.windows import LONGEST_SPREAD, FixedWindow

if TYPE_CHECKING:
    from airflow_provider_crm.budget.limit_state import LimitState
    from airflow_provider_crm.budget.stated import StatedLimit


def stated_window(stated: StatedLimit | None, share: float, *, shared: bool) -> FixedWindow | None:
    """Return the window that a connection states; None for a limit whose calls are spaced, or for none.

    Args:
        stated: What the connection says.
        share: Part of the limit that may be used.
        shared: Whether other workers use the same store.
    """
    if stated is None or stated.seconds <= LONGEST_SPREAD:
        return None
    return FixedWindow.as_stated(share, shared=shared, limit=stated.calls, length=float(stated.seconds))


def fitting(state: LimitState | None, share: float, *, shared: bool) -> LimitState:
    """Return the state if it fits the answers so far, else one of another kind.

    Args:
        state: What is known; None for nothing.
        share: Part of the limit that may be used.
        shared: Whether other workers use the same store.
    """
    if state is not None and not state.contradicted:
        return state
    if isinstance(state, FixedWindow):
        return TokenBucket(1.0 if shared else share, probes_pace=shared and share >= TESTING_SHARE)
    return FixedWindow.unknown(share, shared=shared)
