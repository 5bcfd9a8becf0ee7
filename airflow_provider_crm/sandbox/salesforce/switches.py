"""Switches for all that is unknown, drifts or can fail in Salesforce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_crm.sandbox.switches import Switches


@dataclass(frozen=True, kw_only=True)
class SalesforceSwitches(Switches):
    """The switches of every API and those of Salesforce. The defaults are the documented contract, limits included.

    | Salesforce: limits and sessions | effect |
    |---|---|
    | `salesforce_daily_limit`, `salesforce_day_window` | calls of the org in the last seconds; None: no limit |
    | `salesforce_daily_excess` | calls beyond that limit which are still answered |
    | `salesforce_limit_headers` | answers have `Sforce-Limit-Info` |
    | `salesforce_app_limit_headers` | that header has a second part, about one app |
    | `salesforce_limits_permission` | the user may read `/limits`; else it is a 403 |
    | `salesforce_rotates_refresh_token` | a refresh replaces the refresh token |

    | Salesforce: rows | effect |
    |---|---|
    | `salesforce_type_errors` | a value of the wrong JSON type refuses its `row` or the whole `call` of a collection |
    | `salesforce_same_id_twice` | one id twice refuses both `rows` or the `call`, or is written `in_order` |
    | `salesforce_failed_ids` | failed rows of a collection repeat their id |
    | `salesforce_poisoned_ids` | records whose rows make Salesforce refuse the call |
    | `salesforce_locked_ids`, `salesforce_locked_until` | records with a lock, for ever or until an instant |
    | `salesforce_locked_once_ids` | records whose first write meets a lock |
    | `salesforce_duplicate_ids` | records that a duplicate rule refuses, unless the header allows it |
    | `salesforce_storage_full` | no row is written, as the storage is used up |

    | Salesforce: jobs | effect |
    |---|---|
    | `salesforce_allows_jobs` | jobs may be made; else they are refused |
    | `salesforce_job_rows` | rows of a job that are written each time its state is asked for; None: all |
    | `salesforce_job_failure` | with this message each job ends before its first row; empty: none does |

    | Salesforce: values | effect |
    |---|---|
    | `salesforce_restricted_stages` | `StageName` takes active stages only |
    | `salesforce_close_date` | a win moves a `future` date to today, unless a changed one is sent; `always`; `never` |
    | `salesforce_keeps_amount` | `Amount` of an opportunity with products stays as it is, without an error |
    | `salesforce_trims_text` | blanks around a text are cut off |
    | `salesforce_sorts_multipicklists` | the values of a multi-select picklist have the order of its definition |
    | `salesforce_stage_values` | `StageName` holds the `label` of a stage, or its `api_name` |
    | `salesforce_shows_currency` | the org shows its corporate currency |
    | `salesforce_multi_currency` | records have a currency of their own |
    """

    salesforce_daily_limit: int | None = 100_000
    salesforce_day_window: float = 86_400.0
    salesforce_daily_excess: int = 0
    salesforce_limit_headers: bool = True
    salesforce_app_limit_headers: bool = False
    salesforce_limits_permission: bool = True
    salesforce_rotates_refresh_token: bool = False
    salesforce_allows_jobs: bool = True
    salesforce_job_rows: int | None = None
    salesforce_job_failure: str = ""
    salesforce_type_errors: Literal["call", "row"] = "call"
    salesforce_same_id_twice: Literal["rows", "call", "in_order"] = "rows"
    salesforce_failed_ids: bool = False
    salesforce_poisoned_ids: frozenset[str] = frozenset()
    salesforce_locked_ids: frozenset[str] = frozenset()
    salesforce_locked_until: float | None = None
    salesforce_locked_once_ids: frozenset[str] = frozenset()
    salesforce_duplicate_ids: frozenset[str] = frozenset()
    salesforce_storage_full: bool = False
    salesforce_restricted_stages: bool = False
    salesforce_close_date: Literal["future", "always", "never"] = "future"
    salesforce_keeps_amount: bool = True
    salesforce_trims_text: bool = True
    salesforce_sorts_multipicklists: bool = True
    salesforce_stage_values: Literal["label", "api_name"] = "label"
    salesforce_shows_currency: bool = True
    salesforce_multi_currency: bool = True
