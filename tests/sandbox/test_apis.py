"""An API of another distribution is served beside the package's own ones, with its own root, switches and faults."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

import airflow_provider_crm.sandbox as package
from airflow_provider_crm.sandbox import Sandbox, Switches, own_apis
from tests.sandbox.acme import ACME, AcmeSwitches
from tests.sandbox.conftest import Client, plain_session

OWN_NAMES = re.compile(r"[Rr]aze|\bRAZE|\bclose_|Close[A-Z]|\bClose\b|\bCLOSE\b|'close'|sandbox\.close")
"""The package's own vendors, in code; `close` as the method of a socket is none."""


@pytest.fixture
def sandbox():
    """Run a sandbox with Acme beside the two, and with one opportunity for each."""
    with Sandbox(apis=[*own_apis(), ACME]) as running:
        running.close.add_opportunity("oppo_1", value=50_000)
        running.raze.add_opportunity("opp_1")
        running.account("acme").add_opportunity("deal_1", amount=5)
        yield running


@pytest.fixture
def acme(sandbox):
    """Return a client of Acme."""
    with plain_session() as session:
        yield Client(sandbox.url + "/acme", session)


def batch(*ids):
    """Return the body of a call that writes one amount to several deals."""
    return [{"id": one, "amount": 7} for one in ids]


