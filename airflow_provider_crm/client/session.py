"""Make one account's calls: retried, paced by the rate limit, their errors mapped and free of secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from airflow_provider_crm.budget.pacer import Budget
from airflow_provider_crm.budget.usage import KEY_DIGITS, BudgetUse
from airflow_provider_crm.client.attempts import Attempts, BeforeAttempt, always
from airflow_provider_crm.client.catalogues import Catalogues
from airflow_provider_crm.client.rate_limits import RateLimits
from airflow_provider_crm.client.records import ReadBack, all_records, record_in
from airflow_provider_crm.client.redaction import Redactor
from airflow_provider_crm.client.retry import RetryRules
from airflow_provider_crm.client.sender import OutgoingCall, Sender
from airflow_provider_crm.client.waiting import Waiting
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import CrmError, RateLimitedError, TransientError
from airflow_provider_crm.vendors.answers import json_of

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json, Record


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
        self._sender = Sender(account, self.clock, self._redactor)
        self._limits = RateLimits(account, self.budget, self.retry, self.waiting)
        self._attempts = Attempts(self._sender, self._limits, self._redactor, self.retry, self.clock)
        self._catalogues = Catalogues(account, self.fetch, self._redactor)
        self.http = self._sender.http

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
        *,
        timezone: str | None = None,
        before_attempt: BeforeAttempt = always,
        attempts: int | None = None,
    ) -> Record:
        """Send one writing call until it is answered, and return the record that came back.

        Args:
            call: The call.
            record_id: The opportunity, for messages and for reading back.
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
        read_back = ReadBack(call, record_id, vendor, self.read)
        try:
            return self._attempts.answered(
                OutgoingCall(call, record_id, timezone),
                partial(record_in, vendor=vendor, record_id=record_id),
                landed=read_back.landed,
                before_attempt=before_attempt,
                attempts=attempts,
            )
        except CrmError as err:
            err.maybe_written = read_back.maybe_written
            raise

    def read(self, record_id: str, *, before_attempt: BeforeAttempt = always) -> Record:
        """Read one opportunity.

        Args:
            record_id: Its id.
            before_attempt: As for `write`.

        Raises:
            CrmError: As for `write`.
        """
        vendor = self.account.vendor
        return self._attempts.answered(
            OutgoingCall(vendor.read_call(record_id), record_id),
            partial(record_in, vendor=vendor, record_id=record_id),
            before_attempt=before_attempt,
        )

    def fetch(self, call: Call) -> Json:
        """Send a reading call and return its whole JSON body.

        Raises:
            CrmError: As for `write`.
        """
        return self._attempts.answered(OutgoingCall(call), partial(json_of, self.account.vendor.display_name))

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
        return self._catalogues.get(names)

    def label_fields(self, err: CrmError) -> None:
        """Replace field ids in an error's message by the names that people use, as far as they are known."""
        self._catalogues.label_fields(err)

    def probe(self) -> str:
        """Test the connection with one call and no retry; return what it shows.

        Raises:
            CrmError: The connection does not work.
        """
        probe = OutgoingCall(self.account.vendor.probe())
        token = self._sender.token()
        response = self._sender.send(probe)
        if token is not None and response.status_code == HTTPStatus.UNAUTHORIZED:
            self._sender.refuse_token(token)
            response = self._sender.send(probe)
        self._sender.check_redirect(response)
        try:
            return self._redactor.read(self.account.vendor.check_probe, response)
        except CrmError as err:
            self._redactor.redact(err, None)
            raise

    def is_down(self) -> bool:
        """Return whether the vendor answers nothing at all now; one call finds out, with no retry."""
        try:
            self.probe()
        except RateLimitedError:
            return False
        except TransientError:
            return True
        except CrmError:
            return False
        return False
