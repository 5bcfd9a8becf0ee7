"""Claims about the calls for a catalogue: pages are followed, and the vendor gets what the connection says."""

from __future__ import annotations

import pytest

from airflow_provider_crm.client.account import Account
from airflow_provider_crm.client.catalogues import Catalogues
from airflow_provider_crm.client.redaction import Redactor
from airflow_provider_crm.exceptions import TransientError
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.calls import Call
from airflow_provider_crm.vendors.catalogue import Catalogue
from airflow_provider_crm.vendors.credentials import Credentials, ExtraField


def people(cursor):
    """Return the call for a page of people."""
    return Call("GET", "/people", params={"after": cursor}, next_page=following)


def following(body):
    """Return the call for the next page."""
    return people(body["next"]) if body.get("next") else None


class Paged(type(VENDORS["raze"])):
    """A vendor whose people come in pages."""

    def __init__(self):
        self.extra = {"owner": ExtraField("Owner", ".", setting=True), "token": ExtraField("Token", ".", secret=True)}

    def catalogue_calls(self, names):
        """Ask for the account and for its people."""
        return Call("GET", "/account"), people("0")

    def catalogue(self, answers, settings):
        """Keep what was answered."""
        return Catalogue({}, facts={"answers": answers, "settings": settings})


def catalogues(pages):
    """Return the catalogues of an account that answers these pages, by cursor, and the calls that it gets."""
    calls = []
    account = Account(Paged(), "https://crm.example", Credentials(extra={"token": "5ecret"}), settings={"owner": "ada"})

    def fetch(call):
        calls.append(call)
        return {"id": 7} if call.path == "/account" else pages[call.params["after"]]

    return Catalogues(account, fetch, Redactor(account)), calls


def test_every_page_is_read_once():
    """The answer to a call for pages is the list of all of them, and a second catalogue asks for nothing."""
    pages = {"0": {"next": "x"}, "x": {"next": "y"}, "y": {"people": []}}
    made, calls = catalogues(pages)
    for _ in range(2):
        assert made.get(("stage",)).facts["answers"] == [{"id": 7}, [*pages.values()]]
    assert [call.params.get("after") for call in calls] == [None, "0", "x", "y"]


@pytest.mark.parametrize("last", ["0", "x", "y"])
def test_pages_that_lead_back(last):
    """A list that does not end is an error, and is not read for ever."""
    made, calls = catalogues({"0": {"next": "x"}, "x": {"next": "y"}, "y": {"next": last}})
    with pytest.raises(TransientError, match="list at /people does not end: page 3") as refused:
        made.get(())
    assert (refused.value.code, len(calls)) == ("NO_PROGRESS", 4)


def test_the_vendor_gets_what_the_connection_says():
    """A vendor sees its own keys of the connection, and none of the secrets."""
    made, _ = catalogues({"0": {}})
    assert made.get(()).facts["settings"] == {"owner": "ada"}