def test_three_apis_answer_behind_one_port(sandbox, acme, close, raze):
    """Each call goes to the API of its root, and is audited under its name."""
    answers = [acme.get("/deals/deal_1"), close.get("/opportunity/oppo_1/"), raze.get("/opportunities/opp_1")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json() == {"id": "deal_1", "amount": 5}
    assert [call.vendor for call in sandbox.audit.calls] == ["acme", "close", "raze"]


def test_a_call_that_writes_several_records_is_audited_record_by_record(sandbox, acme):
    """One call of two deals is one call and two writes; a write that had no effect is none."""
    sandbox.account("acme").add_opportunity("deal_2")
    sandbox.account("acme").add_opportunity("deal_3")
    sandbox.set(ignored_ids={"deal_3"})
    acme.post("/deals", batch("deal_1", "deal_2", "deal_3"))
    written = [(write.number, write.record_id, write.fields) for write in sandbox.audit.writes]
    assert written == [(1, "deal_1", {"amount": 7}), (1, "deal_2", {"amount": 7})]
    assert (sandbox.audit.count("acme", "POST"), sandbox.account("acme").opportunity("deal_3")["amount"]) == (1, None)


def test_an_account_is_found_by_name(sandbox):
    """`account` returns the account of every API; an unknown name lists those that are served."""
    assert (sandbox.account("close"), sandbox.account("raze")) == (sandbox.close, sandbox.raze)
    with pytest.raises(LookupError, match="no API 'acne'; it serves close, raze, hubspot, salesforce, acme"):
        sandbox.account("acne")


def test_own_apis_may_be_left_out(acme):
    """A sandbox of Acme alone has no Close: neither its account, nor its switches, nor its root."""
    with Sandbox(apis=[ACME]) as alone, plain_session() as session:
        assert Client(alone.url, session).get("/api/v1/me/").status_code == 404
        assert list(alone.connection_uris()) == ["acme_default"]
        with pytest.raises(LookupError, match="no API 'close'; it serves acme"):
            _ = alone.close
        with pytest.raises(ValueError, match="no switch close_limit"):
            alone.set(close_limit=1)


def test_own_apis_are_the_default():
    """Without `apis` a sandbox serves the package's own, and no other."""
    assert list(Sandbox().apis) == [api.name for api in own_apis()]


def test_the_connection_is_the_apis_own(sandbox):
    """The connection leads where the API says: here below a path."""
    assert json.loads(sandbox.connection_uris(timezone="Asia/Tokyo")["acme_default"]) == {
        "conn_type": "acme",
        "password": "token_acme",
        "host": f"{sandbox.url}/acme",
        "extra": {"timezone": "Asia/Tokyo"},
    }


def test_its_switches_are_set_like_all_others(sandbox, acme, anyone):
    """An API's own switch takes effect, in Python and from other processes, beside those of others and shared ones."""
    sandbox.set(acme_poisoned=["deal_1"], close_limit=5, stale_seconds=1)
    assert acme.post("/deals", batch("deal_1")).status_code == 400
    anyone.put("/sandbox/switches", {"acme_poisoned": [], "acme_delay": 2})
    assert acme.post("/deals", batch("deal_1")).json()["delay"] == 2
    sandbox.set(acme_delay=None)
    assert acme.post("/deals", batch("deal_1")).json()["delay"] is None
    shown = anyone.get("/sandbox/").json()
    switches = sandbox.switches
    assert (shown["switches"]["acme_poisoned"], shown["switches"]["close_limit"]) == ([], 5)
    assert (switches.acme_poisoned, switches.close_limit, switches.stale_seconds) == (frozenset(), 5, 1)
    assert isinstance(switches, AcmeSwitches)


def test_a_limit_counts_deals(sandbox, acme):
    """A batch costs as many units as it has deals, and units come back as they slide out of the window."""
    sandbox.account("acme").add_opportunity("deal_2")
    sandbox.clock.advance(0)
    sandbox.set(acme_limit=3)
    first = acme.post("/deals", batch("deal_1", "deal_2")).status_code
    sandbox.clock.advance(6)
    statuses = [acme.post("/deals", batch("deal_1", "deal_2")).status_code, acme.get("/deals/deal_1").status_code]
    sandbox.clock.advance(4)
    assert (first, statuses, acme.post("/deals", batch("deal_1", "deal_2")).status_code) == (207, [429, 200], 207)


def test_an_unknown_switch_lists_those_of_every_api(sandbox):
    """The switches are listed in order: the shared ones, then those of each API."""
    with pytest.raises(
        ValueError, match=r"no switch acme_limt.*seed.*close_limit.*raze_limit.*acme_limit, acme_window"
    ):
        sandbox.set(acme_limt=5)


@pytest.mark.parametrize(
    ("switch", "value", "advice"),
    [
        ("acme_window", 0, "write a number"),
        ("acme_window", None, "write a number"),
        ("acme_delay", "soon", "write a number"),
        ("acme_limit", 1.5, "write int or null"),
        ("acme_poisoned", "deal_1", r"a set of strings; write \{'deal_1'\}"),
        ("acme_poisoned", None, "a set of strings"),
    ],
)
def test_a_wrong_value_of_its_switch_is_refused(sandbox, switch, value, advice):
    """The type of a switch says which values it has; the error names the switch, and nothing is set."""
    before = sandbox.switches
    with pytest.raises(ValueError, match=f"{switch}.*{advice}"):
        sandbox.set(**{"acme_limit": 3, switch: value})
    assert sandbox.switches == before


def test_faults_have_its_own_form(sandbox, acme, close):
    """A fault of Acme is written by Acme; scripts and rates can be kept to it."""
    sandbox.script(vendor="acme", faults=["http_503"])
    assert (close.get("/me/").status_code, acme.get("/deals/deal_1").json()) == (200, {"problem": "http_503"})
    sandbox.set(fault_rates={"html_502": 1.0}, fault_vendors={"acme"})
    assert (close.get("/me/").status_code, acme.get("/deals/deal_1").status_code) == (200, 502)
    sandbox.set(fault_rates={"reset_after": 1.0})
    with pytest.raises(requests.ConnectionError):
        acme.post("/deals", batch("deal_1"))
    assert sandbox.account("acme").opportunity("deal_1")["amount"] == 7


def test_reads_can_be_stale(sandbox, acme):
    """An API that reads through `Records.read` has stale reads by fault and by switch."""
    sandbox.clock.advance(0)
    acme.post("/deals", batch("deal_1"))
    sandbox.script(faults=["stale"])
    by_fault, fresh = (acme.get("/deals/deal_1").json()["amount"] for _ in range(2))
    sandbox.set(stale_seconds=30)
    assert (by_fault, fresh, acme.get("/deals/deal_1").json()["amount"]) == (5, 7, 5)


def test_control_routes_reach_it(anyone, sandbox):
    """Records can be added and read, and the description shows the API with its address."""
    anyone.post("/sandbox/acme/opportunities", [{"id": "a"}, {"id": "b", "amount": 3}])
    shown = anyone.get("/sandbox/").json()
    assert anyone.get("/sandbox/acme/opportunities/b").json() == {"id": "b", "amount": 3}
    assert shown["acme"] == {"url": f"{sandbox.url}/acme/deals/", "opportunities": 3}
    assert shown["name"] == "A local Close, Raze, HubSpot, Salesforce and Acme"


@dataclass(frozen=True, kw_only=True)
class AcmeEuropeSwitches(Switches):
    """A switch whose name fits the API `acme_eu`, and the API `acme`, too."""

    acme_eu_limit: int = 1


@pytest.mark.parametrize(
    ("others", "same"),
    [
        ([replace(ACME, roots=("oauth2", "acme"))], "close and acme have the same root 'oauth2'"),
        ([ACME, replace(ACME, roots=("other",))], "acme and acme have the same name 'acme'"),
        (
            [
                replace(ACME, switches=AcmeEuropeSwitches),
                replace(ACME, name="acme_eu", roots=("eu",), switches=AcmeEuropeSwitches),
            ],
            "acme and acme_eu have the same switch 'acme_eu_limit'",
        ),
    ],
)
def test_two_apis_cannot_share_a_name(others, same):
    """Two APIs with one root, name or switch are an error that names both, and what they share."""
    with pytest.raises(ValueError, match=same):
        Sandbox(apis=[*own_apis(), *others])


@dataclass(frozen=True, kw_only=True)
class Unprefixed(Switches):
    """A switch that does not say whose it is."""

    limit: int = 1


@dataclass(frozen=True, kw_only=True)
class Redefined(Switches):
    """A shared switch with another default."""

    seed: int = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Slotted(Switches):
    """Switches that cannot be added to those of other APIs."""

    acme_limit: int = 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "Acme Inc"}, "cannot be named 'Acme Inc'"),
        ({"roots": ()}, "the roots cannot be"),
        ({"roots": "acme"}, "the roots cannot be 'acme'"),
        ({"roots": ("acme/v1",)}, "the roots cannot be"),
        ({"roots": ("sandbox",)}, "the roots cannot be"),
        ({"switches": Unprefixed}, "begin the names of its switches with acme_, not limit"),
        ({"switches": Redefined}, "begin the names of its switches with acme_, not seed"),
        ({"switches": Slotted}, "Slotted cannot have slots"),
    ],
)
def test_a_description_that_cannot_be_served_is_refused(change, reason):
    """A wrong description is an error where it is written, which says what is wrong."""
    with pytest.raises(ValueError, match=reason):
        replace(ACME, **change)


def test_an_api_without_switches_of_its_own():
    """Such an API names `Switches` itself, and works with those of every API."""
    with Sandbox(apis=[replace(ACME, switches=Switches)]) as alone:
        alone.set(seed=3)
        assert (alone.switches.seed, type(alone.switches).own_names()) == (3, ())


def test_nothing_but_the_list_of_own_apis_knows_them_by_name():
    """No module of the sandbox's core has a vendor's name in its code, apart from the one that lists them."""
    core = sorted(Path(package.__file__).parent.glob("*.py"))
    known = [path.name for path in core if OWN_NAMES.search(code_of(path))]
    assert known == ["own.py"]


def code_of(path):
    """Return the code of a file without comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.unparse(tree)
