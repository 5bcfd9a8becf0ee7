"""HubSpot's search for deals: filters, a text, sorts and pages, over an index that may lag behind."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.hubspot.calls import answer, json_object, names_of, whole_number
from airflow_provider_crm.sandbox.hubspot.problems import invalid
from airflow_provider_crm.sandbox.hubspot.view import represent, shown_names, value_of
from airflow_provider_crm.sandbox.wire import Json, Request, Response, parse_utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
    from airflow_provider_crm.sandbox.records import Fields

    Predicate = Callable[[Fields], bool]

LARGEST_PAGE, MOST_RESULTS = 200, 10_000
_MOST_GROUPS, _MOST_FILTERS, _MOST_FILTERS_TOGETHER, _LONGEST_QUERY = 5, 6, 18, 3_000
_SEARCHED = ("dealname", "pipeline", "dealstage", "description", "dealtype")
_ORDERED = {"EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN"}
_OPERATORS = _ORDERED | {
    "IN",
    "NOT_IN",
    "HAS_PROPERTY",
    "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN",
    "NOT_CONTAINS_TOKEN",
}


class DealSearch:
    """Answer searches.

    Args:
        account: the account.
        context: the sandbox.
    """

    def __init__(self, account: HubSpotAccount, context: ApiContext[HubSpotSwitches]) -> None:
        self._account = account
        self._context = context

    def __call__(self, request: Request) -> Response:
        """Answer one search."""
        body = json_object(request)
        limit = whole_number(body.get("limit") or 10, name="limit", least=1, most=LARGEST_PAGE)
        after = whole_number(body.get("after") or 0, name="after", least=0, most=MOST_RESULTS)
        if after + limit > MOST_RESULTS:
            raise invalid(f"A search shows at most {MOST_RESULTS} results")
        matches = self._matches(body)
        found = [one for one in self._indexed(request) if matches(one)]
        self._sort(found, body.get("sorts") or [])
        names = shown_names(names_of(body, "properties"))
        results = [represent(one, names, self._account) for one in found[after : after + limit]]
        shown: dict[str, Any] = {"total": len(found), "results": results}
        if after + limit < len(found):
            shown["paging"] = {"next": {"after": str(after + limit)}}
        return answer(HTTPStatus.OK, shown)

    def _indexed(self, request: Request) -> list[Fields]:
        """Return the records as the index has them, archived ones never."""
        records, lag = self._account.records, self._context.switches.hubspot_search_lag
        if lag:
            instant = request.at - timedelta(seconds=lag)
            stored = [records.at(record_id, instant) for record_id in records.ids()]
        else:
            stored = [records.get(record_id) for record_id in records.ids()]
        return [one for one in stored if one is not None and one["archived"] is None]

    def _matches(self, body: dict[str, Json]) -> Predicate:
        groups = body.get("filterGroups") or []
        query = body.get("query") or ""
        if not isinstance(query, str) or len(query) > _LONGEST_QUERY:
            raise invalid(f"The query has more than {_LONGEST_QUERY} characters")
        if not isinstance(groups, list) or len(groups) > _MOST_GROUPS:
            raise invalid(f"A search has at most {_MOST_GROUPS} filterGroups")
        filters = [_filters(one) for one in groups]
        if sum(map(len, filters)) > _MOST_FILTERS_TOGETHER:
            raise invalid(f"A search has at most {_MOST_FILTERS_TOGETHER} filters")
        alternatives = [[self._predicate(one) for one in group] for group in filters]
        words = query.casefold().split()

        def matches(stored: Fields) -> bool:
            if words and not self._has_words(stored, words):
                return False
            return not alternatives or any(all(test(stored) for test in group) for group in alternatives)

        return matches

    def _has_words(self, stored: Fields, words: list[str]) -> bool:
        text = " ".join(value_of(name, stored, self._account) or "" for name in _SEARCHED).casefold()
        return all(word in text for word in words)

    def _predicate(self, one: dict[str, Json]) -> Predicate:
        """Return the test of one filter."""
        name, operator, account = str(one.get("propertyName")), one.get("operator"), self._account
        definition = account.definition(name)
        if definition is None:
            raise invalid(f"There was a problem with the request: property {name} does not exist")
        if operator not in _OPERATORS:
            raise invalid(f"{operator} is no operator of a search")
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            return lambda stored: bool(value_of(name, stored, account)) == (operator == "HAS_PROPERTY")
        if operator in ("IN", "NOT_IN"):
            wanted = self._wanted(one.get("values"))
            return lambda stored: _in((value_of(name, stored, account) or ""), wanted, negated=operator == "NOT_IN")
        low, high = _text(one.get("value")), _text(one.get("highValue"))
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            token, negated = low.strip("*").casefold(), operator == "NOT_CONTAINS_TOKEN"
            return lambda stored: (token in (value_of(name, stored, account) or "").casefold()) != negated
        key = _SORT_KEYS.get(definition.type, str.casefold)
        bounds = _key(key, low), _key(key, high) if operator == "BETWEEN" else None
        compare = _COMPARISONS[str(operator)]

        def matches(stored: Fields) -> bool:
            text = value_of(name, stored, account)
            return compare(key(text), *bounds) if text else operator == "NEQ"

        return matches

    def _wanted(self, values: Json) -> frozenset[str]:
        if not isinstance(values, list) or not values:
            raise invalid("IN and NOT_IN need values")
        texts = [_text(one) for one in values]
        if self._context.switches.hubspot_lower_case_in:
            return frozenset(one for one in texts if one == one.lower())
        return frozenset(one.casefold() for one in texts)

    def _sort(self, found: list[Fields], sorts: Json) -> None:
        """Sort by the last of the given properties first; records stay in the order of their creation otherwise."""
        for one in reversed(sorts):
            name = one.get("propertyName") if isinstance(one, dict) else str(one).removeprefix("-")
            falling = one.get("direction") == "DESCENDING" if isinstance(one, dict) else str(one).startswith("-")
            definition = self._account.definition(str(name))
            if definition is None:
                raise invalid(f"There was a problem with the request: property {name} does not exist")
            key = _SORT_KEYS.get(definition.type, str.casefold)
            found.sort(key=self._sort_key(definition.name, key), reverse=falling)

    def _sort_key(self, name: str, key: Callable[[str], Any]) -> Callable[[Fields], tuple[bool, Any]]:
        def of(stored: Fields) -> tuple[bool, Any]:
            text = value_of(name, stored, self._account)
            return bool(text), key(text) if text else None

        return of


def _filters(group: Json) -> list[dict[str, Json]]:
    filters = group.get("filters") if isinstance(group, dict) else None
    if not isinstance(filters, list) or not all(isinstance(one, dict) for one in filters):
        raise invalid("Each filterGroup has a list of filters")
    if len(filters) > _MOST_FILTERS:
        raise invalid(f"A filterGroup has at most {_MOST_FILTERS} filters")
    return filters


def _text(value: Json) -> str:
    return "" if value is None else str(value)


def _in(text: str, wanted: frozenset[str], *, negated: bool) -> bool:
    return bool(text) and any(part in wanted for part in text.casefold().split(";")) != negated


def _key(key: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401 - whatever its property compares
    try:
        return key(text)
    except (ValueError, InvalidOperation):
        raise invalid(f"{text} is no value of the property") from None


def _moment(text: str) -> float:
    """Read an instant as seconds, from a text or from milliseconds."""
    if text.lstrip("-").isdigit():
        return int(text) / 1000
    return parse_utc(text if "T" in text else f"{text}T00:00:00Z").timestamp()


_SORT_KEYS: dict[str, Callable[[str], Any]] = {"number": Decimal, "date": _moment, "datetime": _moment}
_COMPARISONS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "EQ": lambda value, low, _: bool(value == low),
    "NEQ": lambda value, low, _: bool(value != low),
    "LT": lambda value, low, _: bool(value < low),
    "LTE": lambda value, low, _: bool(value <= low),
    "GT": lambda value, low, _: bool(value > low),
    "GTE": lambda value, low, _: bool(value >= low),
    "BETWEEN": lambda value, low, high: bool(low <= value <= high),
}
