"""The part of SOQL that reads opportunities, stages, currencies, users and the org.

`SELECT fields FROM object [WHERE field = literal AND field IN (literal, ...)] [ORDER BY field [DESC]] [LIMIT n]`, with
`=`, `!=`, `<`, `<=`, `>`, `>=`, `IN`, `NOT IN` and `AND`; `FIELDS(STANDARD)` and `COUNT()` in place of fields.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_crm.sandbox.salesforce.ids import long_id
from airflow_provider_crm.sandbox.salesforce.problems import refuse
from airflow_provider_crm.sandbox.salesforce.rows import OBJECT
from airflow_provider_crm.sandbox.wire import RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount
    from airflow_provider_crm.sandbox.salesforce.rows import RecordView
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches

Row = dict[str, Any]
Test = Callable[[Row], bool]

PAGE = 2_000
_LITERAL = r"'(?:[^'\\]|\\.)*'|[^\s,()]+"
_QUERY = re.compile(
    r"\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<object>\w+)(?:\s+WHERE\s+(?P<where>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>\w+)(?:\s+(?P<way>ASC|DESC))?)?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(
    rf"\s*(?P<field>\w+)\s*(?:(?P<operator>=|!=|<=|>=|<|>)\s*(?P<literal>{_LITERAL})"
    rf"|(?P<not>NOT\s+)?IN\s*\((?P<list>\s*(?:{_LITERAL})(?:\s*,\s*(?:{_LITERAL}))*)\s*\))\s*(?:AND\b|$)",
    re.IGNORECASE | re.DOTALL,
)
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CUSTOM, _COUNT = "__c", "COUNT()"


class Queries:
    """Answer queries, page by page.

    Args:
        account: the org.
        context: the sandbox.
        view: shows records.
    """

    def __init__(self, account: SalesforceAccount, context: ApiContext[SalesforceSwitches], view: RecordView) -> None:
        self._account = account
        self._context = context
        self._view = view

    def first(self, request: Request) -> Response:
        """Answer the first page of the query `q`."""
        return self._page(request.query.get("q", ""), 0, request)

    def more(self, request: Request) -> Response:
        """Answer another page, by the address that the page before has named."""
        start, _, text = request.segments[-1].partition("-")
        if not start.isdigit():
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(text, int(start), request)

    def _page(self, text: str, start: int, request: Request) -> Response:
        parsed = _QUERY.fullmatch(text)
        if parsed is None:
            raise _malformed(text)
        conditions = list(_conditions(parsed["where"]))
        version = request.segments[2]
        fields = [one.strip() for one in parsed["fields"].split(",")]
        asked = [*(field for field, _ in conditions), *([parsed["order"]] if parsed["order"] else ())]
        kind = parsed["object"]
        if kind == OBJECT:
            names, asked = self._names(fields), self._view.names(asked)
            rows = self._opportunities({"Id", *names, *asked}, request)
        else:
            rows = self._others(kind)
            names = _known(fields, kind, rows)
        found = [row for row in rows if all(test(row) for _, test in conditions)]
        if parsed["order"]:
            (key,) = asked[-1:]
            found.sort(key=lambda row: (row.get(key) is not None, row.get(key)))
            if (parsed["way"] or "").upper() == "DESC":
                found.reverse()
        found = found[: int(parsed["limit"])] if parsed["limit"] else found
        if fields == [_COUNT]:
            return json_response(HTTPStatus.OK, {"totalSize": len(found), "done": True, "records": []})
        shown = [_shown(row, names, kind, version) for row in found[start : start + PAGE]]
        body: dict[str, Any] = {"totalSize": len(found), "done": start + PAGE >= len(found)}
        if not body["done"]:
            locator = quote(f"{start + PAGE}-{text}", safe="")
            body["nextRecordsUrl"] = f"/services/data/{version}/query/{locator}"
        return json_response(HTTPStatus.OK, {**body, "records": shown})

    def _names(self, fields: list[str]) -> list[str]:
        if fields == [_COUNT]:
            return []
        if _is_standard(fields):
            return [name for name in self._view.names() if not name.endswith(_CUSTOM)]
        return self._view.names(fields)

    def _opportunities(self, names: set[str], request: Request) -> list[Row]:
        stored = (self._view.read(one, request) for one in self._account.records.ids())
        value_of = self._account.value_of
        return [{name: value_of(name, one) for name in names} for one in stored if one is not None]

    def _others(self, kind: str) -> list[Row]:
        account = self._account
        if kind == "OpportunityStage":
            return [self._stage(position) for position in range(len(account.stages))]
        if kind == "CurrencyType" and self._context.switches.salesforce_multi_currency:
            corporate = next(iter(account.currencies))
            return [
                {
                    "Id": f"01Lak000000000{position}",
                    "IsoCode": code,
                    "ConversionRate": 1,
                    "DecimalPlaces": places,
                    "IsActive": True,
                    "IsCorporate": code == corporate,
                }
                for position, (code, places) in enumerate(account.currencies.items())
            ]
        if kind == "Organization":
            org: Row = {"Id": account.org_id, "Name": "Sandbox", "IsSandbox": True}
            if self._context.switches.salesforce_shows_currency:
                org["DefaultCurrencyIsoCode"] = next(iter(account.currencies))
            return [org]
        if kind == "User":
            return [{"Id": one, "Email": email, "IsActive": True} for one, email in account.users.items()]
        message = f"sObject type '{kind}' is not supported."
        raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_TYPE", message)

    def _stage(self, position: int) -> Row:
        stage = self._account.stages[position]
        return {
            "Id": f"01Jak000000000{position}",
            "MasterLabel": stage.label,
            "ApiName": stage.api_name,
            "IsActive": stage.is_active,
            "IsClosed": stage.is_closed,
            "IsWon": stage.is_won,
            "DefaultProbability": stage.probability,
            "ForecastCategoryName": stage.forecast,
            "SortOrder": position + 1,
        }


def _is_standard(fields: list[str]) -> bool:
    return [one.replace(" ", "").upper() for one in fields] == ["FIELDS(STANDARD)"]


def _known(fields: list[str], kind: str, rows: list[Row]) -> list[str]:
    known = {name.lower(): name for name in (rows[0] if rows else {})}
    if _is_standard(fields):
        return list(known.values())
    unknown = [name for name in fields if name != _COUNT and name.lower() not in known]
    if rows and unknown:
        message = f"No such column '{unknown[0]}' on entity '{kind}'."
        raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_FIELD", message)
    return [known[name.lower()] for name in fields if name.lower() in known]


def _shown(row: Row, names: list[str], kind: str, version: str) -> Row:
    url = f"/services/data/{version}/sobjects/{kind}/{row['Id']}"
    return {"attributes": {"type": kind, "url": url}, **{name: row[name] for name in names}}


def _conditions(text: str | None) -> Iterator[tuple[str, Test]]:
    """Yield the field and the test of each condition."""
    at = 0
    while text is not None and at < len(text):
        condition = _CONDITION.match(text, at)
        if condition is None:
            raise _malformed(text[at:])
        yield condition["field"], _test(condition)
        at = condition.end()


def _test(condition: re.Match[str]) -> Test:
    field = condition["field"]
    if condition["list"] is not None:
        wanted = [_literal(one) for one in re.findall(_LITERAL, condition["list"], re.DOTALL)]
        negated = condition["not"] is not None
        return lambda row: any(_same(_of(row, field), one) for one in wanted) != negated
    literal, name = _literal(condition["literal"]), condition["operator"]
    if name in ("=", "!="):
        return lambda row: _same(_of(row, field), literal) == (name == "=")
    compare = _COMPARISONS[name]

    def test(row: Row) -> bool:
        value = _of(row, field)
        return value is not None and bool(compare(value, literal))

    return test


def _of(row: Row, field: str) -> Any:  # noqa: ANN401 - any value
    return next((value for name, value in row.items() if name.lower() == field.lower()), None)


def _same(value: Any, literal: Any) -> bool:  # noqa: ANN401 - any values
    if isinstance(value, str) and isinstance(literal, str):
        return (
            value.casefold() == literal.casefold() if long_id(literal) is None else value in (literal, long_id(literal))
        )
    return bool(value == literal)


def _literal(text: str) -> Any:  # noqa: ANN401 - any value
    if text.startswith("'"):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    word = text.lower()
    if word in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[word]
    return Decimal(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text


def _malformed(text: str) -> RefusalError:
    return refuse(HTTPStatus.BAD_REQUEST, "MALFORMED_QUERY", f"unexpected token: '{text[:50]}'")
