"""HubSpot's calls for one deal: list, show, create, update, archive and merge."""

from __future__ import annotations

from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.hubspot.calls import answer, json_object, listed, properties_of, whole_number
from airflow_provider_crm.sandbox.hubspot.problems import CONFLICT, invalid, refuse, refuse_properties
from airflow_provider_crm.sandbox.hubspot.view import history, represent, shown_names
from airflow_provider_crm.sandbox.wire import AppliedChange, Request, Response

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
    from airflow_provider_crm.sandbox.hubspot.lookup import DealLookup
    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
    from airflow_provider_crm.sandbox.hubspot.write import DealDraft, DealWriter
    from airflow_provider_crm.sandbox.records import Fields

LARGEST_PAGE = 100
_DEFAULT_PAGE = 10


class SingleDeals:
    """Answer the calls that are no batches.

    Args:
        account: the account.
        context: the sandbox.
        writer: applies the writes.
        lookup: finds the records.
    """

    def __init__(
        self, account: HubSpotAccount, context: ApiContext[HubSpotSwitches], writer: DealWriter, lookup: DealLookup
    ) -> None:
        self._account = account
        self._context = context
        self._writer = writer
        self._lookup = lookup

    def page(self, request: Request) -> Response:
        """Answer a list; `after` is the position at which the next page begins."""
        query = request.query
        limit = whole_number(query.get("limit", _DEFAULT_PAGE), name="limit", least=1, most=LARGEST_PAGE)
        ids, archived = self._account.records.ids(), query.get("archived") == "true"
        start = whole_number(query.get("after") or 0, name="after", least=0, most=len(ids))
        results: list[dict[str, Any]] = []
        body: dict[str, Any] = {"results": results}
        for position, record_id in enumerate(islice(ids, start, None), start):
            stored = self._lookup.for_read(record_id, request, archived=archived)
            if stored is None:
                continue
            if len(results) == limit:
                link = f"https://api.hubapi.com{request.path}?limit={limit}&after={position}"
                body["paging"] = {"next": {"after": str(position), "link": link}}
                break
            results.append(self._shown(stored, request))
        return answer(HTTPStatus.OK, body)

    def show(self, request: Request) -> Response:
        """Answer one record."""
        record_id = self._lookup.resolve(request.segments[-1], request.query.get("idProperty"))
        stored = self._lookup.for_read(record_id, request, archived=request.query.get("archived") == "true")
        if stored is None:
            raise self._lookup.not_found()
        return answer(HTTPStatus.OK, self._shown(stored, request))

    def create(self, request: Request) -> Response:
        """Create a record."""
        sent = properties_of(json_object(request))
        blank = self._account.blank(self._account.new_id(), request.at)
        return self._commit(self._writer.draft(blank, sent, request, is_new=True), request, HTTPStatus.CREATED)

    def update(self, request: Request) -> Response:
        """Write some properties of a record."""
        sent = properties_of(json_object(request))
        stored = self._lookup.for_write(self._lookup.resolve(request.segments[-1], request.query.get("idProperty")))
        if stored is None:
            raise self._lookup.not_found()
        self._refuse_locked(stored, request)
        if self._writer.is_poisoned(stored["id"]):
            raise invalid("The request could not be processed")
        return self._commit(self._writer.draft(stored, sent, request), request, HTTPStatus.OK)

    def archive(self, request: Request) -> Response:
        """Archive a record."""
        record_id = self._lookup.resolve(request.segments[-1])
        stored = self._lookup.for_write(record_id)
        if stored is None:
            known = record_id is not None and self._account.records.get(record_id) is not None
            if known and self._context.switches.hubspot_archive_twice == "204":
                return Response(status=HTTPStatus.NO_CONTENT)
            raise self._lookup.not_found()
        self._refuse_locked(stored, request)
        self._account.records.write(stored["id"], {**stored, "archived": request.at}, request.at)
        change = AppliedChange(record_id=stored["id"], fields={"archived": True})
        return Response(status=HTTPStatus.NO_CONTENT, changes=(change,))

    def merge(self, request: Request) -> Response:
        """Merge a record into another one, which keeps its own values and takes those that it lacks."""
        body = json_object(request)
        primary, other = (
            self._lookup.for_write(self._lookup.resolve(body.get(name)))
            for name in ("primaryObjectId", "objectIdToMerge")
        )
        if primary is None or other is None:
            raise self._lookup.not_found()
        if primary["id"] == other["id"]:
            raise invalid("A record cannot be merged with itself")
        own = {name: value for name, value in primary["properties"].items() if value}
        merged = {**primary, "properties": {**other["properties"], **own}, "updated": request.at}
        merged["merged_ids"] = (*primary["merged_ids"], other["id"], *other["merged_ids"])
        self._account.records.write(other["id"], None, request.at)
        self._account.records.write(primary["id"], merged, request.at)
        self._account.merged_into[other["id"]] = primary["id"]
        taken = {name: value for name, value in merged["properties"].items() if own.get(name) != value}
        change = AppliedChange(record_id=primary["id"], fields={**taken, "merged": other["id"]})
        return answer(HTTPStatus.OK, represent(merged, shown_names(None), self._account), (change,))

    def _shown(self, stored: Fields, request: Request) -> dict[str, Any]:
        record = represent(stored, shown_names(listed(request, "properties")), self._account)
        versions = listed(request, "propertiesWithHistory")
        if versions:
            record["propertiesWithHistory"] = {name: history(name, stored) for name in versions}
        return record

    def _refuse_locked(self, stored: Fields, request: Request) -> None:
        if self._writer.is_locked(stored["id"], request):
            raise refuse(HTTPStatus.LOCKED, "The object is locked by another process", category="LOCKED")

    def _commit(self, draft: DealDraft, request: Request, status: int) -> Response:
        error = draft.error
        if error is not None and error.properties:
            names = self._context.switches.hubspot_names_properties
            raise refuse_properties(error.properties, portal_id=self._account.portal_id, names=names)
        if error is not None:
            message = f"{error.message}. Existing ID: {error.existing_id}"
            raise refuse(HTTPStatus.CONFLICT, message, category=CONFLICT)
        record, change = self._writer.commit(draft, request)
        return answer(status, record, () if change is None else (change,))
