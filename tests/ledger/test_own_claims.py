"""A run and its own claims: rows that landed are on record however the run ends, and are not in its own way."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter

from airflow_provider_crm.values.conversion import ValueRules
from airflow_provider_crm.values.opportunity import Update

from .conftest import DAY
from .deals import Deals

LEASE = 60.0


def rows(push, *wanted):
    """Rows of a record, a value in major units and the age of the data in days."""
    value = push.catalogue.fields["deal_value"]
    return [
        Update(number, record, {"deal_value": ValueRules().value(value, amount)}, DAY + dt.timedelta(days=day))
        for number, (record, amount, day) in enumerate(wanted)
    ]


def test_what_landed_is_on_record_when_nobody_takes_the_outcomes(crm_sandbox, engine):
    """A task that is stopped in the middle, by its timeout for instance, sends no row twice when it is tried again."""
    crm = Deals(crm_sandbox, 200, lease=LEASE, timeout=5.0)
    with crm.push(engine) as push:
        outcomes = push.run(rows(push, *((record, 5, 0) for record in crm.records)))
        for _ in range(20):
            next(outcomes)
        outcomes.close()
    landed = crm.sent()
    assert 20 <= landed.total() < 200
    with crm.push(engine) as push:
        words = Counter(outcome.word.value for outcome in push.run(rows(push, *((one, 5, 0) for one in landed))))
    assert words == {"unchanged": landed.total()}
    assert crm.sent() == landed


def test_two_rows_of_one_record_do_not_wait_for_a_lease(crm_sandbox, engine):
    """The second one waits until the first is on record, and no longer."""
    crm = Deals(crm_sandbox, 3, lease=LEASE, timeout=5.0)
    began = time.monotonic()
    with crm.push(engine) as push:
        wanted = rows(push, ("oppo_0", 1, 0), ("oppo_1", 1, 0), ("oppo_1", 2, 1), ("oppo_1", 3, 2), ("oppo_2", 1, 0))
        words = Counter(outcome.word.value for outcome in push.run(wanted))
    assert words == {"updated": 5}
    assert [crm_sandbox.close.opportunity(record)["value"] for record in crm.records] == [100, 300, 100]
    assert time.monotonic() - began < LEASE / 2
