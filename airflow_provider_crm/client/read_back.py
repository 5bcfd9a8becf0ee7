"""Read the record in an answer, and find out whether a call that got no answer has landed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.client.transport_errors import NOT_SENT
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.vendors.answers import text_of
from airflow_provider_crm.vendors.comparison import is_written
from airflow_provider_crm.vendors.encoding import written_values

if TYPE_CHECKING:
    import requests

    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.vendors.calls import Call, RowAnswer
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Record


def record_in(answer: requests.Response, vendor: Vendor, record_id: str) -> Record:
    """Return the record in an answer.

    Raises:
        IgnoredError: It is another record than the one with this id.
    """
    record = vendor.read(answer)
    check_id(record, vendor, record_id)
    return record


def check_id(record: Record, vendor: Vendor, record_id: str) -> None:
    """Refuse a record that is not the one that was asked for.

    Raises:
        IgnoredError: It is another record than the one with this id.
    """
    shown = record.get(vendor.id_key)
    if shown == record_id or not isinstance(shown, (str, int)):
        return
    if vendor.canonical_id(str(shown)) != vendor.canonical_id(record_id):
        other = text_of(shown)
        msg = (
            f"{vendor.display_name} answered with the record {other!r} instead of {record_id!r}, as it does when "
            f"the one was merged into the other. Write to {other!r} if that is the one that is meant."
        )
        fields = {vendor.id_key: "another record"}
        raise IgnoredError(msg, vendor=vendor.name, code="OTHER_RECORD", record_id=record_id, field_errors=fields)


def checked_answers(
    answers: Sequence[RowAnswer], record_ids: Sequence[str], vendor: Vendor, redactor: Redactor
) -> list[RowAnswer]:
    """Return the answer about each record, errors without secrets; one that shows another record is an error."""
    checked = [_checked_answer(answer, one, vendor) for answer, one in zip(answers, record_ids, strict=True)]
    for answer, record_id in zip(checked, record_ids, strict=True):
        if isinstance(answer, CrmError):
            redactor.redact(answer, record_id)
    return checked


def _checked_answer(answer: RowAnswer, record_id: str, vendor: Vendor) -> RowAnswer:
    if isinstance(answer, dict):
        try:
            check_id(answer, vendor, record_id)
        except CrmError as err:
            return err
    return answer


class ReadBack:
    """The check whether a call that got no answer has landed: it reads the record.

    Args:
        call: The writing call.
        record_id: Its opportunity.
        vendor: The vendor.
        catalogue: What the account offers.
        read: Reads some keys of an opportunity.

    Attributes:
        maybe_written: Whether an attempt got no answer, and was not read back because the call is safe to repeat.
    """

    def __init__(
        self,
        call: Call,
        record_id: str,
        vendor: Vendor,
        catalogue: Catalogue,
        read: Callable[[str, Sequence[str]], Record],
    ) -> None:
        self.maybe_written = False
        self._catalogue = catalogue
        self._call = call
        self._record_id = record_id
        self._vendor = vendor
        self._read = read

    def landed(self, err: TransientError) -> Record | None:
        """Return the record if the call has landed; None if it has not, or is safe to repeat.

        Raises:
            OutcomeUnknownError: The record cannot be read.
        """
        if err.code == NOT_SENT:
            return None
        if self._call.replayable:
            self.maybe_written = True
            return None
        try:
            record = self._read(self._record_id, [key for key, _ in written_values(self._call, self._vendor)])
        except (ConfigurationError, RejectedError, TransientError) as read_err:
            msg = (
                f"{err} It is not known whether {', '.join(self._call.fields)} landed: reading it back failed "
                f"({read_err})"
            )
            raise OutcomeUnknownError(
                msg, vendor=self._vendor.name, status=err.status, code="NO_ANSWER", record_id=self._record_id
            ) from read_err
        return record if is_written(self._call, record, self._vendor, self._catalogue) else None
