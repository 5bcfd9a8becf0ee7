"""HubSpot's calls about an account: its settings, the properties and pipelines of deals, and its owners."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox.hubspot.calls import answer, whole_number
from airflow_provider_crm.sandbox.hubspot.problems import NOT_FOUND, refuse

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.hubspot.portal import Portal
    from airflow_provider_crm.sandbox.wire import Request, Response

_LARGEST_PAGE = 500
_DEFAULT_PAGE = 100


class HubSpotSchema:
    """Answer the calls that read definitions.

    Args:
        account: the account.
    """

    def __init__(self, account: Portal) -> None:
        self._account = account

    def details(self, request: Request) -> Response:
        """Answer what the account is."""
        account = self._account
        offset = request.at.astimezone(ZoneInfo(account.time_zone)).utcoffset() or timedelta()
        minutes = round(offset.total_seconds() / 60)
        sign = "-" if minutes < 0 else "+"
        body = {
            "portalId": account.portal_id,
            "accountType": "STANDARD",
            "timeZone": account.time_zone,
            "companyCurrency": account.company_currency,
            "additionalCurrencies": list(account.additional_currencies),
            "utcOffset": f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
            "utcOffsetMilliseconds": minutes * 60_000,
            "uiDomain": account.ui_domain,
            "dataHostingLocation": "na1",
        }
        return answer(HTTPStatus.OK, body)

    def properties(self, request: Request) -> Response:
        """Answer all properties: those in use, or with `archived=true` those that are not."""
        archived = request.query.get("archived") == "true"
        definitions = [one for one in self._account.definitions().values() if one.archived == archived]
        return answer(HTTPStatus.OK, {"results": [one.describe(at) for at, one in enumerate(definitions)]})

    def one_property(self, request: Request) -> Response:
        """Answer one property."""
        found = self._account.definition(request.segments[-1])
        if found is None:
            raise _none(f'Property "{request.segments[-1]}" does not exist')
        return answer(HTTPStatus.OK, found.describe(0))

    def pipelines(self, _request: Request) -> Response:
        """Answer all pipelines with their stages."""
        found = [one for one in self._account.pipelines.values() if not one.archived]
        return answer(HTTPStatus.OK, {"results": [one.describe(at) for at, one in enumerate(found)]})

    def one_pipeline(self, request: Request) -> Response:
        """Answer one pipeline."""
        found = self._account.pipelines.get(request.segments[-1])
        if found is None or found.archived:
            raise _none("Pipeline not found")
        return answer(HTTPStatus.OK, found.describe(0))

    def owners(self, request: Request) -> Response:
        """Answer a page of owners: those who are there, or with `archived=true` those who have left."""
        query = request.query
        limit = whole_number(query.get("limit", _DEFAULT_PAGE), name="limit", least=1, most=_LARGEST_PAGE)
        archived, email = query.get("archived") == "true", query.get("email")
        found = [
            one for one in self._account.owners.values() if one.archived == archived and email in (None, "", one.email)
        ]
        start = whole_number(query.get("after") or 0, name="after", least=0, most=len(found))
        body: dict[str, Any] = {"results": [one.describe() for one in found[start : start + limit]]}
        if start + limit < len(found):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return answer(HTTPStatus.OK, body)

    def one_owner(self, request: Request) -> Response:
        """Answer one owner."""
        found = self._account.owners.get(request.segments[-1])
        if found is None or found.archived:
            raise _none("Owner not found")
        return answer(HTTPStatus.OK, found.describe())


def _none(message: str) -> Exception:
    return refuse(HTTPStatus.NOT_FOUND, message, category=NOT_FOUND)
