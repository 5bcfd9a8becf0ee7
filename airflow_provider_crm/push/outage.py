"""Find out whether the vendor is down, or only some rows always fail, by calling it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_crm.exceptions import ClaimLostError, CrmError, OutageError
from airflow_provider_crm.values.opportunity import OutcomeWord

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session

End: TypeAlias = tuple[OutcomeWord, Exception | None]
"""The outcome of a row, and the error that ended it, or None."""

log = logging.getLogger(__name__)

_FAILED_IN_A_ROW = 5
_ATTEMPTS_WHILE_ALL_FAIL = 2
_LANDED: End = (OutcomeWord.UPDATED, None)
_UNANSWERED = (OutcomeWord.FAILED, OutcomeWord.UNKNOWN)


class OutageWatch:
    """Distinguishes a vendor that is down from rows that it always answers with an error; safe for threads.

    A failed call here is one that failed in every attempt, however many rows it carried. After five one after another,
    the call that tests a connection is made. If that fails, too, the vendor is down. Else the rows are at fault, and
    the run goes on: until another row is answered each call has two attempts, and every fifth failure makes that call
    again. So 80 such rows among good ones, one row a call, cost 16 tests of the connection and 2 calls each. Only the
    first five, and the rows that are in flight then, cost 8 calls each.

    Args:
        session: Makes the call.
        probing: Whether the vendor was down a while ago: then the connection is tested after the first failed call.
    """

    def __init__(self, session: Session, *, probing: bool) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._probing = probing
        self._failed = 0
        self._suspicious = False

    @property
    def attempts(self) -> int | None:
        """The maximum number of attempts of a call now; None for the usual number."""
        with self._lock:
            return _ATTEMPTS_WHILE_ALL_FAIL if self._suspicious else None

    def add(self, ends: Sequence[End], reason: str) -> OutageError | None:
        """Note the end of a call; return the reason to stop if the vendor is down.

        Args:
            ends: How its rows ended; none of them if its answer sent all of them on to other calls.
            reason: Why the last of them ended so, as a sentence.
        """
        landed = _LANDED in ends
        reported = [] if landed else [word for word, cause in ends if _is_of_the_vendor(word, cause)]
        if ends and not reported and not landed:
            return None
        with self._lock:
            if landed or not reported or any(word not in _UNANSWERED for word in reported):
                self._failed, self._suspicious, self._probing = 0, False, False
                return None
            self._failed += 1
            if self._failed < (1 if self._probing else _FAILED_IN_A_ROW):
                return None
            calls = "a call" if self._failed == 1 else f"{self._failed} calls one after another"
            self._failed, self._probing = 0, False
        vendor = self._session.account.vendor
        if self._session.is_down():
            msg = f"{vendor.display_name} failed {calls}, every attempt; {reason}"
            return OutageError(msg, vendor=vendor.name)
        log.warning("%s failed %s, every attempt, and answers otherwise: the run goes on.", vendor.display_name, calls)
        with self._lock:
            self._suspicious = True
        return None


def _is_of_the_vendor(word: OutcomeWord, cause: Exception | None) -> bool:
    """Return whether the end of a row says anything of the vendor; a lost claim and an unexpected exception do not."""
    if word is OutcomeWord.NOT_SENT:
        return False
    return cause is None or (isinstance(cause, CrmError) and not isinstance(cause, ClaimLostError))
