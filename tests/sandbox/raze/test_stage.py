"""Raze: changing the stage."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

STAGE = "/opportunities/opp_1/stage"
NOVO, GANHO = "5a9e0000-0000-4000-8000-000000000001", "5a9e0000-0000-4000-8000-000000000006"


@pytest.fixture(autouse=True)
def stopped_clock(sandbox):
    """Stop the clock at noon on a certain day."""
    sandbox.clock.set(datetime(2026, 5, 4, 12, 0, tzinfo=UTC))


@pytest.fixture
def stage(raze):
    """Return a PATCH of the stage with some body."""
    return lambda **body: raze("PATCH", STAGE, json=body)


@pytest.mark.parametrize(("status", "field"), [("won", "won_at"), ("lost", "lost_at")])
def test_end_is_stamped(stage, sandbox, status, field):
    """`won` sets `won_at` and `lost` sets `lost_at`, to the server's now."""
    stage(status=status)
    assert sandbox.raze.opportunity("opp_1")[field] == "2026-05-04T12:00:00Z"


def test_answer_has_the_documented_keys(stage):
    """The answer holds id, name, status, `won_at` and `updated_at`."""
    body = stage(status="qualified").json()
    assert (list(body), list(body["data"])) == (["success", "data"], ["id", "name", "status", "won_at", "updated_at"])


@pytest.mark.parametrize("status", ["new", "contacted", "qualified", "proposal", "negotiation", "won", "lost"])
def test_each_documented_status_is_taken(stage, status):
    """All seven statuses are accepted."""
    assert stage(status=status).json()["data"]["status"] == status


@pytest.mark.parametrize("status", ["Won", "open", None, 5])
def test_unknown_status_is_refused(stage, status):
    """Any other status is `INVALID_STATUS`."""
    answer = stage(status=status)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_STATUS")


def test_missing_status_is_refused(stage):
    """No status is `MISSING_REQUIRED_FIELD`."""
    assert stage().json()["error"]["code"] == "MISSING_REQUIRED_FIELD"


@pytest.mark.parametrize(("restamps", "day"), [(True, "05"), (False, "04")])
def test_winning_again(stage, sandbox, restamps, day):
    """`won` again sets `won_at` again, unless the switch says otherwise."""
    sandbox.set(raze_restamps_won_at=restamps)
    stage(status="won")
    sandbox.clock.advance(86_400)
    assert stage(status="won").json()["data"]["won_at"] == f"2026-05-{day}T12:00:00Z"


@pytest.mark.parametrize(("clears", "expected"), [(False, "2026-05-04T12:00:00Z"), (True, None)])
def test_leaving_won(stage, sandbox, clears, expected):
    """Leaving `won` keeps `won_at`, unless the switch says otherwise."""
    sandbox.set(raze_clears_won_at=clears)
    stage(status="won")
    assert stage(status="proposal").json()["data"]["won_at"] == expected


def test_server_names(stage, sandbox):
    """The server's nine names replace the documented seven, and the answer shows the change."""
    sandbox.set(raze_stages="names")
    answer = stage(status="scheduled")
    assert answer.json()["data"]["stage_change"] == {"from": "new", "to": "scheduled"}
    assert stage(status="negotiation").json()["error"]["code"] == "VALIDATION_ERROR"


def test_stage_ids(stage, sandbox):
    """The newer server takes a stage id, and its won stage sets no `won_at` as it isn't called "won"."""
    sandbox.set(raze_stages="stage_id")
    stage(stage_id=NOVO)
    data = stage(stage_id=GANHO).json()["data"]
    expected = {"from": {"id": NOVO, "name": "Novo"}, "to": {"id": GANHO, "name": "Ganho"}}
    assert (data["stage_change"], data["won_at"]) == (expected, None)


def test_unknown_stage_id_is_500(stage, sandbox):
    """The newer server crashes on an unknown stage id."""
    sandbox.set(raze_stages="stage_id")
    assert stage(stage_id="00000000-0000-4000-8000-000000000000").status_code == 500
