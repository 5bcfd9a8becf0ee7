"""Keep the reason why a run ends before its last row, for all its threads."""

from __future__ import annotations

import threading
from http import HTTPStatus

from airflow_provider_crm.exceptions import (
    ConfigurationError,
    CrmError,
    LedgerUnavailableError,
    NotReachedError,
    TransientError,
)


class FirstError:
    """The first error of several threads; it stands, whatever comes later.

    A later one is mostly a consequence, or an accident of calls that were still in flight. After a key was refused, for
    example, another call may be asked to wait; that must not turn a wrong key into a pause.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: CrmError | None = None

    @property
    def error(self) -> CrmError | None:
        """The first error, or None so far."""
        with self._lock:
            return self._error

    def add(self, err: CrmError) -> CrmError:
        """Note an error unless there is one; return the one that stands."""
        with self._lock:
            if self._error is None:
                self._error = err
            return self._error

    def outrank(self, err: CrmError) -> None:
        """Replace an error that only asks to wait."""
        with self._lock:
            if self._error is None or isinstance(self._error, TransientError):
                self._error = err


class Stops:
    """Decides which errors end a run, and keeps the first reason; safe for threads.

    Args:
        longest_wait: Seconds: the run ends instead of waiting longer than this for the vendor.
    """

    def __init__(self, longest_wait: float) -> None:
        self._longest_wait = longest_wait
        self._first = FirstError()
        self._lock = threading.Lock()
        self._ledger_failed = False
        self._landed = False

    @property
    def reason(self) -> CrmError | None:
        """The reason why the run ends before its last row; None as long as it goes on."""
        return self._first.error

    @property
    def ledger_failed(self) -> bool:
        """Whether the ledger's database has failed in this run, whatever ended it first."""
        with self._lock:
            return self._ledger_failed

    def add(self, err: CrmError) -> CrmError:
        """End the run, unless it is ending for another reason already; return the reason that stands."""
        if isinstance(err, LedgerUnavailableError):
            with self._lock:
                self._ledger_failed = True
        return self._first.add(err)

    def outrank(self, err: CrmError) -> None:
        """End the run for a reason that no wait cures, though another one may ask to wait already."""
        self._first.outrank(err)

    def note_landed(self) -> None:
        """Note that the key has written a row."""
        with self._lock:
            self._landed = True

    def ends_run(self, err: CrmError) -> bool:
        """Return whether no other row should be tried after this error.

        | error of a call | the run |
        |---|---|
        | the ledger cannot be used; the run was ended | ends |
        | the vendor asks for a wait that is longer than `longest_wait` | ends, and goes on after it |
        | any other `TransientError` | goes on |
        | the set-up is wrong, but for a 403 after a row has landed: then the key is good | ends |
        | any other error | goes on |
        """
        if isinstance(err, TransientError):
            waits_long = err.retry_after is not None and err.retry_after > self._longest_wait
            return waits_long or isinstance(err, (LedgerUnavailableError, NotReachedError))
        with self._lock:
            about_this_row = err.status == HTTPStatus.FORBIDDEN and self._landed
        return isinstance(err, ConfigurationError) and not about_this_row
