"""HubSpot's batches of deals: read, update, create, upsert and archive.

| a batch with | answer |
|---|---|
| an id that no record has | 207: the other rows are written, one error names all such ids |
| one record twice | 400, nothing is written |
| a bad value, and an `objectWriteTraceId` of its own in each input | 207: the other rows are written |
| a bad value, and an input without one | 400, nothing is written, the error names no row |
| no member `inputs` | 200 with no results |
"""

from __future__ import annotations

import random
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.hubspot.calls import (
    LARGEST_BATCH,
    LARGEST_BATCH_WITH_HISTORY,
    answer,
    inputs_of,
    json_object,
    names_of,
    properties_of,
)
from airflow_provider_crm.sandbox.hubspot.problems import (
    CONFLICT,
    invalid,
    missing_error,
    named_error,
    refuse,
    refuse_properties,
)
from airflow_provider_crm.sandbox.hubspot.values import stamp
from airflow_provider_crm.sandbox.hubspot.view import history, represent, shown_names
from airflow_provider_crm.sandbox.hubspot.write import DealDraft
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
    from airflow_provider_crm.sandbox.hubspot.lookup import DealLookup
    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
    from airflow_provider_crm.sandbox.hubspot.write import DealWriter, Taken

_TRACE = "objectWriteTraceId"


