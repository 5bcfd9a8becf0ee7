"""One authenticated `requests.Session` for one account: it sends, retries, maps errors and hides secrets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import requests

from airflow_provider_crm.budget.lease import Leases
from airflow_provider_crm.budget.pacer import Budget, Pacer, Reservation
from airflow_provider_crm.budget.usage import KEY_DIGITS, BudgetUse
from airflow_provider_crm.client.redaction import hidden, redacted
from airflow_provider_crm.client.transport import Signature, Wire, authenticated_session
from airflow_provider_crm.client.transport_errors import NOT_SENT
from airflow_provider_crm.client.waiting import Waiting
from airflow_provider_crm.clock import Clock
from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    IgnoredError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from airflow_provider_crm.values.hidden_values import hidden_keys, sent_values, with_hidden, without_values
from airflow_provider_crm.values.time_zones import offset_hours
from airflow_provider_crm.vendors.answers import json_of, text_of

if TYPE_CHECKING:
    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.vendors.calls import Call
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.limits import Limits
    from airflow_provider_crm.vendors.records import Json, Record

log = logging.getLogger(__name__)

# A wait of less than a float's precision would never pass.
_SHORTEST_SLEEP = 0.001
_REDIRECTS = frozenset({300, 301, 302, 303, 305, 307, 308})
_T = TypeVar("_T")


BeforeAttempt: TypeAlias = Callable[[], None]


def always() -> None:
    """BeforeAttempt every attempt."""


def _never(err: TransientError) -> None:
    """A call that may be repeated is repeated, whether it landed or not."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How long one call is tried.

    Attributes:
        attempts: At most that many answers of 5xx, resets or timeouts for one call; refusals by the budget don't count.
        total: Seconds after which no new attempt starts.
        first_wait: Seconds before the second attempt; doubled for each further one, with jitter from half to all of it.
        longest_wait: Seconds at most between two attempts.
        defer_after: A vendor that asks for a longer wait than these seconds ends the attempts, so that the caller can
            free its worker slot.
    """

    attempts: int = 8
    total: float = 600.0
    first_wait: float = 0.25
    longest_wait: float = 30.0
    defer_after: float = 60.0

    def backoff(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after that many failed attempts."""
        return min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1)) * (0.5 + jitter / 2)


@dataclass(slots=True)
class _Passage:
    """One attempt on its way through the budget."""

    sent: bool = False
    limits: Limits | None = None
    refused: bool = False


