"""Rules by which the rows of a run are written, and the check of the fields that they name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.client.transport import LARGEST_POOL
from airflow_provider_crm.exceptions import ConfigurationError, UnknownFieldError
from airflow_provider_crm.values.opportunity import Outcome, Update
from airflow_provider_crm.values.time_zones import local_date

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record

Inspect: TypeAlias = "Callable[[Update, Record], Outcome | None]"
"""Looks at the record before a row is written; returns the outcome of a row that is not to be written, else None."""

DATE_WON_DEFAULTS = ("server", "as_of")
LARGEST_CONCURRENCY = LARGEST_POOL
_INSTANT = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PushRules:
    """The rules by which rows are written.

    Attributes:
        timezone: IANA zone of the run; None sends an offset header of UTC.
        verify_echo: Whether the record that comes back is compared with the values that were sent.
        concurrency: Calls in flight at once, at most; see `Concurrency`. A crash repeats the rows of so many calls at
            most: this number for vendors without batches, else times the rows of a batch.
        date_won_default: The date of a won stage without one, in a late run. "server" lets the vendor set its today,
            "as_of" sends the date of the row's data, None refuses the row.
        resumed: Whether an earlier try of this run may have written some rows already: without a ledger, what may
            not be written twice is then read first.
        changes_only: With a ledger, leave out values that are known to be in the CRM.
        retry_rejected: With a ledger, send also the very values that the CRM has refused before.
        capture_before: Read a record before it is written for the first time, so that the change log knows what stood
            there.
        upload_after: Changed rows that are sent by calls before the others go as one file, where the vendor takes some;
            None sends all by calls.
        canary_rows: Rows that have to land, as a read shows, before any other is sent; None sends all rows at once.
        interval_end: The run's data time, if that is the end of an interval. As an `as_of` it is the first moment that
            is no longer part of the data, so the date of the data is the one before it.
    """

    timezone: str | None = None
    verify_echo: bool = True
    concurrency: int = LARGEST_CONCURRENCY
    date_won_default: str | None = None
    resumed: bool = False
    interval_end: dt.datetime | None = None
    changes_only: bool = True
    retry_rejected: bool = False
    capture_before: bool = False
    upload_after: int | None = None
    canary_rows: int | None = None

    def __post_init__(self) -> None:
        """Check the words and numbers.

        Raises:
            ConfigurationError: Saying what to write instead.
        """
        if self.date_won_default not in (None, *DATE_WON_DEFAULTS):
            msg = f"date_won_default is {self.date_won_default!r}; write 'server' or 'as_of', or leave it out."
            raise ConfigurationError(msg)
        if type(self.concurrency) is not int or not 1 <= self.concurrency <= LARGEST_CONCURRENCY:
            msg = f"concurrency is {self.concurrency!r}; write a whole number from 1 to {LARGEST_CONCURRENCY}."
            raise ConfigurationError(msg)

    @property
    def may_upload(self) -> bool:
        """Whether rows may be uploaded: none has to be read before it is written, and all are compared after."""
        return self.verify_echo and not self.capture_before

    def day_of(self, as_of: dt.datetime) -> dt.date:
        """Return the date of the data, in the run's zone."""
        last = as_of - _INSTANT if as_of == self.interval_end else as_of
        return local_date(last, self.timezone or "UTC")


def check_fields(fields: Mapping[str, str], vendor: Vendor, catalogue: Catalogue) -> None:
    """Refuse a mapping that names unknown fields, or fields that write the same key of the vendor.

    Args:
        fields: Field name by column.
        vendor: The adapter, for the message.
        catalogue: What the account offers.

    Raises:
        UnknownFieldError: Naming every unknown field and what may be written.
        ConfigurationError: Naming the columns that would overwrite each other.
    """
    unknown = [
        catalogue.unknown_field(name, vendor.display_name) for name in fields.values() if name not in catalogue.fields
    ]
    if unknown:
        raise UnknownFieldError("; ".join(unknown) + ".", vendor=vendor.name, code="UNKNOWN_FIELD")
    columns: dict[str, str] = {}
    for column, name in fields.items():
        for key in catalogue.fields[name].keys:
            if key in columns:
                both = f"columns {columns[key]!r} and {column!r} both write"
                msg = f"{both} {vendor.display_name}'s {key!r}; keep one of them."
                raise ConfigurationError(msg, vendor=vendor.name)
            columns[key] = column
