"""Read many records: all that match, page by page, or those of some ids, several in one call where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.client.shared_calls import checked_answer
from airflow_provider_crm.client.transport_errors import TOO_LARGE
from airflow_provider_crm.exceptions import CrmError, RejectedError, TransientError
from airflow_provider_crm.vendors.answers import FOREIGN_ANSWER

if TYPE_CHECKING:
    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.vendors.calls import Call, RowAnswer
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record


def all_records(
    vendor: Vendor, fetch: Callable[[Call], Json], filters: Mapping[str, str], keys: Sequence[str] = ()
) -> Iterator[Record]:
    """Yield all opportunities that match, page by page.

    Args:
        vendor: The vendor.
        fetch: Sends a reading call, and returns its body.
        filters: Parameters of the list.
        keys: The keys that are needed; none for those that the vendor shows by itself.

    Raises:
        TransientError: A page is the same as an earlier one, or empty, and is not the last; or it is no page at all.
        CrmError: A page cannot be read.
    """
    seen = set[int]()
    number, cursor, counts_pages = 0, None, False
    while number == 0 or cursor is not None:
        page = vendor.parse_page(fetch(vendor.list_call(filters, cursor, keys)), cursor)
        if counts_pages and page.pages is None:
            msg = f"{vendor.display_name}'s list broke off: the answer for page {number + 1} is no page of it."
            raise TransientError(msg, vendor=vendor.name, code=FOREIGN_ANSWER)
        counts_pages = page.pages is not None
        yield from page.records
        number, cursor = number + 1, page.cursor
        content = hash(tuple(str(record.get(vendor.id_key)) for record in page.records))
        if cursor is not None and (not page.records or content in seen):
            msg = f"{vendor.display_name}'s list does not end: page {number} brings nothing new and is not the last."
            raise TransientError(msg, vendor=vendor.name, code="NO_PROGRESS")
        seen.add(content)


def records_of(
    record_ids: Sequence[str],
    vendor: Vendor,
    read_together: Callable[[Sequence[str]], Sequence[RowAnswer]],
    read: Callable[[str], Record],
) -> dict[str, Record | RejectedError]:
    """Read some opportunities, as many in one call as the vendor can.

    A call that is refused as a whole, or whose answer is too large, is halved until each record has its own answer. A
    record of which an answer says nothing, or which cannot be read at the moment, is read alone.

    Args:
        record_ids: The opportunities.
        vendor: The vendor.
        read_together: Reads several opportunities in one call.
        read: Reads one.

    Returns:
        Each record, or the vendor's refusal to show it.

    Raises:
        CrmError: Another error than a refusal.
    """
    largest = 1 if vendor.batch_read is None else vendor.batch_read.largest
    if len(record_ids) > largest:
        parts = [record_ids[first : first + largest] for first in range(0, len(record_ids), largest)]
    elif len(record_ids) > 1:
        try:
            answers = dict(zip(record_ids, read_together(record_ids), strict=True))
        except (RejectedError, TransientError) as err:
            if isinstance(err, TransientError) and err.code != TOO_LARGE:
                raise
            half = len(record_ids) // 2
            parts = [record_ids[:half], record_ids[half:]]
        else:
            return {
                record_id: answer if isinstance(answer, (dict, RejectedError)) else _shown(record_id, read)
                for record_id, answer in answers.items()
            }
    else:
        return {record_id: _shown(record_id, read) for record_id in record_ids}
    return {
        record_id: shown for part in parts for record_id, shown in records_of(part, vendor, read_together, read).items()
    }


def _shown(record_id: str, read: Callable[[str], Record]) -> Record | RejectedError:
    try:
        return read(record_id)
    except RejectedError as err:
        return err


def checked_answers(
    answers: Sequence[RowAnswer], record_ids: Sequence[str], vendor: Vendor, redactor: Redactor
) -> list[RowAnswer]:
    """Return the answer about each record, errors without secrets; one that shows another record is an error."""
    checked = [checked_answer(answer, one, vendor) for answer, one in zip(answers, record_ids, strict=True)]
    for answer, record_id in zip(checked, record_ids, strict=True):
        if isinstance(answer, CrmError):
            redactor.redact(answer, record_id)
    return checked
