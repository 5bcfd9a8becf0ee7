"""Find opportunities by the values of a field, with a query for up to a hundred of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.vendors.answers import items_of, member, objects_of, text_of
from airflow_provider_crm.vendors.calls import Call, RecordLookup, RecordPage
from airflow_provider_crm.vendors.salesforce.fields import FILTERS_FACT
from airflow_provider_crm.vendors.salesforce.paths import OBJECT, QUERY

if TYPE_CHECKING:
    from airflow_provider_crm.vendors.catalogue import Catalogue
    from airflow_provider_crm.vendors.records import Json

_LARGEST = 100
_LONGEST = 10_000
"""Characters of the values in an address, which may have sixteen thousand in all."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_NO_NUMBER = "null"


def lookup_by(name: str, catalogue: Catalogue) -> RecordLookup:
    """Return how opportunities are found by a field.

    Raises:
        ConfigurationError: Salesforce cannot filter by it.
    """
    filters, is_number, is_exact = items_of(member(catalogue.facts.get(FILTERS_FACT), name)) or (True, False, False)
    if not filters:
        label = catalogue.with_labels(name)
        msg = f"id_field: Salesforce cannot look for values of {label}; name an external id, or a short text."
        raise ConfigurationError(msg, code="UNKNOWN_FIELD")
    call = partial(_query_call, name, bool(is_number))
    return RecordLookup(_LARGEST, call, _page, folds_case=not is_exact, largest_encoded=_LONGEST)


def _query_call(name: str, is_number: bool, values: Sequence[str], cursor: str | None) -> Call:
    if cursor is not None:
        return Call("GET", cursor)
    literals = ", ".join(_literal(value, is_number=is_number) for value in values)
    soql = f"SELECT Id, {name} FROM {OBJECT} WHERE {name} IN ({literals})"  # noqa: S608 - the vendor's language; quoted below
    return Call("GET", QUERY, params={"q": soql})


def _literal(value: str, *, is_number: bool) -> str:
    if is_number:
        return value if _NUMBER.fullmatch(value) else _NO_NUMBER
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _page(body: Json) -> RecordPage | None:
    if not isinstance(member(body, "records"), list):
        return None
    following = text_of(member(body, "nextRecordsUrl"))
    is_path = following.startswith("/services/data/") and following.isascii()
    return RecordPage(objects_of(member(body, "records")), following if is_path else None)
