"""Describe a vendor to its contract: how to reach its sandbox, and an example of each value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_crm.hooks.crm import CrmHook
    from airflow_provider_crm.sandbox import Json, SandboxAccount, SandboxApi
    from airflow_provider_crm.vendors.protocol import Vendor


@dataclass(frozen=True)
class Example:
    """A value of one field.

    Attributes:
        value: The value as a row has it. It differs from what `Subject.record` has in that field.
        shown: The members of the sandbox's record that hold the value afterwards, as `SandboxAccount.opportunity`
            returns them. It is written down by hand, from the vendor's documents: the vendor's code has no part in it.
        is_echoed: Whether an answer that shows the record shows this field, too.
        is_personal: Whether the value may stand in no log.
        is_unique: Whether no two records may hold one value.
    """

    value: object
    shown: Mapping[str, Json]
    is_echoed: bool = True
    is_personal: bool = False
    is_unique: bool = False


@dataclass(frozen=True, kw_only=True)
class BatchSwitches:
    """The names of a sandbox API's own switches for batches; None for a switch that it does not have.

    Attributes:
        poisoned: A set of record ids: writes to them are refused, and a call with one of them and others as a whole.
        left_out: A set of record ids: the answer leaves these rows out.
        shuffled: A boolean: the results come in any order.
    """

    poisoned: str | None = None
    left_out: str | None = None
    shuffled: str | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A vendor, and what its contract needs to know to test it.

    Attributes:
        vendor: The vendor.
        hook: Its hook.
        sandbox_api: Its API for the sandbox; everything is tested by calls to it.
        values: An example for each field of the catalogue, by name; not for one that only goes along with another,
            such as the pipeline of a stage.
        record: What `SandboxAccount.add_opportunity` gets for each record: a value in every field that has an example.
        refused: Value by field name of a row that passes all rules here, and that the vendor refuses with a reason.
        stages: A label of a stage, by its type: `won`, `lost` and `active`; empty without stages.
        won_on: Returns the date of the win that people see in a record, None if there is none; needed with stages.
        timezone: IANA zone of the people who use the account, west of UTC and with daylight saving time.
        win_zone: IANA zone by which the vendor itself dates a win, if that is not the one of the people.
        limit_switches: Names of the sandbox API's switches for a limit of calls, and for the seconds of its window.
        batch_switches: Those for batches.
        spellings: Several spellings of one id, if the vendor has more than one; the first is the canonical one.
    """

    vendor: Vendor
    hook: type[CrmHook]
    sandbox_api: SandboxApi[Any]
    values: Mapping[str, Example]
    record: Mapping[str, Json]
    refused: Mapping[str, object]
    stages: Mapping[str, str] = field(default_factory=dict)
    won_on: Callable[[SandboxAccount, str], dt.date | None] | None = None
    timezone: str = "America/New_York"
    win_zone: str | None = None
    limit_switches: tuple[str, str] | None = None
    batch_switches: BatchSwitches | None = None
    spellings: tuple[str, ...] = ()
