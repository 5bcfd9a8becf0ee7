"""`kill -9` in mid-run, in a CRM that fails in every way: what is reported is true, and few rows are sent twice."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from airflow_provider_crm.sandbox import Sandbox
from tests.fake.api import APIS, LARGEST_BATCH
from tests.fake.faulty_rows import FaultyRows

RATIO = 1.3


class Size(NamedTuple):
    """The size of a run.

    Attributes:
        rows: Rows.
        kills: How often it is killed.
        concurrency: Calls in flight.
        timeout: Seconds that an answer may take.
    """

    rows: int
    kills: int
    concurrency: int
    timeout: float


FEW, MANY = Size(300, 1, 2, 1.0), Size(10_000, 2, 8, 3.0)


@pytest.mark.parametrize(
    ("api", "size"),
    [
        pytest.param("batchly", FEW, id="few"),
        pytest.param("batchly_mute", FEW, id="few-mute", marks=pytest.mark.long),
        pytest.param("batchly", MANY, id="many", marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_killed_among_faults(batch_racer, ledger_url, tmp_path, api, size):
    """Every reported outcome is true, the CRM holds each value that it takes, and calls are close to the fewest.

    Of the rows 5% are poisoned, 2% left out of answers and 1% dropped in silence; 2% of all answers are lost, and there
    is a limit, of which some calls are refused. Each kill repeats at most the rows that were in flight.
    """
    moments = sorted(random.Random(size.rows).sample(range(size.rows // 100, size.rows // 5), size.kills))
    with Sandbox(apis=APIS) as sandbox:
        rows = FaultyRows(sandbox, size.rows, api=api, seed=size.rows)
        job = rows.job(ledger_url, tmp_path, concurrency=size.concurrency, timeout=size.timeout)
        for number, moment in enumerate((*moments, None)):
            come = None if moment is None else lambda moment=moment: sandbox.audit.count(method="POST") >= moment
            code = batch_racer.push({**job, "label": str(number)}, kill_when=come)
            assert code == (0 if moment is None else -9), rows.left(job["out"])
        words = rows.check_reports(job["out"])
        rows.check_records()
        twice, calls, ideal = rows.sent_twice(size.kills + 1), sandbox.audit.count(), rows.ideal_calls()
        early = rows.refused_by_limit()
    found = f"{dict(words)}; sent twice after each kill {twice[:-1]}; {calls} calls, {early} of them too early"
    print(f"{api}, {size.rows} rows: {found}")  # noqa: T201 - the size of the proof
    assert max(twice) <= size.concurrency * LARGEST_BATCH
    assert words["rejected"] == len(rows.poisoned)
    if size is MANY:  # of few rows, those that a kill repeats are a large part
        print(f"an ideal client makes {ideal:.0f} calls: {calls / ideal:.3f} times these")  # noqa: T201 - as above
        assert early > 0
        assert calls <= RATIO * ideal
