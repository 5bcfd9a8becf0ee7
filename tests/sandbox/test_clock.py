"""The clock, and what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_crm.sandbox import SandboxClock

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def test_runs_in_real_time_until_set():
    """A new clock has the real time."""
    assert abs(SandboxClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_set_stops_it():
    """A set clock stands still."""
    clock = SandboxClock()
    clock.set(NOON)
    assert (clock.now(), clock.now()) == (NOON, NOON)


def test_any_offset_is_the_same_instant():
    """An instant may be given in any zone."""
    clock = SandboxClock()
    clock.set(NOON.astimezone(timezone(timedelta(hours=5.5))))
    assert clock.now() == NOON


def test_naive_datetime_is_refused():
    """A datetime without offset names no instant."""
    with pytest.raises(ValueError, match="aware"):
        SandboxClock().set(datetime(2026, 5, 4))  # noqa: DTZ001 - the point


def test_advance_moves_it():
    """Advancing adds seconds."""
    clock = SandboxClock()
    clock.set(NOON)
    clock.advance(1.5)
    assert clock.now() == NOON + timedelta(seconds=1.5)


def test_none_lets_it_run():
    """None goes back to real time."""
    clock = SandboxClock()
    clock.set(NOON)
    clock.set(None)
    assert clock.now() != NOON


def test_date_header_follows_the_clock(sandbox, close):
    """The `Date` header has the sandbox's time, so epoch resets can be compared with it."""
    sandbox.clock.set(NOON)
    assert close.get("/me/").headers["date"] == "Mon, 04 May 2026 12:00:00 GMT"


def test_records_are_stamped_by_the_clock(sandbox, close):
    """Writes carry the sandbox's time."""
    sandbox.clock.set(NOON)
    assert close.put("/opportunity/oppo_1/", {}).json()["date_updated"] == "2026-05-04T12:00:00.000000+00:00"
