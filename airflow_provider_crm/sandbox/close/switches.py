"""Switches for all that is unknown, drifts or can fail in Close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_crm.sandbox.limit_texts import ResetForm, RetryAfterForm
from airflow_provider_crm.sandbox.rate_limit import LimitKind
from airflow_provider_crm.sandbox.switches import Switches


@dataclass(frozen=True, kw_only=True)
class CloseSwitches(Switches):
    """The switches of every API and those of Close. The defaults are the documented contract, with no limit enforced.

    | Close | effect |
    |---|---|
    | `close_limit`, `close_window`, `close_limit_kind` | calls per seconds by key and group; thrice by organization |
    | `close_rate_limit_header` | `comma`, `semicolon`, `x-rate-limit`, `ratelimit-reset`, `named`, `absent` |
    | `close_reset` | `decimal` seconds, `whole` ones, an `epoch`, in `epoch_milliseconds`, or `absent` |
    | `close_integer_reset` | the same as `whole` |
    | `close_names_window` | `RateLimit-Policy` names the seconds of the window; not for `x-rate-limit` |
    | `close_day_limit`, `close_day_kind` | calls of the organization in a day, beside the burst: both as `named` |
    | `close_retry_after` | `Retry-After` of a 429 as `seconds`, as `date`, or `absent` |
    | `close_old_429_body` | a 429 carries the old `error.rate_reset` body |
    | `close_flat_errors` | every 400 is `{"error": message}` rather than `field-errors` |
    | `close_nested_field_errors` | errors of custom fields are nested under `custom` |
    | `close_pydantic_errors` | the newer wording of validation errors |
    | `close_ignores_invalid_tz_offset` | an unreadable `x-tz-offset` counts as absent, rather than a 400 |
    | `close_default_tz_offset` | hours east of UTC where the header is absent |
    | `close_date_won_cut` | a datetime sent as `date_won` is cut as `written`, in `utc`, or at the call's `offset` |
    | `close_truncates_float_value` | a fractional `value` is cut to an integer, rather than a 400 |
    | `close_refuses_unknown_fields` | an unknown plain field is a 400, rather than accepted and dropped |
    | `close_refuses_foreign_status` | an update may not move to a status of another pipeline |
    | `close_won_sets_confidence` | winning sets `confidence` to 100 |
    | `close_restricted_field` | a role-restricted custom field answers `400`, `403`, or is silently `ignored` |
    """

    close_limit: int | None = None
    close_window: float = 1.0
    close_limit_kind: LimitKind = "window"
    close_rate_limit_header: Literal["comma", "semicolon", "x-rate-limit", "ratelimit-reset", "named", "absent"] = (
        "comma"
    )
    close_reset: ResetForm = "decimal"
    close_integer_reset: bool = False
    close_names_window: bool = False
    close_day_limit: int | None = None
    close_day_kind: LimitKind = "window"
    close_retry_after: RetryAfterForm = "seconds"
    close_old_429_body: bool = False
    close_flat_errors: bool = False
    close_nested_field_errors: bool = False
    close_pydantic_errors: bool = False
    close_ignores_invalid_tz_offset: bool = False
    close_default_tz_offset: float = 0.0
    close_date_won_cut: Literal["written", "utc", "offset"] = "written"
    close_truncates_float_value: bool = False
    close_refuses_unknown_fields: bool = False
    close_refuses_foreign_status: bool = False
    close_won_sets_confidence: bool = False
    close_restricted_field: Literal["400", "403", "ignored"] = "400"