class Session:
    """The only way to a vendor's server.

    Safe for many threads: they share the connection pool and the pacers, one for each endpoint group.

    Args:
        account: Whom to talk to, and how.
        retry: How long each call is tried.
        clock: Time; tests pass their own.
        budget: How much of the vendor's limit may be used, and where it is shared.

    Attributes:
        waiting: Measures how long the session's threads wait.
        clock: The given clock; what sleeps by it is measured.
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
        self.waiting = Waiting(clock or Clock())
        self.clock = self.waiting.clock
        self.budget = budget or Budget()
        self._pacers: dict[str, Pacer] = {}
        self._signature = Signature(account, self.clock)
        self._origin = self._signature.origin
        self.http = authenticated_session(account, self._signature)
        self._wire = Wire(account, self.http, account.timeout)
        self._lock = threading.Lock()
        self._calls = 0
        self._catalogues: dict[tuple[str, ...], Catalogue] = {}
        self._hidden: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Name vendor and host only."""
        return f"Session({self.account.vendor.name}, {self.account.origin})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what was leased of the budget, and close all connections."""
        self.http.close()
        for group, pacer in self._pacers.items():
            try:
                pacer.close()
            except TransientError as err:
                log.warning("Unused calls of %r are free again only when their window ends: %s", group, err)

    @property
    def calls(self) -> int:
        """HTTP calls sent so far, attempts included."""
        return self._calls

    def used(self) -> BudgetUse:
        """Return what was used of the budget so far."""
        with self._lock:
            pacers = dict(self._pacers)
        groups = tuple(pacer.use(group) for group, pacer in pacers.items())
        return BudgetUse(self.account.key_digest[:KEY_DIGITS], self.budget.share, self.waiting.seconds, groups)

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
            call: What to write.
            record_id: The opportunity, for messages and for reading back.
            timezone: IANA zone of the offset header; default: the account's.
            permit: Asked before each attempt; what it raises ends them.
            attempts: How often it is tried at most; default: what the retry rules say.

        Raises:
            RejectedError: The vendor refused the row.
            ConfigurationError: The set-up is wrong; no other row would land either.
            TransientError: Attempts are exhausted, or the vendor asks for a wait longer than `defer_after`.
            OutcomeUnknownError: Sent, no answer, not replayable, and the record could not be read back.
        """
        unanswered = False

        def landed(err: TransientError) -> Record | None:
            nonlocal unanswered
            if err.code == NOT_SENT:
                return None
            unanswered = unanswered or call.replayable
            return None if call.replayable else self._read_back(call, record_id, err)

        try:
            return self._answered(
                call,
                record_id,
                partial(self._record, record_id),
                timezone=timezone,
                landed=landed,
                before_attempt=before_attempt,
                attempts=attempts,
            )
        except CrmError as err:
            err.maybe_written = unanswered
            raise

    def read(self, record_id: str, *, before_attempt: BeforeAttempt = always) -> Record:
        """Read one opportunity.

        Args:
            record_id: Its id.
            permit: As for `write`.

        Raises:
            CrmError: As for `write`.
        """
        call = self.account.vendor.read_call(record_id)
        return self._answered(call, record_id, partial(self._record, record_id), before_attempt=before_attempt)

    def fetch(self, call: Call) -> Json:
        """Send a reading call and return its whole JSON body.

        Raises:
            CrmError: As for `write`.
        """
        return self._answered(call, None, lambda response: json_of(self.account.vendor.display_name, response))

    def records(self, filters: Mapping[str, str]) -> Iterator[Record]:
        """All opportunities that match, page by page.

        Raises:
            TransientError: If a page is the same as an earlier one, or empty, and is not the last.
            CrmError: As for `write`.
        """
        vendor, seen = self.account.vendor, set[int]()
        page, more = 0, True
        while more:
            found, more = vendor.parse_page(self.fetch(vendor.list_call(filters, page)))
            yield from found
            page += 1
            content = hash(tuple(str(record.get(vendor.id_key)) for record in found))
            if more and (not found or content in seen):
                msg = f"{vendor.display_name}'s list does not end: page {page} brings nothing new and is not the last."
                raise TransientError(msg, vendor=vendor.name, code="NO_PROGRESS")
            seen.add(content)

    def catalogue(self, names: tuple[str, ...]) -> Catalogue:
        """What the account offers, as far as these field names need it; asked for once.

        Raises:
            ConfigurationError: If the vendor refuses to tell.
        """
        vendor = self.account.vendor
        calls = vendor.catalogue_calls(names)
        asked = tuple(call.path for call in calls)
        try:
            if asked not in self._catalogues:
                self._catalogues[asked] = self._learnt(vendor.catalogue([self.fetch(call) for call in calls]))
            return self._catalogues[asked]
        except RejectedError as err:
            msg = f"{vendor.display_name} at {self.account.origin} does not tell what the account offers: {err}"
            raise ConfigurationError(msg, vendor=vendor.name, status=err.status, code=err.code) from err

    def _learnt(self, catalogue: Catalogue) -> Catalogue:
        """What the account offers, with the fields marked whose values are to be seen nowhere."""
        fields = with_hidden(catalogue.fields, self.account.hidden)
        self._hidden |= hidden_keys(fields)
        return replace(catalogue, fields=fields)

    def label_fields(self, err: CrmError) -> None:
        """Say in the message of an error what people call the fields that it names by an id, as far as is known."""
        for catalogue in self._catalogues.values():
            err.args = (catalogue.with_labels(str(err)),)

    def probe(self) -> str:
        """Test the connection with one call and no retry; say what it shows.

        Raises:
            CrmError: With the reason why the connection does not work.
        """
        token = self._token()
        response = self._send(self.account.vendor.probe(), None, None)
        if token is not None and response.status_code == HTTPStatus.UNAUTHORIZED:
            self._refuse(token)
            response = self._send(self.account.vendor.probe(), None, None)
        if response.status_code in _REDIRECTS:
            raise self._redirected(response)
        try:
            return self._read(self.account.vendor.check_probe, response)
        except CrmError as err:
            self._redact(err, None)
            raise

    def is_down(self) -> bool:
        """Whether the vendor answers nothing at all now; one call finds out, with no retry."""
        try:
            self.probe()
        except RateLimitedError:
            return False
        except TransientError:
            return True
        except CrmError:
            return False
        return False

    def _answered(
        self,
        call: Call,
        record_id: str | None,
        read: Callable[[requests.Response], _T],
        *,
        timezone: str | None = None,
        landed: Callable[[TransientError], _T | None] = _never,
        before_attempt: BeforeAttempt = always,
        attempts: int | None = None,
    ) -> _T:
        """Try a call until `read` accepts its answer; ask `landed` before a call is repeated."""
        started, attempt, renewed = self.clock.monotonic(), 0, False
        pacer = self._pacer(call)
        while True:
            with self.waiting.for_limit():
                reservation = self._ticket(pacer, started)
            token: str | None = None
            permitted = True
            try:
                with self._passage(pacer, reservation) as passage:
                    token = self._token()  # before the permit: fetching one takes time
                    permitted = False
                    before_attempt()
                    permitted = True
                    answer = self._answer(call, record_id, timezone, passage)
                return self._read(read, answer)
            except RateLimitedError as err:
                # Without a wait, or with one that is over by our clock, calling again at once would go on for ever.
                wait = err.retry_after or self.retry.backoff(3, self.clock.jitter())
                self._redact(err, record_id, call)
                pacer.hold(wait)
                self._give_up(err, wait, started)
            except TransientError as err:
                attempt += 1
                self._redact(err, record_id, call)
                if not permitted:
                    raise
                if (result := landed(err)) is not None:
                    return result
                wait = max(self.retry.backoff(attempt, self.clock.jitter()), err.retry_after or 0.0)
                if attempt >= (attempts or self.retry.attempts):
                    raise
                self._give_up(err, wait, started)
                self.clock.sleep(wait)
            except CrmError as err:
                if token is None or renewed or err.status != HTTPStatus.UNAUTHORIZED:
                    self._redact(err, record_id, call)
                    raise
                renewed = True
                self._refuse(token)

    def _pacer(self, call: Call) -> Pacer:
        group = self.account.vendor.budget_group(call)
        with self._lock:
            if group not in self._pacers:
                share, store = self.budget.share, self.budget.store
                leases = None if store is None else Leases(store, self.account.budget_name(group), share)
                self._pacers[group] = Pacer(self.clock, share=share, stated=self.account.stated, leases=leases)
            return self._pacers[group]

    def _ticket(self, pacer: Pacer, started: float) -> Reservation:
        """Wait for the budget, but not longer than a worker slot should be held."""
        while not isinstance(wait := pacer.acquire(), Reservation):
            vendor = self.account.vendor
            if wait > self.retry.defer_after or self.clock.monotonic() + wait - started > self.retry.total:
                msg = f"{vendor.display_name}'s budget is used up; there is more of it in {wait:.0f} seconds."
                raise RateLimitedError(msg, vendor=vendor.name, code="BUDGET_USED_UP", retry_after=wait)
            if wait > 0:
                self.clock.sleep(max(wait, _SHORTEST_SLEEP))
        return wait

    @contextmanager
    def _passage(self, pacer: Pacer, reservation: Reservation) -> Iterator[_Passage]:
        """Tell the pacer what became of a call, whatever became of it."""
        passage = _Passage()
        try:
            yield passage
        finally:
            if passage.sent:
                pacer.answered(reservation, passage.limits, refused=passage.refused)
            else:
                pacer.unused(reservation)

    def _token(self) -> str | None:
        return None if self.account.tokens is None else self.account.tokens.token()

    def _refuse(self, token: str) -> None:
        if self.account.tokens is not None:
            self.account.tokens.refused(token)

    def _give_up(self, err: CrmError, wait: float, started: float) -> None:
        if wait > self.retry.defer_after or self.clock.monotonic() + wait - started > self.retry.total:
            if isinstance(err, RateLimitedError) or err.retry_after is not None:
                err.retry_after = wait  # a pause that only we would make is nothing that the vendor asks for
            raise err

    def _answer(self, call: Call, record_id: str | None, timezone: str | None, passage: _Passage) -> requests.Response:
        passage.sent = True
        response = self._send(call, record_id, timezone)
        passage.limits = self.account.vendor.limits(response, self.clock.now())
        passage.refused = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        if response.status_code in _REDIRECTS:
            raise self._redirected(response)
        if not response.ok:
            raise self._refused(response, passage.limits)
        return response

    def _refused(self, response: requests.Response, limits: Limits) -> CrmError:
        err = self.account.vendor.error(redacted(response, self._secrets))
        if isinstance(err, TransientError):
            err.retry_after = limits.wait
        return err

    def _redirected(self, response: requests.Response) -> ConfigurationError:
        try:
            netloc = urlsplit(response.headers.get("Location", "")).netloc
        except ValueError:
            netloc = "an address that is none"
        target = text_of(hidden(netloc.rpartition("@")[2], self._secrets)) or "another path"
        msg = (
            f"{self.account.origin} answered {response.status_code}, a redirect to {target}; it was not followed. "
            "Check the connection's host."
        )
        return ConfigurationError(msg, vendor=self.account.vendor.name, status=response.status_code, code="REDIRECT")

    def _send(self, call: Call, record_id: str | None, timezone: str | None) -> requests.Response:
        with self._lock:
            self._calls += 1
        return self._wire.send(self._prepared(call, timezone), record_id)

    def _prepared(self, call: Call, timezone: str | None) -> requests.PreparedRequest:
        """The signed request, put together by hand: what `requests.Session` merges for each call never differs."""
        request = requests.PreparedRequest()
        request.prepare_method(call.method)
        request.prepare_headers(self.http.headers)
        if timezone is not None:
            request.headers.update(self.account.vendor.headers(offset_hours(self.clock.now(), timezone)))
        if call.params:
            request.prepare_url(self.account.origin + call.path, call.params)
        else:  # whose path is percent-encoded already
            request.url = self._origin + call.path
        if call.body is not None:
            request.body = call.body.encode()
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(request.body))
        return self._signature(request)

    def _read(self, read: Callable[[requests.Response], _T], answer: requests.Response) -> _T:
        """Read an answer; if it shows a failure, once more without the secrets that it may repeat."""
        try:
            return read(answer)
        except CrmError:
            pass
        return read(redacted(answer, self._secrets))

    def _record(self, record_id: str, answer: requests.Response) -> Record:
        """The record in an answer.

        Raises:
            IgnoredError: It is another one.
        """
        vendor = self.account.vendor
        record = vendor.read(answer)
        shown = record.get(vendor.id_key)
        if isinstance(shown, (str, int)) and vendor.canonical_id(str(shown)) != vendor.canonical_id(record_id):
            other = text_of(shown)
            msg = (
                f"{vendor.display_name} answered with the record {other!r} instead of {record_id!r}, as it does when "
                f"the one was merged into the other. Write to {other!r} if that is the one that is meant."
            )
            fields = {vendor.id_key: "another record"}
            raise IgnoredError(msg, vendor=vendor.name, code="OTHER_RECORD", record_id=record_id, field_errors=fields)
        return record

    def _read_back(self, call: Call, record_id: str, err: TransientError) -> Record | None:
        """Whether a call that may not be repeated has landed: its record if so, None if it has not."""
        try:
            record = self.read(record_id)
        except (ConfigurationError, RejectedError, TransientError) as read_err:
            msg = f"{err} It is not known whether {', '.join(call.fields)} landed: reading it back failed ({read_err})"
            raise OutcomeUnknownError(
                msg, vendor=self.account.vendor.name, status=err.status, code="NO_ANSWER", record_id=record_id
            ) from read_err
        return record if self.account.vendor.applied(call, record) else None

    def _redact(self, err: CrmError, record_id: str | None, call: Call | None = None) -> None:
        """Fill in the record; take the account's secrets and hidden values out of whatever the vendor wrote."""
        secrets = self._secrets
        text = hidden(str(err), secrets)
        err.field_errors = {name: hidden(message, secrets) for name, message in err.field_errors.items()}
        err.code = hidden(err.code, secrets)
        if call is not None and (values := sent_values(call.body, self._hidden)):
            text = without_values(text, values)
            err.field_errors = {name: without_values(told, values) for name, told in err.field_errors.items()}
            err.code = without_values(err.code, values) if err.status is not None else err.code
        err.args = (text,)
        err.vendor = err.vendor or self.account.vendor.name
        err.record_id = err.record_id or record_id

    @property
    def _secrets(self) -> tuple[str, ...]:
        """Whatever must not be repeated; longer ones first, because one may be a part of another."""
        fetched = self.account.tokens.secrets if self.account.tokens is not None else ()
        return tuple(sorted({*self.account.credentials.secrets(), *fetched}, key=len, reverse=True))
