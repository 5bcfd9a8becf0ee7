"""Switches for all that is unknown, drifts or can fail in Raze, and those of its published servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_crm.sandbox.limit_texts import ResetForm, RetryAfterForm
from airflow_provider_crm.sandbox.rate_limit import LimitKind
from airflow_provider_crm.sandbox.switches import Switches


@dataclass(frozen=True, kw_only=True)
class RazeSwitches(Switches):
    """The switches of every API and those of Raze. The defaults are the documented contract, with no limit enforced.

    | Raze | effect |
    |---|---|
    | `raze_limit`, `raze_window`, `raze_limit_kind` | calls per seconds by key; in a `window` as documented |
    | `raze_limit_headers` | answers have the documented `X-RateLimit-*` |
    | `raze_reset` | `X-RateLimit-Reset` as documented, or in another form, see `close_reset` |
    | `raze_retry_after` | `Retry-After` of a 429 as `seconds`, as `date`, or `absent`, as documented |
    | `raze_retry_after_header` | the same as `seconds` |
    | `raze_body_wait` | a 429 has `error.retry_after`, as documented |
    | `raze_day_limit`, `raze_day_kind` | calls of a key in a day, in the standard `RateLimit` header |
    | `raze_ignores_deal_value` | PUT drops `deal_value` and `deal_currency`; alone they are 400 "No fields to update" |
    | `raze_string_numbers` | money is a JSON string |
    | `raze_postgres_timestamps` | times are raw PostgreSQL text |
    | `raze_value_keys` | money is shown as `value` and `currency` |
    | `raze_top_level_pagination` | the list is `data` itself, with `pagination` beside it and a page of 50 |
    | `raze_uuid_ids` | an id that is no UUID is a 500 |
    | `raze_stages` | stages as `documented`, by the server's nine `names`, or by `stage_id`, both with `stage_change` |
    | `raze_restamps_won_at` | `won` again sets `won_at` again |
    | `raze_clears_won_at` | leaving `won` or `lost` clears its time |
    | `raze_expired_is_invalid` | an expired key is refused as `INVALID_API_KEY` |
    | `raze_shared_contacts` | name, email, phone and company are written to every opportunity of the same contact |
    """

    raze_limit: int | None = None
    raze_window: float = 3600.0
    raze_limit_kind: LimitKind = "window"
    raze_limit_headers: bool = True
    raze_reset: ResetForm = "epoch"
    raze_retry_after: RetryAfterForm = "absent"
    raze_retry_after_header: bool = False
    raze_body_wait: bool = True
    raze_day_limit: int | None = None
    raze_day_kind: LimitKind = "window"
    raze_ignores_deal_value: bool = False
    raze_string_numbers: bool = False
    raze_postgres_timestamps: bool = False
    raze_value_keys: bool = False
    raze_top_level_pagination: bool = False
    raze_uuid_ids: bool = False
    raze_stages: Literal["documented", "names", "stage_id"] = "documented"
    raze_restamps_won_at: bool = True
    raze_clears_won_at: bool = False
    raze_expired_is_invalid: bool = False
    raze_shared_contacts: bool = False


_SERVER = {
    "raze_ignores_deal_value": True,
    "raze_string_numbers": True,
    "raze_postgres_timestamps": True,
    "raze_top_level_pagination": True,
    "raze_uuid_ids": True,
    "raze_expired_is_invalid": True,
}

RAZE_SERVER_2025: Mapping[str, Any] = {
    **_SERVER,
    "raze_stages": "names",
    "ignored_fields": frozenset({"position"}),
}
"""Raze as its published server of December 2025 behaves: `sandbox.set(**RAZE_SERVER_2025)`."""

RAZE_SERVER_2026: Mapping[str, Any] = {
    **_SERVER,
    "raze_stages": "stage_id",
    "raze_value_keys": True,
    "raze_shared_contacts": True,
    "ignored_fields": frozenset({"position", "responsible_user_id"}),
}
"""Raze as its published server of January and February 2026 behaves: `sandbox.set(**RAZE_SERVER_2026)`."""
