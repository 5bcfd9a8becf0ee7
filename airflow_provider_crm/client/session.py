"""Make one account's calls: retried, paced by the rate limit, their errors mapped and free of secrets.

Over 300 lines because every kind of call has its method here: whoever calls a vendor needs no other way in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import requests

from airflow_provider_crm.budget.shared_budget import Budget
from airflow_provider_crm.budget.usage import KEY_DIGITS, BudgetUse
from airflow_provider_crm.client.attempts import Attempts, BeforeAttempt, always, never
from airflow_provider_crm.client.catalogues import Catalogues
from airflow_provider_crm.client.quick_headers import QuickHeaders
from airflow_provider_crm.client.rate_limits import RateLimits
from airflow_provider_crm.client.read_back import ReadBack
from airflow_provider_crm.client.records import all_records, checked_answers, records_of
from airflow_provider_crm.client.redaction import Redactor
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.sender import Sender
from airflow_provider_crm.client.shared_calls import SharedCall
from airflow_provider_crm.client.transport import Signature, authenticated_session
from airflow_provider_crm.client.waiting import Waiting
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import CrmError, RateLimitedError, RejectedError, TransientError
from airflow_provider_crm.vendors.answers import json_of
from airflow_provider_crm.vendors.catalogue import NO_CATALOGUE
from airflow_provider_crm.vendors.encoding import check_record_id

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.passage import Passage
    from airflow_provider_crm.vendors.calls import Call, RowAnswer
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.protocol import Vendor
    from airflow_provider_crm.vendors.records import Json, Record

_T = TypeVar("_T")


class Session:
    """The only way to a vendor's server.

    Safe for many threads: they share the connection pool and the pacers, one for each endpoint group.

    Args:
        account: The account, and how to reach it.
        retry: How long each call is tried.
        clock: Time; tests pass their own.
        budget: How much of the vendor's limit may be used, and where it is shared.

    Attributes:
        waiting: Measures how long the session's threads wait.
        clock: The given clock; what sleeps by it is measured.
        http: The `requests.Session` below, signed for the account; the pacing and retries here are not part of it.
    """

    def __init__(
        self,
        account: Account,
        *,
        retry: RetryRules | None = None,
        clock: Clock | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.account = account
        self.retry = retry or RetryRules()
        self.budget = budget or Budget()
        self.waiting = Waiting(clock or Clock())
        self.clock = self.waiting.clock
        self._redactor = Redactor(account)
        self._signature = Signature(account, self.clock)
        self.http = authenticated_session(account, self._signature)
        self._sender = Sender(account, self.http, self.clock, self._redactor)
        self._limits = RateLimits(account, self.budget, self.retry, self.waiting)
        self._attempts = Attempts(self._sender, self._limits.passage, self._redactor, self.retry, self.clock)
        self._catalogues = Catalogues(account, self.fetch, self._redactor)
        self._checked_headers: tuple[list[tuple[str, str | bytes]], QuickHeaders] = ([], QuickHeaders({}))

    def __repr__(self) -> str:
        """Name vendor and host only."""
        return f"Session({self.account.vendor.name}, {self.account.origin})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, and give back the leased calls that were not used."""
        self.http.close()
        self._limits.close()

    @property
    def calls(self) -> int:
        """HTTP calls sent so far, attempts included."""
        return self._sender.calls

    def used(self) -> BudgetUse:
        """Return what was used of the budget so far."""
        key = self.account.key_digest[:KEY_DIGITS]
        return BudgetUse(key, self.budget.share, self.waiting.seconds, self._limits.used())

    def write(
        self,
        call: Call,
        record_id: str,
        catalogue: Catalogue = NO_CATALOGUE,
        *,
        timezone: str | None = None,
        before_attempt: BeforeAttempt = always,
        attempts: int | None = None,
    ) -> Record:
        """Send one writing call until it is answered, and return the record that came back.

        Args:
            call: The call.
            record_id: The opportunity, for messages and for reading back.
            catalogue: What the account offers, with which a record that was read back is compared.
            timezone: IANA zone of the offset header; default: the account's.
            before_attempt: Called before each attempt; what it raises ends them, and is not retried.
            attempts: Maximum number of attempts; default: that of the retry rules.

        Raises:
            RejectedError: The vendor refused the row.
            ConfigurationError: The set-up is wrong; no other row would land either.
            TransientError: Attempts are exhausted, or the vendor asks for a wait longer than `defer_after`.
            OutcomeUnknownError: Sent, no answer, not replayable, and the record could not be read back.
        """
        vendor = self.account.vendor
        read_back = ReadBack(vendor, catalogue, self.read)
        try:
            return self._answered(
                call,
                partial(_record_in, vendor=vendor, record_id=record_id),
                record_id=record_id,
                timezone=timezone,
                landed=partial(read_back.landed, call, record_id),
                before_attempt=before_attempt,
                attempts=attempts,
            )
        except CrmError as err:
            err.maybe_written = read_back.maybe_written
            raise

    def write_batch(
        self,
        calls: Sequence[Call],
        record_ids: Sequence[str],
        *,
        timezone: str | None = None,
        before_attempt: BeforeAttempt = always,
        attempts: int | None = None,
        is_compared: bool = True,
    ) -> list[RowAnswer]:
        """Send the rows of several calls in one, until it is answered, and return what the answer says about each.

        Args:
            calls: The call of each row alone; their routes share one `BatchCall`, and all of them are replayable.
            record_ids: The opportunity of each row; each occurs once.
            timezone: As for `write`.
            before_attempt: As for `write`.
            attempts: As for `write`.
            is_compared: Whether the values are compared with what the records hold afterwards.

        Returns:
            For each row, in order: the record, or as much of it as the answer shows; the row's own error; None if the
            answer says nothing about the row.

        Raises:
            CrmError: As for `write`, about the call as a whole; `maybe_written` if an attempt got no answer.
        """
        shared = SharedCall(
            calls,
            record_ids,
            self.account.vendor,
            self._redactor,
            options=self.account.option_headers,
            is_compared=is_compared,
        )
        try:
            return self._answered(
                shared.call,
                shared.answers,
                timezone=timezone,
                landed=shared.note_lost,
                before_attempt=before_attempt,
                attempts=attempts,
            )
        except CrmError as err:
            err.maybe_written = shared.maybe_written
            raise

    def read(self, record_id: str, keys: Sequence[str] = (), *, before_attempt: BeforeAttempt = always) -> Record:
        """Read one opportunity.

        Args:
            record_id: Its id.
            keys: The vendor's keys that the record has to show; empty for what the vendor shows by itself.
            before_attempt: As for `write`.

        Raises:
            CrmError: As for `write`.
        """
        vendor = self.account.vendor
        return self._answered(
            vendor.read_call(record_id, keys),
            partial(_record_in, vendor=vendor, record_id=record_id),
            record_id=record_id,
            before_attempt=before_attempt,
        )

    def read_many(
        self, record_ids: Sequence[str], keys: Sequence[str] = (), *, before_attempt: BeforeAttempt = always
    ) -> dict[str, Record | RejectedError]:
        """Read some opportunities, as many in one call as the vendor can.

        Args:
            record_ids: Their ids.
            keys: As for `read`.
            before_attempt: As for `write`.

        Returns:
            Each record, or the vendor's refusal to show it.

        Raises:
            CrmError: Another error than a refusal, as for `write`.
        """

        def read_together(some: Sequence[str]) -> Sequence[RowAnswer]:
            return self._read_together(some, keys, before_attempt)

        def read(record_id: str) -> Record:
            return self.read(record_id, keys, before_attempt=before_attempt)

        return records_of(record_ids, self.account.vendor, read_together, read)

    def _read_together(
        self, record_ids: Sequence[str], keys: Sequence[str], before_attempt: BeforeAttempt
    ) -> Sequence[RowAnswer]:
        vendor = self.account.vendor
        batch = vendor.batch_read
        if batch is None:
            return [None] * len(record_ids)

        def answers(response: requests.Response) -> Sequence[RowAnswer]:
            return checked_answers(batch.split(response, record_ids), record_ids, vendor, self._redactor)

        return self._answered(batch.call(record_ids, keys), answers, before_attempt=before_attempt)

    def fetch(self, call: Call) -> Json:
        """Send a reading call and return its whole JSON body.

        Raises:
            CrmError: As for `write`.
        """
        return self.answer(call, partial(json_of, self.account.vendor.display_name))

    def answer(self, call: Call, read: Callable[[requests.Response], _T], *, attempts: int | None = None) -> _T:
        """Send a call that writes no row, and return what its answer says.

        Args:
            call: The call.
            read: Reads the answer; its errors are treated like refusals.
            attempts: As for `write`.

        Raises:
            CrmError: As for `write`.
        """
        return self._answered(call, read, attempts=attempts)

    def _answered(
        self,
        call: Call,
        read: Callable[[requests.Response], _T],
        *,
        record_id: str | None = None,
        timezone: str | None = None,
        landed: Callable[[TransientError], _T | None] = never,
        before_attempt: BeforeAttempt = always,
        attempts: int | None = None,
    ) -> _T:
        """Send a call until its answer can be read, see `Attempts.answered`."""

        def send(passage: Passage) -> requests.Response:
            return self._sender.send_allowed(self._request(call, timezone), passage)

        return self._attempts.answered(
            self.account.vendor.budget_group(call),
            send,
            read,
            redact=partial(self._redactor.redact, record_id=record_id, call=call),
            cost=call.cost,
            landed=landed,
            before_attempt=before_attempt,
            attempts=attempts,
        )

    def _request(self, call: Call, timezone: str | None = None) -> requests.PreparedRequest:
        """Return a signed request, put together by hand: what `requests.Session` merges never differs here."""
        request = requests.PreparedRequest()
        request.method = call.method
        request.headers = self._own_headers()
        if call.params:
            request.prepare_url(self.account.origin + call.path, call.params)
        else:  # the path is percent-encoded already
            request.url = self._signature.origin + call.path
        if call.body is not None:
            request.body = call.body.encode()
            request.headers["Content-Type"] = call.content_type
            request.headers["Content-Length"] = str(len(request.body))
        return self._signature.sign(request, timezone)

    def _own_headers(self) -> QuickHeaders:
        """Return the headers that each request has; they are checked only when the user has changed them."""
        headers = list(self.http.headers.items())
        checked, quick = self._checked_headers
        if headers != checked:
            request = requests.PreparedRequest()
            request.prepare_headers(self.http.headers)
            quick = QuickHeaders.of(request.headers.items())
            self._checked_headers = headers, quick
        return quick.copy()

    def records(self, filters: Mapping[str, str]) -> Iterator[Record]:
        """Return all opportunities that match, page by page.

        Raises:
            TransientError: A page is the same as an earlier one, or empty, and is not the last.
            CrmError: As for `write`.
        """
        return all_records(self.account.vendor, self.fetch, filters)

    def catalogue(self, names: tuple[str, ...]) -> Catalogue:
        """Return what the account offers, as far as these field names need it; the vendor is asked once.

        Raises:
            ConfigurationError: The vendor refuses to answer.
        """
        catalogue = self._catalogues.get(names)
        self._sender.note_timezone(catalogue.timezone)
        return catalogue

    def label_fields(self, err: CrmError) -> None:
        """Replace field ids in an error's message by the names that people use, as far as they are known."""
        self._catalogues.label_fields(err)

    def probe(self) -> str:
        """Test the connection with one call and no retry; return what it shows.

        Raises:
            CrmError: The connection does not work.
        """
        return self._sender.probe(partial(self._request, self.account.vendor.probe()))

    def server_time(self) -> dt.datetime | None:
        """Return the time on the vendor's clock, as far as its answers have shown it; None before the first."""
        return self._sender.server_time()

    def is_down(self) -> bool:
        """Return whether the vendor answers nothing at all now; one call finds out, with no retry."""
        try:
            self.probe()
        except CrmError as err:
            return isinstance(err, TransientError) and not isinstance(err, RateLimitedError)
        return False


def _record_in(answer: requests.Response, vendor: Vendor, record_id: str) -> Record:
    """Return the record in an answer.

    Raises:
        IgnoredError: It is another record than the one with this id.
    """
    record = vendor.read(answer)
    check_record_id(record, record_id, vendor)
    return record
