"""Try a call until it is answered.

Temporary errors are retried. If a call got no answer and is not safe to repeat, the record is read first to see whether
the write landed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from airflow_provider_crm.exceptions import CrmError, RateLimitedError, TransientError

if TYPE_CHECKING:
    import requests

    from airflow_provider_crm.client.passage import Passage
    from airflow_provider_crm.client.redaction import Redactor
    from airflow_provider_crm.client.retry import RetryRules
    from airflow_provider_crm.client.sender import Sender
    from airflow_provider_crm.clock import Clock

_T = TypeVar("_T")

BeforeAttempt: TypeAlias = Callable[[], None]
"""Called before each attempt; what it raises ends the call, of which nothing is sent then."""
Entrance: TypeAlias = Callable[[str, float, int], "AbstractContextManager[Passage]"]
"""Waits until a call of an endpoint group may go: the group, monotonic seconds of its first attempt, and its cost."""

# How long a call waits that was refused, without a wait, by something other than the rate limit of calls: as long as
# after so many failed attempts.
_FAILED_ATTEMPTS = 3


def always() -> None:
    """Allow every attempt."""


def never(err: TransientError) -> None:
    """Say of no call that it has landed: the call is safe to repeat."""


class Attempts:
    """The attempts of calls, as many as the retry rules allow; safe for many threads.

    Args:
        sender: Knows the access token.
        passage: Waits until a call may go, see `RateLimits.passage`.
        redactor: Takes secrets out of answers.
        retry: How long a call is tried.
        clock: Time.
    """

    def __init__(self, sender: Sender, passage: Entrance, redactor: Redactor, retry: RetryRules, clock: Clock) -> None:
        self._sender = sender
        self._passage = passage
        self._redactor = redactor
        self._retry = retry
        self._clock = clock

    def answered(
        self,
        group: str,
        send: Callable[[Passage], requests.Response],
        read: Callable[[requests.Response], _T],
        *,
        redact: Callable[[CrmError], None],
        cost: int = 1,
        landed: Callable[[TransientError], _T | None] = never,
        before_attempt: BeforeAttempt = always,
        attempts: int | None = None,
    ) -> _T:
        """Try a call until its answer can be read.

        Args:
            group: The endpoint group whose rate limit the call counts against.
            send: Sends the call once.
            read: Reads the answer; its errors are treated like refusals.
            redact: Takes out of an error what no message may show of the call.
            cost: Units of that limit that the call costs.
            landed: Called before a call is repeated; what it returns, if not None, is the result.
            before_attempt: Called right before each attempt is sent.
            attempts: Maximum number of attempts; default: that of the retry rules.

        Raises:
            CrmError: There is no answer, or none that can be read.
        """
        started, failed, refused, renewed = self._clock.monotonic(), 0, 0, False
        while True:
            with self._passage(group, started, cost) as passage:
                token, answer = self._attempt(passage, send, redact, before_attempt)
            try:
                return self._read(read, answer)
            except RateLimitedError as err:
                redact(err)
                refused += 1
                self._wait_out(err, passage, refused, started)
            except TransientError as err:
                redact(err)
                failed += 1
                if (result := landed(err)) is not None:
                    return result
                self._back_off(err, failed, attempts or self._retry.attempts, started)
            except CrmError as err:
                if renewed or not self._is_about_token(err, token):
                    redact(err)
                    raise
                renewed = True

    def _attempt(
        self,
        passage: Passage,
        send: Callable[[Passage], requests.Response],
        redact: Callable[[CrmError], None],
        before_attempt: BeforeAttempt,
    ) -> tuple[str | None, requests.Response | CrmError]:
        """Send a call once.

        Returns:
            The access token, and the answer or the error in its place.

        Raises:
            CrmError: `before_attempt` did not allow the attempt: nothing was sent.
        """
        try:
            token = self._sender.token()  # before `before_attempt`: fetching one takes time
        except CrmError as err:
            return None, err
        try:
            before_attempt()
        except CrmError as err:
            redact(err)
            raise
        try:
            return token, send(passage)
        except CrmError as err:
            return token, err

    def _read(self, read: Callable[[requests.Response], _T], answer: requests.Response | CrmError) -> _T:
        if isinstance(answer, CrmError):
            raise answer
        return self._redactor.read(read, answer)

    def _is_about_token(self, err: CrmError, token: str | None) -> bool:
        """Return whether the vendor refused the access token; if so, the next attempt fetches another one."""
        if token is None or err.status != HTTPStatus.UNAUTHORIZED:
            return False
        self._sender.refuse_token(token)
        return True

    def _wait_out(self, err: RateLimitedError, passage: Passage, refused: int, started: float) -> None:
        """Wait before a refused call is tried again. Where all calls have to wait, the next passage does it."""
        if passage.refused:
            own_wait = self._retry.repeated_wait(passage.own_wait, refused)
        else:  # the token's endpoint, or an answer of another status: no pacer knows
            own_wait = err.retry_after or self._retry.backoff(_FAILED_ATTEMPTS, self._clock.jitter())
        wait = own_wait or err.retry_after or 0.0
        if not self._retry.allows_wait(wait, self._clock.monotonic() - started):
            err.retry_after = wait
            raise err
        if own_wait:
            self._clock.sleep(own_wait)

    def _back_off(self, err: TransientError, failed: int, attempts: int, started: float) -> None:
        """Wait before a call is repeated, unless it was tried often enough or would wait for too long."""
        wait = max(self._retry.backoff(failed, self._clock.jitter()), err.retry_after or 0.0)
        if failed >= attempts:
            raise err
        if not self._retry.allows_wait(wait, self._clock.monotonic() - started):
            if err.retry_after is not None:  # a pause of our own is nothing that the vendor asks for
                err.retry_after = wait
            raise err
        self._clock.sleep(wait)
