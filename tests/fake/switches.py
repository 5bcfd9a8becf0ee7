"""Switches of Batchly's sandbox APIs: each API has all of them, under names that begin with its own name.

| switch, without the API's name and the underscore | effect |
|---|---|
| `limit`, `window` | units per so many seconds, by key and group of endpoints; None: no limit |
| `limit_kind` | how they are counted, as `close_limit_kind` |
| `silent_limits` | no answer says anything about a limit, and a 429 nothing about a wait |
| `daily_limit` | units per day of the account's time zone, for all its keys together; None: no limit |
| `status` | status of a batch: `by_row` (207 if a row failed, else 200), or always `207` or `200` |
| `results` | a batch answers in `full`, with `no_results` in the right shape, or with `no_body` at all |
| `shuffled` | results of a batch that name their record come in any order |
| `poisoned_ids` | one of these records in a batch: the whole call is refused, without a word about the row at fault |
| `rejected_ids` | writes to these records are refused by a rule of the account |
| `locked_ids` | writes to these records are refused as locked if they share their call with others |
| `unnamed_ids` | errors of these records name neither record nor trace |
| `left_out_ids`, `left_out_rate` | rows that are written, and that the answer of their batch leaves out |
| `dropped_rate` | rows that are answered with success and not written; see `ignored_ids` and `ignored_fields` |
"""

from __future__ import annotations

from dataclasses import field, make_dataclass
from typing import Any, Literal

from airflow_provider_crm.sandbox import LimitKind, Switches

_SWITCHES: dict[str, tuple[Any, Any]] = {
    "limit": (int | None, None),
    "window": (float, 10.0),
    "limit_kind": (LimitKind, "sliding"),
    "silent_limits": (bool, False),
    "daily_limit": (int | None, None),
    "status": (Literal["by_row", "207", "200"], "by_row"),
    "results": (Literal["full", "no_results", "no_body"], "full"),
    "shuffled": (bool, True),
    "poisoned_ids": (frozenset[str], frozenset()),
    "rejected_ids": (frozenset[str], frozenset()),
    "locked_ids": (frozenset[str], frozenset()),
    "unnamed_ids": (frozenset[str], frozenset()),
    "left_out_ids": (frozenset[str], frozenset()),
    "left_out_rate": (float, 0.0),
    "dropped_rate": (float, 0.0),
}


def switches_of(api: str) -> type[Switches]:
    """Return the class of the switches of one API."""
    named = [(f"{api}_{name}", hint, field(default=default)) for name, (hint, default) in _SWITCHES.items()]
    return make_dataclass(
        f"{api.title().replace('_', '')}Switches", named, bases=(Switches,), frozen=True, kw_only=True
    )
