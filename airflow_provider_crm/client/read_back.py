"""Find out whether a call that got no answer has landed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.client.transport_errors import NOT_SENT
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.vendors.comparison import is_written
from airflow_provider_crm.vendors.encoding import written_values

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record


class ReadBack:
    """The check whether a call that got no answer has landed: it reads the record.

    Args:
        vendor: The vendor.
        catalogue: What the account offers.
        read: Reads some keys of an opportunity.

    Attributes:
        maybe_written: Whether an attempt got no answer, and was not read back because the call is safe to repeat.
    """

    def __init__(self, vendor: Vendor, catalogue: Catalogue, read: Callable[[str, Sequence[str]], Record]) -> None:
        self.maybe_written = False
        self._vendor = vendor
        self._catalogue = catalogue
        self._read = read

    def landed(self, call: Call, record_id: str, err: TransientError) -> Record | None:
        """Return the record if a call has landed; None if it has not, or is safe to repeat.

        Args:
            call: The writing call.
            record_id: Its opportunity.
            err: What came in place of an answer.

        Raises:
            OutcomeUnknownError: The record cannot be read.
        """
        if err.code == NOT_SENT:
            return None
        if call.replayable:
            self.maybe_written = True
            return None
        try:
            record = self._read(record_id, [key for key, _ in written_values(call, self._vendor)])
        except (ConfigurationError, RejectedError, TransientError) as read_err:
            msg = f"{err} It is not known whether {', '.join(call.fields)} landed: reading it back failed ({read_err})"
            raise OutcomeUnknownError(
                msg, vendor=self._vendor.name, status=err.status, code="NO_ANSWER", record_id=record_id
            ) from read_err
        return record if is_written(call, record, self._vendor, self._catalogue) else None
