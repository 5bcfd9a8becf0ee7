"""Two workers that write the same rows at the same time wait for each other, and never in a circle."""

from __future__ import annotations

import threading

from airflow_provider_crm.ledger import Settlement
from airflow_provider_crm.opportunity import Outcome, OutcomeWord

from .conftest import wish


def test_a_late_word_and_a_take_over_meet(ledger):
    """A worker settles rows whose leases ran out, in any order, while another takes them over."""
    wishes = [wish(f"oppo_{number:03d}", value=1) for number in range(150)]
    for _ in range(60):
        late = ledger("late", lease=-1.0)
        claims = late.claim(wishes)
        ends = [
            Settlement(one, claim, Outcome(0, one.record_id, OutcomeWord.FAILED), frozenset())
            for one, claim in zip(wishes, claims, strict=True)
        ]
        errors = []

        def settle(late=late, ends=ends, errors=errors):
            try:
                late._store(list(reversed(ends)))
            except Exception as err:  # noqa: BLE001 - told below
                errors.append(err)

        thread = threading.Thread(target=settle)
        thread.start()
        ledger("next", lease=-1.0).claim(wishes)
        thread.join()
        assert errors == []
