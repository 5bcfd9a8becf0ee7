"""Salesforce's calls for several opportunities: up to 200 to write, up to 2,000 to read."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.salesforce.ids import long_id
from airflow_provider_crm.sandbox.salesforce.problems import (
    RefusedRowError,
    TypeMismatchError,
    failed_row,
    malformed,
    refuse,
    refuse_row,
)
from airflow_provider_crm.sandbox.salesforce.rows import OBJECT, body_of, fields_of
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, RefusalError, Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.salesforce.account import SalesforceAccount
    from airflow_provider_crm.sandbox.salesforce.rows import RecordView
    from airflow_provider_crm.sandbox.salesforce.switches import SalesforceSwitches
    from airflow_provider_crm.sandbox.salesforce.write import OpportunityDraft, OpportunityWriter

LARGEST_WRITE, LARGEST_READ = 200, 2_000


class OpportunityCollections:
    """Answer the calls for several records.

    Args:
        account: the org.
        context: the sandbox.
        writer: applies the writes.
        view: shows records.
    """

    def __init__(
        self,
        account: SalesforceAccount,
        context: ApiContext[SalesforceSwitches],
        writer: OpportunityWriter,
        view: RecordView,
    ) -> None:
        self._account = account
        self._context = context
        self._writer = writer
        self._view = view

    def update(self, request: Request) -> Response:
        """Write the records of the ids in the rows."""
        return self._write(request, self._drafted_update)

    def create(self, request: Request) -> Response:
        """Create a record for each row."""
        return self._write(request, self._drafted_create)

    def upsert(self, request: Request) -> Response:
        """Write the record that has the value of a row in a field of external ids, or create it."""
        name = request.segments[-1]
        field = self._account.fields.get(name)
        if field is None or not field.external_id or not field.visible:
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND", message)
        times = Counter(str(row.get(name)) for row in self._rows(request))

        def drafted(row: Mapping[str, Json], _times: Counter[str], request: Request) -> tuple[OpportunityDraft, bool]:
            value = str(row.get(name))
            if times[value] > 1:
                raise RefusedRowError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", name)
            matches = self._writer.with_value(name, value)
            if len(matches) > 1:
                raise RefusedRowError("DUPLICATE_VALUE", f"{name}: more than one record found", name)
            stored = self._writer.existing(matches[0]) if matches else self._account.blank(self._account.new_id())
            return self._writer.draft(stored, fields_of(row), request, is_new=not matches), not matches

        return self._write(request, drafted, says_created=True)

    def read(self, request: Request) -> Response:
        """Answer the records of some ids in their order; null for one that is not there."""
        body = body_of(request)
        ids, fields = body.get("ids"), body.get("fields")
        if not isinstance(ids, list) or not isinstance(fields, list) or not all(isinstance(one, str) for one in ids):
            raise malformed("ids and fields are lists of texts")
        if len(ids) > LARGEST_READ:
            raise refuse(HTTPStatus.BAD_REQUEST, "EXCEEDED_ID_LIMIT", f"record limit reached: {LARGEST_READ}")
        names = self._view.names([str(one) for one in fields])
        found = [self._view.read(one, request) for one in ids]
        version = request.segments[2]
        shown = [None if one is None else self._view.record(one, ["Id", *names], version) for one in found]
        return json_response(HTTPStatus.OK, shown)

    def delete(self, request: Request) -> Response:
        """Move records to the recycle bin."""
        ids = [one for one in request.query.get("ids", "").split(",") if one]
        if len(ids) > LARGEST_WRITE:
            raise _too_many(len(ids))
        results, changes = list[dict[str, Any]](), list[AppliedChange]()
        for one in ids:
            try:
                stored = self._writer.existing(one)
            except RefusedRowError as error:
                results.append(failed_row(error, one))
                continue
            self._account.records.write(stored["id"], {**stored, "deleted": True}, request.at)
            changes.append(AppliedChange(record_id=stored["id"], fields={"IsDeleted": True}))
            results.append({"id": stored["id"], "success": True, "errors": []})
        return json_response(HTTPStatus.OK, results, changes=tuple(changes))

    def _drafted_update(
        self, row: Mapping[str, Json], times: Counter[str], request: Request
    ) -> tuple[OpportunityDraft, bool]:
        text = str(row.get("id") or row.get("Id") or "")
        if not text:
            raise RefusedRowError("MISSING_ARGUMENT", "Id not specified in an update call")
        if times[long_id(text) or text] > 1 and self._context.switches.salesforce_same_id_twice == "rows":
            raise RefusedRowError("DUPLICATE_VALUE", f"Duplicate id in list: {text}", "Id")
        return self._writer.draft(self._writer.existing(text), fields_of(row), request), False

    def _drafted_create(
        self, row: Mapping[str, Json], _times: Counter[str], request: Request
    ) -> tuple[OpportunityDraft, bool]:
        blank = self._account.blank(self._account.new_id())
        return self._writer.draft(blank, fields_of(row), request, is_new=True), True

    def _rows(self, request: Request) -> list[dict[str, Json]]:
        rows = body_of(request).get("records")
        if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
            raise malformed("records is no list of objects")
        if not rows:
            message = "At least 1 record is required"
            raise refuse(HTTPStatus.BAD_REQUEST, "REQUIRED_FIELD_MISSING", message)
        if len(rows) > LARGEST_WRITE:
            raise _too_many(len(rows))
        kinds = {str((one.get("attributes") or {}).get("type")) for one in rows}
        if kinds != {OBJECT}:
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_TYPE", f"sObject type {sorted(kinds)} is not supported.")
        return rows

    def _write(
        self,
        request: Request,
        drafted: Callable[[Mapping[str, Json], Counter[str], Request], tuple[OpportunityDraft, bool]],
        *,
        says_created: bool = False,
    ) -> Response:
        """Write the rows that pass, or none of them if one fails and the call says so; results keep their order."""
        rows, switches = self._rows(request), self._context.switches
        ids = [str(row.get("id") or row.get("Id") or "") for row in rows]
        times = Counter(long_id(one) or one for one in ids if one)
        if switches.salesforce_same_id_twice == "call" and max(times.values(), default=0) > 1:
            raise refuse(HTTPStatus.BAD_REQUEST, "INVALID_OPERATION", "Duplicate id in list")
        if any(map(self._writer.is_poisoned, ids)):
            raise malformed("The request could not be processed")
        if body_of(request).get("allOrNone") is True:
            return self._all_or_none(rows, times, request, drafted)
        results, changes = list[dict[str, Any]](), list[AppliedChange]()
        checked = self._checked(rows, times, request, drafted)
        for row, one in zip(rows, checked, strict=True):
            made = one
            if (
                not isinstance(made, RefusedRowError) and times[made[0].record_id] > 1
            ):  # written in order: check it once more
                made = drafted(row, times, request)
            if isinstance(made, RefusedRowError):
                shown = str(row.get("id") or "") or None
                results.append(failed_row(made, shown if switches.salesforce_failed_ids else None))
                continue
            draft, is_new = made
            change = self._writer.commit(draft, request)
            changes += [] if change is None else [change]
            result = {"id": draft.record_id, "success": True, "errors": []}
            results.append(result | {"created": is_new} if says_created else result)
        return json_response(HTTPStatus.OK, results, changes=tuple(changes))

    def _checked(
        self,
        rows: list[dict[str, Json]],
        times: Counter[str],
        request: Request,
        drafted: Callable[[Mapping[str, Json], Counter[str], Request], tuple[OpportunityDraft, bool]],
    ) -> list[tuple[OpportunityDraft, bool] | RefusedRowError]:
        """Check all rows before any is written, as a value of a wrong type may refuse the whole call."""
        checked: list[tuple[OpportunityDraft, bool] | RefusedRowError] = []
        for row in rows:
            try:
                checked.append(drafted(row, times, request))
            except TypeMismatchError as error:
                if self._context.switches.salesforce_type_errors == "call":
                    raise refuse_row(error) from None
                checked.append(error)
            except RefusedRowError as error:
                checked.append(error)
        return checked

    def _all_or_none(
        self,
        rows: list[dict[str, Json]],
        times: Counter[str],
        request: Request,
        drafted: Callable[[Mapping[str, Json], Counter[str], Request], tuple[OpportunityDraft, bool]],
    ) -> Response:
        checked = self._checked(rows, times, request, drafted)
        if any(isinstance(one, RefusedRowError) for one in checked):
            message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
            rolled_back = RefusedRowError("ALL_OR_NONE_OPERATION_ROLLED_BACK", message)
            errors = [one if isinstance(one, RefusedRowError) else rolled_back for one in checked]
            return json_response(HTTPStatus.OK, [failed_row(one, None) for one in errors])
        drafts = [one[0] for one in checked if not isinstance(one, RefusedRowError)]
        changes = [change for one in drafts if (change := self._writer.commit(one, request)) is not None]
        results = [{"id": one.record_id, "success": True, "errors": []} for one in drafts]
        return json_response(HTTPStatus.OK, results, changes=tuple(changes))


def _too_many(number: int) -> RefusalError:
    message = f"record limit reached. cannot submit more than {LARGEST_WRITE} records into this call, not {number}"
    return refuse(HTTPStatus.BAD_REQUEST, "EXCEEDED_ID_LIMIT", message)
