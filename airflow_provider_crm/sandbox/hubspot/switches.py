"""Switches for all that is unknown, drifts or can fail in HubSpot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_crm.sandbox.switches import Switches


@dataclass(frozen=True, kw_only=True)
class HubSpotSwitches(Switches):
    """The switches of every API and those of HubSpot. The defaults are the documented contract, limits included.

    | HubSpot: limits | effect |
    |---|---|
    | `hubspot_limit`, `hubspot_window` | calls of a token in the last seconds, searches apart; None: no limit |
    | `hubspot_daily_limit` | calls of all private apps in a day of the account's zone; None: no limit |
    | `hubspot_daily_headers` | answers name the limit of the day; those to OAuth tokens never do |
    | `hubspot_limit_headers` | answers name limits at all |
    | `hubspot_secondly_headers` | answers have the obsolete `X-HubSpot-RateLimit-Secondly`, too, which limits nothing |
    | `hubspot_bare_429` | a 429 has no headers about limits |
    | `hubspot_retry_after` | `Retry-After` of a 429 is `absent`, as documented, or in `seconds` or `milliseconds` |
    | `hubspot_search_limit` | searches of the account per second; None: no limit |
    | `hubspot_search_counts_daily` | a search counts against the day |

    | HubSpot: batches | effect |
    |---|---|
    | `hubspot_names_rows` | a batch with an `objectWriteTraceId` of its own in each input writes the good rows and
      names the bad ones in a 207; else it is a 400, which names none and writes nothing |
    | `hubspot_names_properties` | the errors of a 400 name the properties |
    | `hubspot_poisoned_ids` | one of these records in a batch: 400 for the whole, which names no row and no property |
    | `hubspot_rejected_ids` | writes to these records are refused as by a validation rule, like a bad value |
    | `hubspot_locked_ids`, `hubspot_locked_until` | calls that write one of these records are 423, until that epoch
      second; None: without end |
    | `hubspot_left_out_ids` | rows that are written, and that the answer of their batch leaves out |
    | `hubspot_shuffled` | results of a batch come in any order |
    | `hubspot_echoes_traces` | results repeat the `objectWriteTraceId` of their input |
    | `hubspot_echoes_unchanged` | the answer to a write shows a property that was sent with the value that it had |
    | `hubspot_refuses_empty_inputs` | a batch of no inputs is a 400; a body without `inputs` is never one |
    | `hubspot_archive_twice` | DELETE of an archived record is `204` or `404` |
    | `hubspot_merged_answers` | the id of a record that was merged into another one answers with that one |

    | HubSpot: values | effect |
    |---|---|
    | `hubspot_null` | null as a value `clears` the property, is `ignored`, or `refused` |
    | `hubspot_cleared_is_null` | a property that was cleared shows null, rather than empty text |
    | `hubspot_closedate` | a move into a won or lost stage sets `closedate` to now: `unless_sent`, `always`, `never` |
    | `hubspot_lower_case_in` | `IN` of a search finds only texts that are sent in lower case |

    | HubSpot: the rest | effect |
    |---|---|
    | `hubspot_search_lag` | searches answer the state of so many seconds ago |
    | `hubspot_not_found` | a 404 for a record as `json`, `bare` without a category, or as a page in `html` |
    | `hubspot_moves_until` | until that epoch second every call is 477 with `Retry-After`, as the account is moved |
    | `hubspot_rotates_refresh_token` | each refresh of an OAuth token replaces the refresh token, too |
    """

    hubspot_limit: int | None = 100
    hubspot_window: float = 10.0
    hubspot_daily_limit: int | None = 250_000
    hubspot_daily_headers: bool = True
    hubspot_limit_headers: bool = True
    hubspot_secondly_headers: bool = False
    hubspot_bare_429: bool = False
    hubspot_retry_after: Literal["absent", "seconds", "milliseconds"] = "absent"
    hubspot_search_limit: int | None = 5
    hubspot_search_counts_daily: bool = True
    hubspot_names_rows: bool = True
    hubspot_names_properties: bool = True
    hubspot_poisoned_ids: frozenset[str] = frozenset()
    hubspot_rejected_ids: frozenset[str] = frozenset()
    hubspot_locked_ids: frozenset[str] = frozenset()
    hubspot_locked_until: float | None = None
    hubspot_left_out_ids: frozenset[str] = frozenset()
    hubspot_shuffled: bool = True
    hubspot_echoes_traces: bool = False
    hubspot_echoes_unchanged: bool = True
    hubspot_refuses_empty_inputs: bool = False
    hubspot_archive_twice: Literal["204", "404"] = "204"
    hubspot_merged_answers: bool = True
    hubspot_null: Literal["clears", "ignored", "refused"] = "clears"
    hubspot_cleared_is_null: bool = False
    hubspot_closedate: Literal["unless_sent", "always", "never"] = "unless_sent"
    hubspot_lower_case_in: bool = False
    hubspot_search_lag: float = 0.0
    hubspot_not_found: Literal["json", "bare", "html"] = "json"
    hubspot_moves_until: float = 0.0
    hubspot_rotates_refresh_token: bool = False
