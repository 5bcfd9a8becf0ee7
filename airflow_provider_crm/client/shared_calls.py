"""Put the rows of several calls into one, and read what its answer says about each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_provider_crm.client.redaction import redacted
from airflow_provider_crm.client.transport_errors import NOT_SENT
from airflow_provider_crm.exceptions import CrmError, IgnoredError, TransientError
from airflow_provider_crm.vendors.calls import NOTHING, BatchRow, Call
from airflow_provider_crm.vendors.encoding import check_record_id

if TYPE_CHECKING:
    import requests

    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.vendors.calls import RowAnswer
    from airflow_provider_crm.vendors.protocol import Vendor


def batch_rows(calls: Sequence[Call], record_ids: Sequence[str]) -> list[BatchRow]:
    """Return the rows of a call that carries what each of some calls would write; each trace is the row's number."""
    return [
        BatchRow(record_id, call.body or "{}", str(number))
        for number, (call, record_id) in enumerate(zip(calls, record_ids, strict=True))
    ]


def checked_answer(answer: RowAnswer, record_id: str, vendor: Vendor) -> RowAnswer:
    """Return the answer about one record, or the error that it shows another one."""
    if isinstance(answer, dict):
        try:
            check_record_id(answer, record_id, vendor)
        except IgnoredError as err:
            return err
    return answer


class SharedCall:
    """One call that writes several rows.

    Args:
        calls: The call of each row alone; all of them share a call in the same way, and may be sent twice.
        record_ids: The opportunity of each row; each occurs once.
        vendor: The vendor.
        redactor: Takes secrets out of answers.
        options: The headers that the connection's settings choose.
        is_compared: Whether the values are compared with what the records hold afterwards.

    Attributes:
        call: The call.
        maybe_written: Whether an attempt got no answer.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        record_ids: Sequence[str],
        vendor: Vendor,
        redactor: Redactor,
        *,
        options: Mapping[str, str] = NOTHING,
        is_compared: bool = True,
    ) -> None:
        route = calls[0].route
        if route is None or (batch := route.batch) is None:
            msg = "These rows share no call."
            raise ValueError(msg)
        self.maybe_written = False
        self._calls = calls
        self._batch = batch = batch if is_compared else batch.unverified or batch
        self._rows = batch_rows(calls, record_ids)
        self._vendor = vendor
        self._redactor = redactor
        body = batch.join(self._rows)
        self.call = Call(
            batch.method,
            batch.path,
            body=batch.with_options(body, options) if options and batch.with_options is not None else body,
            fields=calls[0].fields,
            route=calls[0].route,
            cost=batch.cost + batch.cost_per_row * len(calls),
        )

    def answers(self, response: requests.Response) -> list[RowAnswer]:
        """Return what an answer says about each row, in order.

        Raises:
            CrmError: It says failure as a whole, or is no such answer.
        """
        answers = list(self._batch.split(response, self._rows))
        if [answer for answer in answers if isinstance(answer, CrmError)]:
            hidden = self._batch.split(redacted(response, self._redactor.secrets), self._rows)
            answers = [
                safe if isinstance(answer, CrmError) and isinstance(safe, CrmError) else answer
                for answer, safe in zip(answers, hidden, strict=True)
            ]
        id_key = self._vendor.id_key
        checked = [
            answer
            if isinstance(answer, dict) and answer.get(id_key) == row.record_id
            else self._checked(answer, row.record_id, call)
            for answer, row, call in zip(answers, self._rows, self._calls, strict=True)
        ]
        if [answer for answer in checked if isinstance(answer, IgnoredError)] and self._are_displaced(answers):
            return [answer if isinstance(answer, dict) else None for answer in checked]
        return checked

    def _are_displaced(self, answers: Sequence[RowAnswer]) -> bool:
        """Return whether a row was answered with another row of the call, as when answers in between are missing.

        Then only records that show their row's own id are about that row; which row an error is about is not known.
        """
        canonical_id, id_key = self._vendor.canonical_id, self._vendor.id_key
        ids = [canonical_id(row.record_id) for row in self._rows]
        shown = [
            canonical_id(str(answer[id_key])) if isinstance(answer, dict) and id_key in answer else own
            for answer, own in zip(answers, ids, strict=True)
        ]
        known = set(ids)
        return any(one != own and one in known for one, own in zip(shown, ids, strict=True))

    def _checked(self, answer: RowAnswer, record_id: str, call: Call) -> RowAnswer:
        """Return the answer about one row, or the error that it shows another record."""
        answer = checked_answer(answer, record_id, self._vendor)
        if isinstance(answer, CrmError):
            self._redactor.redact(answer, record_id, call)
            answer.maybe_written = self.maybe_written
        return answer

    def note_lost(self, err: TransientError) -> None:
        """Note that an attempt got no answer; rows that share a call are safe to send again."""
        self.maybe_written |= err.code != NOT_SENT
