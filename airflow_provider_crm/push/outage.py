"""Whether the vendor is down, or only some rows always fail: found by asking it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import OutageError
from airflow_provider_crm.values.opportunity import Outcome, OutcomeWord

if TYPE_CHECKING:
    from airflow_provider_crm.client.session import Session

log = logging.getLogger(__name__)

UNEXPECTED = "UNEXPECTED"
"""Code of a row that met an exception which is none of this package."""

_FAILED_IN_A_ROW = 5
_ATTEMPTS_WHILE_ALL_FAIL = 2
# What ended these rows says nothing of the vendor.
_SAY_NOTHING = frozenset({"TAKEN_OVER", UNEXPECTED})


class OutageWatch:
    """Tells a vendor that is down from rows that it always answers with an error.

    A failed call here is one that failed in every attempt. After five in a row, whatever their rows, the vendor is
    asked by the call that tests a connection. If that fails, too, the vendor is down. Else the rows are at fault, and
    the run goes on; until another row is answered each call has two attempts, and every fifth failure asks again. So
    80 such rows among good ones cost 8 calls for each of the first five and of those in flight then, 2 for each other,
    and 16 questions.

    Args:
        session: Asks the vendor.
        probing: Whether the vendor was down a while ago: then the first failed call is enough to ask.
    """

    def __init__(self, session: Session, *, probing: bool) -> None:
        self._session = session
        self._probing = probing
        self._failed = 0
        self._suspicious = False

    @property
    def attempts(self) -> int | None:
        """How often a call may be tried now; None for as often as usual."""
        return _ATTEMPTS_WHILE_ALL_FAIL if self._suspicious else None

    def add(self, outcome: Outcome) -> OutageError | None:
        """Note what became of a row that was sent; return the reason to stop if the vendor is down."""
        if outcome.word is OutcomeWord.NOT_SENT or outcome.code in _SAY_NOTHING:
            return None
        if outcome.word not in (OutcomeWord.FAILED, OutcomeWord.UNKNOWN):
            self._failed, self._suspicious, self._probing = 0, False, False
            return None
        self._failed += 1
        if self._failed < (1 if self._probing else _FAILED_IN_A_ROW):
            return None
        rows = "a row" if self._failed == 1 else f"{self._failed} rows one after another"
        vendor = self._session.account.vendor
        self._failed, self._probing = 0, False
        if not self._session.is_down():
            log.warning(
                "%s failed %s, every attempt, and answers otherwise: the run goes on.", vendor.display_name, rows
            )
            self._suspicious = True
            return None
        msg = f"{vendor.display_name} failed {rows}, every attempt; {outcome.reason}"
        return OutageError(msg, vendor=vendor.name)
