"""One server has one name, however a connection spells it, so one customer has one ledger and one budget."""

from __future__ import annotations

import pytest

from airflow_provider_crm.client.account import Account, canonical_host
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.catalogue import Catalogue
from airflow_provider_crm.vendors.credentials import Credentials


@pytest.mark.parametrize(
    ("spellings", "host"),
    [
        (
            [
                "https://api.close.com",
                "https://API.Close.com:443",
                "https://api.close.com.",
                "https://api.close.com.:443",
            ],
            "api.close.com",
        ),
        (
            [
                "http://127.0.0.1:8000",
                "http://localhost:8000",
                "http://LOCALHOST.:8000",
                "http://[::1]:8000",
                "http://[0:0:0:0:0:0:0:1]:8000",
                "http://[::ffff:127.0.0.1]:8000",
            ],
            "127.0.0.1:8000",
        ),
        (["http://localhost", "http://127.0.0.1:80"], "127.0.0.1:80"),
        (["https://[2001:DB8::1]", "https://[2001:db8:0:0:0:0:0:1]:443"], "[2001:db8::1]"),
        (
            ["https://münchen.example", "https://MÜNCHEN.example:443", "https://xn--mnchen-3ya.example"],
            "xn--mnchen-3ya.example",
        ),
        (["https://straße.example", "https://XN--strae-oqa.example."], "xn--strae-oqa.example"),
        (["https://api.close.com:8443"], "api.close.com:8443"),
        (["https://127.0.0.2"], "127.0.0.2"),
    ],
)
def test_spellings_of_one_server(spellings, host):
    """Case, the usual port, a final dot, this machine's names, IP addresses and international names."""
    assert {canonical_host(spelling) for spelling in spellings} == {host}


def test_what_differs_stays_apart():
    """Another port is another server, and so is plain http at its own port."""
    origins = [
        "https://a.example",
        "http://a.example",
        "https://a.example:444",
        "https://b.example",
        "https://a.example.b",
    ]
    assert len({canonical_host(origin) for origin in origins}) == len(origins)


def test_account_and_budget_have_the_canonical_host():
    """Two spellings share the ledger and, with one key, the budget."""
    one, other = (
        Account(VENDORS["close"], origin, Credentials("key"))
        for origin in ("http://localhost:8000", "http://[::1]:8000")
    )
    catalogue = Catalogue({}, organization="orga_1")
    assert one.key(catalogue) == other.key(catalogue) == "close:127.0.0.1:8000:orga_1"
    assert one.budget_name("write") == other.budget_name("write")
    assert one.origin != other.origin


def test_a_fingerprint_distinguishes_keys_and_hosts_and_has_no_key():
    """It is neither the key nor a hash of it that occurs elsewhere."""
    accounts = [
        Account(VENDORS["raze"], origin, Credentials(key))
        for origin in ("https://a.example", "https://b.example")
        for key in ("gr_live_1", "gr_live_2")
    ]
    prints = [account.key_fingerprint for account in accounts]
    assert len(set(prints)) == len(prints)
    assert prints[0] == Account(VENDORS["raze"], "https://A.example:443", Credentials("gr_live_1")).key_fingerprint
    for account in accounts:
        assert account.key_digest not in account.key_fingerprint
        assert account.credentials.api_key not in account.key_fingerprint
