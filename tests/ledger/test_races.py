"""Many intervals of the same deals, pushed by eight processes in random order, some killed: the newest value stays."""

from __future__ import annotations

import pytest

from airflow_provider_crm.sandbox import Sandbox

from .intervals import CloseDeals, RazeDeals, run_seeds

FAULTS = {"http_500_after": 0.02, "reset_after": 0.02, "reset_before": 0.02, "truncated": 0.02, "late": 0.03}
# A stage that is still on its way when its sender gives up is read back before it lands, and sent again: nobody can
# tell it from a lost one, so nothing is late here.
RAZE_FAULTS = {name: rate for name, rate in FAULTS.items() if name != "late"}
FULL_SIZE = {"deals": 200, "days": 30, "kills": 0.35, "longest_life": 0.2}
BATCH = 4


def race(seeds, crm, racer, engine, folder, *, faults=None, killed="killed between rows", **size):
    """Run several seeds, some at once, and print how the tries ended.

    Returns:
        What should not be: fields in which the CRM differs from the newest interval, stages that were stamped again.
    """
    url = engine.url.render_as_string(hide_password=False)
    with Sandbox() as sandbox:
        sandbox.set(slow_seconds=0.3, seed=seeds[0], fault_rates=faults or {}, fault_methods={"PUT", "PATCH"})
        tries, found = run_seeds(seeds, crm, sandbox, racer, url=url, folder=folder, **size)
        calls = sandbox.audit.count()
    print(f"{crm.vendor}, seeds {seeds[0]}-{seeds[-1]}: {dict(tries)}; {calls} calls")  # noqa: T201 - the size of the proof
    assert any(end.startswith(killed) for end in tries), "the case is not real"
    return found + [(crm.vendor, *restamped) for restamped in restamped_stages(sandbox)]


def restamped_stages(sandbox):
    """Stages of Raze that were written although the record had them, with the faults of both calls."""
    faults = {call.number: call.fault for call in sandbox.audit.calls}
    last, restamped = {}, []
    for write in sandbox.audit.writes:
        if "status" in write.fields:
            before = last.get(write.record_id)
            if before is not None and before.fields == write.fields:
                restamped.append((write.record_id, write.fields["status"], faults[before.number], faults[write.number]))
            last[write.record_id] = write
    return restamped


def test_the_newest_interval_wins(racer, engine, tmp_path):
    """Two seeds, small enough for every test run."""
    size = {"deals": 6, "days": 6, "kills": 0.3, "longest_life": 0.05}
    assert race([1, 2], CloseDeals(), racer, engine, tmp_path, killed="killed", **size) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("any_database", "first"),
    [("sqlite", 200), ("postgresql", 210), ("sqlite", 220), ("postgresql", 230)],
    indirect=["any_database"],
)
def test_the_newest_interval_wins_whatever_the_crm_does(racer, engine, tmp_path, first):
    """30 days, 200 deals, 8 processes, a third of the first tries killed, one answer in ten cut, delayed or lost."""
    seeds = range(first, first + BATCH)
    assert race(seeds, CloseDeals(), racer, engine, tmp_path, faults=FAULTS, **FULL_SIZE) == []


@pytest.mark.long
def test_the_newest_interval_wins_in_raze(racer, engine, tmp_path):
    """Rows of two calls; a stage that a record has is not written once more, whatever was killed or lost."""
    seeds = range(300, 304)
    assert race(seeds, RazeDeals(), racer, engine, tmp_path, faults=RAZE_FAULTS, **FULL_SIZE) == []