class DealBatches:
    """Answer the calls below `batch/`.

    Args:
        account: the account.
        context: the sandbox.
        writer: applies the rows.
        lookup: finds the records.
    """

    def __init__(
        self, account: HubSpotAccount, context: ApiContext[HubSpotSwitches], writer: DealWriter, lookup: DealLookup
    ) -> None:
        self._account = account
        self._context = context
        self._writer = writer
        self._lookup = lookup
        self._seed: int | None = None
        self._random = random.Random(0)  # noqa: S311 - repeatable, not secret
        self.routes: dict[str, Callable[[Request], Response]] = {
            "read": self._read,
            "update": self._update,
            "create": self._create,
            "upsert": self._upsert,
            "archive": self._archive,
        }

    def _read(self, request: Request) -> Response:
        body = json_object(request)
        names, versions = names_of(body, "properties"), names_of(body, "propertiesWithHistory")
        largest = LARGEST_BATCH_WITH_HISTORY if versions else LARGEST_BATCH
        inputs = inputs_of(request, self._context.switches, largest=largest)
        archived, shown = request.query.get("archived") == "true", shown_names(names)
        results, missing = dict[str, dict[str, Any]](), list[str]()
        for one in inputs:
            record_id = self._lookup.resolve(one["id"], body.get("idProperty"))
            stored = self._lookup.for_read(record_id, request, archived=archived)
            if stored is None:
                missing.append(str(one["id"]))
                continue
            record = results[stored["id"]] = represent(stored, shown, self._account)
            if versions:
                record["propertiesWithHistory"] = {name: history(name, stored) for name in versions}
        errors = [missing_error(missing)] if missing else []
        return self._answer(list(results.values()), errors, request)

    def _update(self, request: Request) -> Response:
        inputs = inputs_of(request, self._context.switches)
        ids = [self._lookup.resolve(one["id"], one.get("idProperty")) for one in inputs]
        named = _traces(inputs)
        known = [one or str(row["id"]) for one, row in zip(ids, inputs, strict=True)]
        self._refuse_whole(known, request)
        drafts, missing = list[DealDraft](), list[str]()
        for one, record_id in zip(inputs, ids, strict=True):
            stored = self._lookup.for_write(record_id)
            if stored is None:
                missing.append(str(one["id"]))
            else:
                trace = str(one.get(_TRACE) or "")
                drafts.append(self._writer.draft(stored, properties_of(one), request, trace=trace))
        return self._apply(drafts, missing, request, named=named)

    def _create(self, request: Request) -> Response:
        inputs = inputs_of(request, self._context.switches, needs_id=False)
        taken: Taken = {}
        drafts = [self._new_draft(one, properties_of(one), request, taken) for one in inputs]
        return self._apply(drafts, [], request, named=_traces(inputs), status=HTTPStatus.CREATED)

    def _upsert(self, request: Request) -> Response:
        inputs = inputs_of(request, self._context.switches)
        if not all(one.get("idProperty") for one in inputs):
            raise invalid("Each input of an upsert needs an idProperty")
        ids = [self._lookup.resolve(one["id"], one["idProperty"]) for one in inputs]
        self._refuse_whole([one or str(row["id"]) for one, row in zip(ids, inputs, strict=True)], request)
        taken: Taken = {}
        drafts = []
        for one, record_id in zip(inputs, ids, strict=True):
            stored = self._lookup.for_write(record_id)
            if stored is None:
                sent = {**properties_of(one), str(one["idProperty"]): str(one["id"])}
                drafts.append(self._new_draft(one, sent, request, taken))
            else:
                trace = str(one.get(_TRACE) or "")
                drafts.append(self._writer.draft(stored, properties_of(one), request, trace=trace, taken=taken))
        return self._apply(drafts, [], request, named=_traces(inputs), says_new=True)

    def _archive(self, request: Request) -> Response:
        changes = []
        for one in inputs_of(request, self._context.switches):
            stored = self._lookup.for_write(self._lookup.resolve(one["id"]))
            if stored is not None:
                self._account.records.write(stored["id"], {**stored, "archived": request.at}, request.at)
                changes.append(AppliedChange(record_id=stored["id"], fields={"archived": True}))
        return Response(status=HTTPStatus.NO_CONTENT, changes=tuple(changes))

    def _new_draft(self, one: dict[str, Json], sent: dict[str, Json], request: Request, taken: Taken) -> DealDraft:
        blank = self._account.blank(self._account.new_id(), request.at)
        trace = str(one.get(_TRACE) or "")
        return self._writer.draft(blank, sent, request, trace=trace, is_new=True, taken=taken)

    def _refuse_whole(self, ids: Sequence[str], request: Request) -> None:
        """Refuse a batch for what traces do not help against: one record twice, a lock, a poisoned row."""
        twice = [one for one, times in Counter(ids).items() if times > 1]
        if twice:
            message = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
            raise invalid(message, {"ids": twice})
        if any(self._writer.is_locked(one, request) for one in ids):
            raise refuse(HTTPStatus.LOCKED, "The object is locked by another process", category="LOCKED")
        if any(map(self._writer.is_poisoned, ids)):
            raise invalid("The request could not be processed")

    def _refuse_unnamed(self, drafts: Sequence[DealDraft]) -> None:
        """Refuse a batch whose errors could name no row, with the errors of all of them."""
        errors = [one.error for one in drafts if one.error is not None]
        properties = [bad for one in errors for bad in one.properties]
        if properties:
            names = self._context.switches.hubspot_names_properties
            raise refuse_properties(properties, portal_id=self._account.portal_id, names=names)
        if errors:
            raise refuse(HTTPStatus.CONFLICT, errors[0].message, category=CONFLICT)

    def _apply(
        self,
        drafts: Sequence[DealDraft],
        missing: list[str],
        request: Request,
        *,
        named: bool,
        status: int = HTTPStatus.OK,
        says_new: bool = False,
    ) -> Response:
        """Write the rows without an error, or none of them where no error could name its row."""
        switches = self._context.switches
        if not (named and switches.hubspot_names_rows):
            self._refuse_unnamed(drafts)
        results, changes = list[dict[str, Any]](), list[AppliedChange]()
        errors = [missing_error(missing)] if missing else []
        for draft in drafts:
            if draft.error is not None:
                errors.append(named_error(draft.error, draft.trace, portal_id=self._account.portal_id))
                continue
            record, change = self._writer.commit(draft, request)
            if says_new:
                record["new"] = draft.is_new
            if draft.trace and switches.hubspot_echoes_traces:
                record[_TRACE] = draft.trace
            if not self._writer.is_left_out(draft.record_id):
                results.append(record)
            if change is not None:
                changes.append(change)
        return self._answer(results, errors, request, tuple(changes), status=status if drafts else HTTPStatus.OK)

    def _answer(
        self,
        results: list[dict[str, Any]],
        errors: list[dict[str, Any]],
        request: Request,
        changes: tuple[AppliedChange, ...] = (),
        *,
        status: int = HTTPStatus.OK,
    ) -> Response:
        if self._context.switches.hubspot_shuffled:
            self._dice().shuffle(results)
        at = stamp(request.at)
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at}
        if errors:
            body |= {"numErrors": len(errors), "errors": errors}
        return answer(HTTPStatus.MULTI_STATUS if errors else status, body, changes)

    def _dice(self) -> random.Random:
        seed = self._context.switches.seed
        if seed != self._seed:
            self._seed, self._random = seed, random.Random(seed)  # noqa: S311 - repeatable, not secret
        return self._random


def _traces(inputs: Sequence[dict[str, Json]]) -> bool:
    """Return whether each input has an `objectWriteTraceId` of its own."""
    traces = [one.get(_TRACE) for one in inputs]
    return all(isinstance(one, str) and one for one in traces) and len(set(traces)) == len(traces)
