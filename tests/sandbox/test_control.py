"""The control routes, for use from other processes."""

from __future__ import annotations

import pytest


def test_describes_itself(anyone, sandbox):
    """The root tells the vendors' URLs, the switches and the time."""
    body = anyone.get("/sandbox/").json()
    shown = (body["close"]["url"], body["raze"]["opportunities"], body["switches"]["close_limit"])
    assert shown == (sandbox.url + "/api/v1/", 1, None)


def test_switches_are_set_and_reset(anyone, sandbox):
    """Switches can be set, lists serving as sets, and put back."""
    anyone.put("/sandbox/switches", {"close_limit": 5, "ignored_ids": ["a"]})
    set_to = (sandbox.switches.close_limit, sandbox.switches.ignored_ids)
    anyone("DELETE", "/sandbox/switches")
    assert (set_to, sandbox.switches.close_limit) == ((5, frozenset({"a"})), None)


def test_unknown_switch_is_400(anyone):
    """An unknown switch is 400 with the list of known ones."""
    answer = anyone.put("/sandbox/switches", {"nope": 1})
    assert (answer.status_code, "Known switches" in answer.json()["error"]) == (400, True)


def test_script(anyone, close):
    """A script can be laid down."""
    assert anyone.post("/sandbox/script", {"method": "PUT", "faults": ["http_503"]}).json() == {"left": 1}
    assert close.put("/opportunity/oppo_1/", {}).status_code == 503


def test_clock(anyone, sandbox):
    """The clock can be set and let go."""
    anyone.put("/sandbox/clock", {"now": "2026-03-08T12:00:00Z"})
    stopped = sandbox.clock.now().isoformat()
    anyone.put("/sandbox/clock", {"now": None})
    assert (stopped, sandbox.clock.now().isoformat() == stopped) == ("2026-03-08T12:00:00+00:00", False)


def test_audit(anyone, close):
    """The audit can be read, fractions kept, and cleared."""
    close.put("/opportunity/oppo_1/", {"custom.cf_score": 1.5})
    body = anyone.get("/sandbox/audit").json()
    assert (body["calls"], body["writes"][0]["fields"]) == ({"close PUT": 1}, {"custom.cf_score": 1.5})
    anyone("DELETE", "/sandbox/audit")
    assert anyone.get("/sandbox/audit").json()["calls"] == {}


@pytest.mark.parametrize("vendor", ["close", "raze"])
def test_opportunities_are_added_and_read(anyone, vendor):
    """One opportunity or a list can be added, and read in full without a key."""
    anyone.post(f"/sandbox/{vendor}/opportunities", {"id": "one"})
    many = anyone.post(f"/sandbox/{vendor}/opportunities", [{}, {}]).json()
    assert (anyone.get(f"/sandbox/{vendor}/opportunities/one").json()["id"], len(many)) == ("one", 2)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sandbox/close/opportunities/missing", 404),
        ("GET", "/sandbox/hubspot/opportunities/1", 404),
        ("POST", "/sandbox/audit", 404),
        ("GET", "/", 404),
        ("GET", "/elsewhere", 404),
    ],
)
def test_unknown_is_404(anyone, method, path, status):
    """An unknown record, vendor, method or route is 404."""
    assert anyone(method, path).status_code == status


@pytest.mark.parametrize("body", [b"{", b'{"vlaue": 5}'])
def test_wrong_body_is_400(anyone, body):
    """A body that can't be used is 400 with the reason."""
    assert anyone("POST", "/sandbox/close/opportunities", data=body).status_code == 400


def test_control_is_neither_audited_nor_faulty(anyone, sandbox):
    """Control calls aren't counted, limited or hit by faults."""
    sandbox.set(fault_rates={"http_503": 1.0}, close_limit=0)
    assert (anyone.get("/sandbox/").status_code, sandbox.audit.count()) == (200, 0)
