"""Switches for all that is unknown, drifts or can fail in the two vendors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from airflow_provider_crm.sandbox.faults import Fault
from airflow_provider_crm.sandbox.rate_limit import LimitKind

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.wire import Json


@dataclass(frozen=True, kw_only=True)
class Switches:
    """All switches and their defaults. The defaults are the documented contract, with no limit enforced and no fault.

    | both vendors | effect |
    |---|---|
    | `fault_rates` | fault name (see `faults`) to probability, e.g. `{"http_503": 0.05, "reset_after": 0.01}` |
    | `fault_methods`, `fault_vendors` | the rates hold for these methods, these vendors only; None: for all |
    | `seed` | start of the random numbers; setting it or `fault_rates` starts them over, so a run repeats |
    | `slow_seconds` | how long `slow` and `late` last, in real seconds |
    | `throttle_seconds` | the wait that a forced `http_429` asks for |
    | `redirect_to` | target of the redirect faults; None: the same path on the host name `localhost` |
    | `stale_seconds` | reads answer the state of so many seconds ago, in the sandbox's time |
    | `ignored_ids` | writes to these records answer 2xx and change nothing |
    | `ignored_fields` | these fields are dropped from every write without an error |

    | Close | effect |
    |---|---|
    | `close_limit`, `close_window`, `close_limit_kind` | calls per seconds by key and group; thrice by organization |
    | `close_rate_limit_header` | `comma`, `semicolon`, `x-rate-limit`, `ratelimit-reset` (old spellings), `absent` |
    | `close_integer_reset` | `reset` in whole seconds, rounded up, rather than decimal |
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

    | Raze | effect |
    |---|---|
    | `raze_limit`, `raze_window` | calls per seconds by key; windows are aligned to the clock |
    | `raze_retry_after_header` | a 429 has a `Retry-After` header besides `error.retry_after` |
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

    fault_rates: Mapping[str, float] = field(default_factory=dict)
    fault_methods: frozenset[str] | None = None
    fault_vendors: frozenset[str] | None = None
    seed: int = 0
    slow_seconds: float = 0.05
    throttle_seconds: float = 1.0
    redirect_to: str | None = None
    stale_seconds: float = 0.0
    ignored_ids: frozenset[str] = frozenset()
    ignored_fields: frozenset[str] = frozenset()

    close_limit: int | None = None
    close_window: float = 1.0
    close_limit_kind: LimitKind = "window"
    close_rate_limit_header: Literal["comma", "semicolon", "x-rate-limit", "ratelimit-reset", "absent"] = "comma"
    close_integer_reset: bool = False
    close_retry_after: Literal["seconds", "date", "absent"] = "seconds"
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

    raze_limit: int | None = None
    raze_window: float = 3600.0
    raze_retry_after_header: bool = False
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

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """Return the switches with some of them set.

        Raises:
            ValueError: an unknown name, or a value that the switch doesn't have; the message lists the known ones.
        """
        hints = get_type_hints(type(self))
        known = [one.name for one in fields(self)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            message = f"There is no switch {', '.join(unknown)}. Known switches: {', '.join(known)}."
            raise ValueError(message)
        return replace(self, **{name: _checked(name, value, hints[name]) for name, value in changes.items()})


class Panel:
    """The switches as they are set now."""

    def __init__(self) -> None:
        self.current = Switches()

    def set(self, changes: Mapping[str, Any]) -> None:
        """Set some switches; the others stay.

        Raises:
            ValueError: an unknown name or value; nothing is changed then.
        """
        self.current = self.current.changed(changes)

    def reset(self) -> None:
        """Put all switches back to their defaults."""
        self.current = Switches()


def _checked(name: str, value: Json, hint: object) -> Json:
    """Turn lists into sets and decimals into floats, and refuse a value that the switch doesn't have."""
    if name == "fault_rates":
        if not isinstance(value, Mapping):
            message = f"fault_rates cannot be {value!r}; write a probability by fault, such as {{'http_503': 0.1}}."
            raise ValueError(message)
        return {Fault.parse(fault).name: _number(f"fault_rates of {fault}", rate) for fault, rate in value.items()}
    if name.startswith(("fault_", "ignored_")):
        if isinstance(value, str) or not all(isinstance(one, str) for one in value or ()):
            message = f"{name} is a set of strings; write {{{value!r}}}."
            raise ValueError(message)
        return None if value is None else frozenset(value)
    if hint is float:
        return _number(name, value, least=-24.0 if name.endswith("_offset") else 0.0)
    wanted = get_args(hint) or (hint,)
    if get_origin(hint) is not Literal and type(value) not in wanted:
        names = " or ".join("null" if one is type(None) else one.__name__ for one in wanted)
        message = f"{name} cannot be {value!r}; write {names}."
        raise ValueError(message)
    if get_origin(hint) is Literal and value not in get_args(hint):
        message = f"{name} cannot be {value!r}; it is one of {', '.join(get_args(hint))}."
        raise ValueError(message)
    return value


def _number(name: str, value: Json, *, least: float = 0.0) -> float:
    number = float(value) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else math.nan
    if not least <= number < math.inf or (number == 0 and name.endswith("_window")):
        message = f"{name} cannot be {value!r}; write a number."
        raise ValueError(message)
    return number


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
