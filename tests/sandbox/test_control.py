"""The control routes, for use from other processes."""

from __future__ import annotations

import pytest


def test_describes_itself(anyone, sandbox):
    """The root shows the vendors' URLs, the switches and the time."""
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
    """The audit can be read, with its fractions, and cleared."""
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
    assert anyone(method, path, headers={"Content-Type": "application/json"}).status_code == status


@pytest.mark.parametrize("body", [b"{", b'{"vlaue": 5}'])
def test_wrong_body_is_400(anyone, body):
    """A body that can't be used is 400 with the reason."""
    headers = {"Content-Type": "application/json"}
    assert anyone("POST", "/sandbox/close/opportunities", data=body, headers=headers).status_code == 400


def test_control_is_neither_audited_nor_faulty(anyone, sandbox):
    """Control calls aren't counted, limited or hit by faults."""
    sandbox.set(fault_rates={"http_503": 1.0}, close_limit=0)
    assert (anyone.get("/sandbox/").status_code, sandbox.audit.count()) == (200, 0)


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("slow_seconds", 0.001),
        ("throttle_seconds", 2.5),
        ("fault_rates", {"http_503": 0.5}),
        ("stale_seconds", 0.5),
        ("close_window", 0.5),
        ("close_default_tz_offset", -2.5),
        ("raze_window", 1),
    ],
)
def test_a_fraction_is_a_number_like_any_other(anyone, close, sandbox, switch, value):
    """A switch has the same value when another process sets it: the vendors answer on."""
    sandbox.set(close_limit=5, raze_limit=5, seed=1)
    assert anyone.put("/sandbox/switches", {switch: value}).status_code == 200
    assert (getattr(sandbox.switches, switch), anyone.get("/sandbox/").status_code) == (value, 200)
    sandbox.script(faults=["slow", "http_429", "stale", None])
    assert [close.get("/opportunity/oppo_1/").status_code for _ in range(4)] == [200, 429, 200, 200]


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("slow_seconds", "1"),
        ("slow_seconds", -1),
        ("slow_seconds", None),
        ("slow_seconds", True),
        ("raze_window", 0),
        ("raze_limit", 1.5),
        ("raze_limit", "5"),
        ("seed", None),
        ("close_integer_reset", 1),
        ("redirect_to", 5),
        ("fault_rates", ["http_503"]),
        ("fault_rates", {"http_503": "often"}),
        ("ignored_ids", [1]),
        ("close_retry_after", ["seconds"]),
    ],
)
def test_a_value_that_a_switch_does_not_have(anyone, close, sandbox, switch, value):
    """A value of a wrong type is refused when it is set, by the name of the switch, and changes nothing."""
    before = sandbox.switches
    answer = anyone.put("/sandbox/switches", {switch: value})
    assert (answer.status_code, switch in answer.json()["error"], sandbox.switches) == (400, True, before)
    assert close.get("/opportunity/oppo_1/").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""]
)
@pytest.mark.parametrize("path", ["/sandbox/", "/api/v1/opportunity/oppo_1/", "/external/v1/opportunities"])
def test_a_name_that_was_made_to_point_here(anyone, close, host, path):
    """A page whose own host name resolves to this machine gets nothing: neither control nor vendors."""
    answer = anyone.get(path, headers={"Host": host})
    assert answer.status_code in (400, 421)
    assert "oppo_1" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1:80", "[::1]:8000"])
def test_this_machine_by_any_name(anyone, host):
    """Every call by a loopback name or address is answered."""
    assert anyone.get("/sandbox/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_what_a_page_may_send_without_asking(anyone, sandbox, content_type):
    """The types that a page may send to another site are refused, and JSON from a page's origin, too."""
    headers = {"Content-Type": content_type} if content_type else {}
    for method, path in (
        ("POST", "/sandbox/script"),
        ("PUT", "/sandbox/clock"),
        ("POST", "/sandbox/close/opportunities"),
    ):
        assert anyone(method, path, data=b'{"id": "x", "faults": [], "now": null}', headers=headers).status_code == 415
    assert anyone.post("/sandbox/script", {"faults": []}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert anyone.post("/sandbox/script", {"faults": []}, headers={"Origin": "null"}).status_code == 403
    assert "x" not in sandbox.close.records.ids()
