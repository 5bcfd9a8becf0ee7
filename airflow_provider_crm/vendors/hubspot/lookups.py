"""Find deals by the values of a property: exactly by a unique one, else by the search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_crm.vendors.answers import items_of, member, objects_of, text_of
from airflow_provider_crm.vendors.calls import Call, RecordLookup, RecordPage
from airflow_provider_crm.vendors.hubspot.fields import UNIQUE_FACT
from airflow_provider_crm.vendors.hubspot.paths import BATCH_READ, SEARCH

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json

_LARGEST = 100
_PAGE = 200
_SEARCH_LAG = 10.0
"""Seconds: the index of the search is behind by "seconds", which HubSpot does not number."""


def lookup_by(name: str, catalogue: Catalogue) -> RecordLookup:
    """Return how deals are found by a property."""
    if name in items_of(catalogue.facts.get(UNIQUE_FACT)):
        return RecordLookup(_LARGEST, partial(_read_call, name), _page)
    return RecordLookup(_LARGEST, partial(_search_call, name), _page, lag=_SEARCH_LAG)


def _read_call(name: str, values: Sequence[str], cursor: str | None) -> Call:  # noqa: ARG001 - there is one page
    inputs = [{"id": value} for value in values]
    return Call("POST", BATCH_READ, body=json.dumps({"inputs": inputs, "properties": [name], "idProperty": name}))


def _search_call(name: str, values: Sequence[str], cursor: str | None) -> Call:
    # The operator takes values in lower case, and folds the case of what it compares.
    wanted = list(dict.fromkeys(value.lower() for value in values))
    one_of = {"propertyName": name, "operator": "IN", "values": wanted}
    body = {"filterGroups": [{"filters": [one_of]}], "properties": [name], "limit": _PAGE, "after": cursor or "0"}
    return Call("POST", SEARCH, body=json.dumps(body))


def _page(body: Json) -> RecordPage | None:
    if not isinstance(member(body, "results"), list):
        return None
    following = text_of(member(member(member(body, "paging"), "next"), "after"))
    return RecordPage(objects_of(member(body, "results")), following or None)
