"""Claims about setting switches, and about the switches that work for every API."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airflow_provider_crm.sandbox import Switches, own_apis


def test_unknown_switch_lists_the_known_ones(sandbox):
    """A misspelt switch is an error that lists all switches."""
    with pytest.raises(ValueError, match=r"no switch close_limt.*Known switches: .*close_limit,"):
        sandbox.set(close_limt=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("close_rate_limit_header", "colon"),
        ("raze_stages", "old"),
        ("fault_rates", {"oops": 1}),
        ("ignored_ids", "oppo_1"),
    ],
)
def test_wrong_value_is_refused(sandbox, name, value):
    """A value that a switch doesn't have is an error, and nothing is set."""
    before = sandbox.switches
    with pytest.raises(ValueError, match=r"oops|cannot be|is a set of strings"):
        sandbox.set(close_limit=5, **{name: value})
    assert sandbox.switches == before


def test_reset_restores_defaults_and_drops_scripts(sandbox, close):
    """`reset_switches` puts everything back and forgets scripts."""
    defaults = sandbox.switches
    sandbox.set(close_limit=0)
    sandbox.script(faults=["http_503"])
    sandbox.reset_switches()
    assert (sandbox.switches, close.get("/me/").status_code) == (defaults, 200)


def test_every_switch_is_documented():
    """The tables of the switches name each of them: the shared ones, and those of each API."""
    undocumented = [name for name in Switches.__dataclass_fields__ if f"`{name}`" not in Switches.__doc__]
    own = [api.switches for api in own_apis()]
    undocumented += [name for one in own for name in one.own_names() if f"`{name}`" not in one.__doc__]
    assert (undocumented, all(one.own_names() for one in own)) == ([], True)


def test_the_manuals_switches_can_be_set(sandbox):
    """Each cell of the manual's table of limits can be set as it stands, and changes all but a default."""
    manual = (Path(__file__).parents[2] / "docs" / "rate-limits.md").read_text(encoding="utf-8")
    table = manual.partition("## Test your DAG against a limit")[2]
    cells = re.findall(r"\| `([^`|]+=[^`|]+)`( \(default\))?(?= \|)", table)
    assert len(cells) >= 30
    for arguments, default in cells:
        sandbox.reset_switches()
        before = sandbox.switches
        keywords = ast.parse(f"set({arguments})", mode="eval").body.keywords
        sandbox.set(**{one.arg: ast.literal_eval(one.value) for one in keywords})
        assert (sandbox.switches == before) is bool(default)


def test_ignored_ids(sandbox, close, raze):
    """Writes to chosen records are silently ignored, for both vendors; others land."""
    sandbox.close.add_opportunity("oppo_2", value=50_000)
    sandbox.set(ignored_ids={"oppo_1", "opp_1"})
    values = [close.put(f"/opportunity/{one}/", {"value": 1}).json()["value"] for one in ("oppo_1", "oppo_2")]
    notes = raze.put("/opportunities/opp_1", {"notes": "x"}).json()["data"]["notes"]
    assert (values, notes) == ([50_000, 1], None)


def test_ignored_fields(sandbox, close, raze):
    """Chosen fields are dropped from every write; the audit shows only what took effect."""
    sandbox.set(ignored_fields=["value", "deal_value", "status"])
    close.put("/opportunity/oppo_1/", {"value": 1, "note": "x"})
    raze.put("/opportunities/opp_1", {"deal_value": 1, "notes": "x"})
    raze("PATCH", "/opportunities/opp_1/stage", json={"status": "won"})
    assert [write.fields for write in sandbox.audit.writes] == [{"note": "x"}, {"notes": "x"}]


def test_stale_seconds(sandbox, close, raze):
    """Reads lag behind by so many seconds of the sandbox's clock."""
    sandbox.clock.advance(0)
    sandbox.set(stale_seconds=30)
    close.put("/opportunity/oppo_1/", {"value": 1})
    raze.put("/opportunities/opp_1", {"notes": "x"})

    def read():
        one, other = close.get("/opportunity/oppo_1/").json(), raze.get("/opportunities/opp_1").json()
        return one["value"], other["data"]["notes"]

    before = read()
    sandbox.clock.advance(30)
    assert (before, read()) == ((50_000, None), (1, "x"))


def test_stale_seconds_hide_new_records(sandbox, close):
    """A record that was just created can't be read yet."""
    sandbox.clock.advance(0)
    sandbox.set(stale_seconds=30)
    created = close.post("/opportunity/", {}).json()["id"]
    assert close.get(f"/opportunity/{created}/").status_code == 404
