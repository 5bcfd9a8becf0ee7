"""Salesforce's calls for one opportunity: show, create, update, upsert and delete."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.salesforce.ids import long_id
from airflow_provider_crm.sandbox.salesforce.problems import RefusedRowError, malformed, no_column, refuse, refuse_row
from airflow_provider_crm.sandbox.wire import JSON_TYPE, AppliedChange, Json, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.records import Fields
    from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches
    from airflow_provider_crm.sandbox.salesforce.write import OpportunityWriter

OBJECT = "Opportunity"


class RecordView:
    """Show opportunities as the running user sees them.

    Args:
        account: the org.
        context: the sandbox.
    """

    def __init__(self, account: SalesforceAccount, context: ApiContext[SalesforceSwitches]) -> None:
        self._account = account
        self._context = context

    def names(self, wanted: Iterable[str] | None = None) -> list[str]:
        """Return the API names of some fields, in any case, or of all that the user sees.

        Raises:
            RefusalError: 400, the user sees no such field.
        """
        visible = self._account.visible_fields(self._context.switches)
        if wanted is None:
            return list(visible)
        by_name = {name.lower(): name for name in visible}
        unknown = [name for name in wanted if name.lower() not in by_name]
        if unknown:
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_FIELD", no_column(unknown[0]))
        return [by_name[name.lower()] for name in wanted]

    def record(self, stored: Fields, names: Iterable[str], version: str) -> dict[str, Any]:
        """Return a record with some fields, as an answer has it."""
        url = f"/services/data/{version}/sobjects/{OBJECT}/{stored['id']}"
        values = {name: self._account.value_of(name, stored) for name in names}
        return {"attributes": {"type": OBJECT, "url": url}, **values}

    def read(self, text: str, request: Request) -> Fields | None:
        """Return the record of an id as a reading call sees it; None if there is none, or it was deleted."""
        stored = self._account.records.read(long_id(text) or text, request, self._context.switches)
        return None if stored is None or stored["deleted"] else stored


class SingleRows:
    """Answer the calls that are no collections.

    Args:
        account: the org.
        writer: applies the writes.
        view: shows records.
    """

    def __init__(self, account: SalesforceAccount, writer: OpportunityWriter, view: RecordView) -> None:
        self._account = account
        self._writer = writer
        self._view = view

    def show(self, request: Request) -> Response:
        """Answer one record: all fields, or those of `fields`."""
        stored = self._view.read(request.segments[-1], request)
        if stored is None:
            raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
        names = request.query.get("fields")
        wanted = None if not names else [one.strip() for one in names.split(",")]
        return json_response(HTTPStatus.OK, self._view.record(stored, self._view.names(wanted), request.segments[2]))

    def create(self, request: Request) -> Response:
        """Create a record."""
        return self._created(body_of(request), request)

    def update(self, request: Request) -> Response:
        """Write some fields of a record; the answer has no body."""
        sent = body_of(request)
        if "Id" in sent or "id" in sent:
            message = "The Id field should not be specified in the sobject data."
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_FIELD", message, ["Id"])
        try:
            stored = self._writer.existing(request.segments[-1])
        except RefusedRowError as error:
            if error.code == "MALFORMED_ID":
                message = f"Provided external ID field does not exist or is not accessible: {request.segments[-1]}"
                raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", message) from None
            raise refuse_row(error) from None
        if self._writer.is_poisoned(stored["id"]):
            raise malformed("The request could not be processed")
        return self._changed(stored, sent, request, Response(status=HTTPStatus.NO_CONTENT))

    def upsert(self, request: Request) -> Response:
        """Write the record that has a value in a field of external ids, or create it."""
        name, value = request.segments[-2:]
        sent = body_of(request)
        field = self._account.fields.get(name)
        if field is None or not field.external_id or not field.visible:
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", message)
        if not sent.keys().isdisjoint({"Id", "id", name}):
            message = f"The {name} field should not be specified in the sobject data."
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_FIELD", message, [name])
        matches = self._writer.with_value(name, value)
        if len(matches) > 1:
            base = "/".join(["", *request.segments[:5]])
            return json_response(HTTPStatus.MULTIPLE_CHOICES, [f"{base}/{one}" for one in matches])
        if not matches:
            if request.query.get("updateOnly") == "true":
                raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
            return self._created({**sent, name: value}, request)
        body = {"id": matches[0], "success": True, "errors": [], "created": False}
        return self._changed(self._writer.existing(matches[0]), sent, request, json_response(HTTPStatus.OK, body))

    def delete(self, request: Request) -> Response:
        """Move a record to the recycle bin."""
        try:
            stored = self._writer.existing(request.segments[-1])
        except RefusedRowError as error:
            raise refuse(HTTPStatus.NOT_FOUND, error.code, str(error), []) from None
        self._account.records.write(stored["id"], {**stored, "deleted": True}, request.at)
        change = AppliedChange(record_id=stored["id"], fields={"IsDeleted": True})
        return Response(status=HTTPStatus.NO_CONTENT, changes=(change,))

    def _created(self, sent: dict[str, Any], request: Request) -> Response:
        blank = self._account.blank(self._account.new_id())
        body = {"id": blank["id"], "success": True, "errors": [], "created": True}
        return self._changed(blank, sent, request, json_response(HTTPStatus.CREATED, body), is_new=True)

    def _changed(
        self, stored: Fields, sent: dict[str, Any], request: Request, answer: Response, *, is_new: bool = False
    ) -> Response:
        try:
            draft = self._writer.draft(stored, sent, request, is_new=is_new)
        except RefusedRowError as error:
            raise refuse_row(error) from None
        change = self._writer.commit(draft, request)
        changes = () if change is None else (change,)
        return Response(status=answer.status, body=answer.body, changes=changes)


def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object of a write, without `attributes`.

    Raises:
        RefusalError: 400 or 415, it is none.
    """
    if request.content_type != JSON_TYPE:
        message = "Unsupported Media Type"
        raise refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    if request.malformed is not None or not isinstance(request.body, dict):
        raise malformed(request.malformed or "The body is no JSON object")
    return {name: value for name, value in request.body.items() if name != "attributes"}


def fields_of(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fields of a row of several, without its id and `attributes`."""
    return {name: value for name, value in row.items() if name not in ("attributes", "id", "Id")}
