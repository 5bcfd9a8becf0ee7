"""Write rows into a Batchly account: each as the account's rules and the switches have it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from airflow_provider_crm.sandbox import AppliedChange, Request
from airflow_provider_crm.sandbox.wire import Json
from tests.fake.account import FakeAccount, canonical
from tests.fake.answers import Problem, RowResult
from tests.fake.properties import PropertyError

NO_RECORD = Problem("NOT_FOUND", "No record has this id; it may be deleted.")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One row that is checked, and not yet written.

    Attributes:
        stored: The record as it is; None if there is none.
        accepted: The values that take effect, as they were sent.
        properties: All properties of the record, with those values.
    """

    record_id: str
    trace: str = ""
    stored: Mapping[str, Any] | None = None
    accepted: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    problem: Problem | None = None


class RowWriter:
    """Check rows, and write those that pass.

    Args:
        account: The account.
        switch: Returns one of the API's own switches, by the name without the API's.
        common: Returns the switches of every API.
    """

    def __init__(self, account: FakeAccount, switch: Callable[[str], Any], common: Callable[[], Any]) -> None:
        self._account = account
        self._switch = switch
        self._common = common
        self._seed: int | None = None
        self._random = random.Random(0)

    def draft(self, record_id: str, sent: Mapping[str, Json], request: Request, *, alone: bool) -> Draft:
        """Check one row; its draft has the problem, if there is one."""
        stored = self._account.records.get(record_id)
        draft = Draft(record_id=record_id, stored=stored)
        if stored is None:
            return replace(draft, problem=NO_RECORD)
        if record_id in self._ids("rejected_ids"):
            return replace(draft, problem=Problem("RULE", "A validation rule of the account refuses the record."))
        if not alone and record_id in self._ids("locked_ids"):
            return replace(draft, problem=Problem("LOCKED", "Another call of the batch holds a lock on the record."))
        try:
            return self._checked(draft, sent, request)
        except PropertyError as error:
            return replace(draft, problem=Problem(error.code, str(error), error.name))

    def commit(self, draft: Draft, request: Request) -> tuple[RowResult, AppliedChange | None]:
        """Write a draft without a problem, unless it is dropped in silence."""
        result = RowResult(record_id=draft.record_id, trace=draft.trace, problem=draft.problem)
        if draft.problem is not None or draft.stored is None:
            return replace(result, named=draft.record_id not in self._ids("unnamed_ids")), None
        dropped = request.ignored or draft.record_id in _canonical_ids(self._common().ignored_ids)
        stored, change = dict(draft.stored), None
        if not dropped and not self.chance("dropped_rate"):
            stored |= {"properties": dict(draft.properties), "updated": request.at}
            self._account.records.write(draft.record_id, stored, request.at)
            change = AppliedChange(record_id=draft.record_id, fields=draft.accepted)
        names = dict.fromkeys((*self._account.by_default(), *draft.properties, "updated_at"))
        shown = self._account.shown(stored, [name for name in names if name in draft.accepted or name == "updated_at"])
        return replace(result, record=shown), change

    def is_poisoned(self, record_id: str) -> bool:
        """Return whether a row refuses the call that carries it."""
        return record_id in self._ids("poisoned_ids")

    def left_out(self, record_id: str) -> bool:
        """Return whether the answer of a batch leaves a row out."""
        return record_id in self._ids("left_out_ids") or self.chance("left_out_rate")

    def shuffle(self, results: list[RowResult]) -> None:
        """Bring results into any order."""
        self._dice().shuffle(results)

    def chance(self, rate: str) -> bool:
        """Return true as often as a switch says."""
        return bool(self._switch(rate)) and self._dice().random() < self._switch(rate)

    def _dice(self) -> random.Random:
        seed = self._common().seed
        if seed != self._seed:
            self._seed, self._random = seed, random.Random(seed)
        return self._random

    def _ids(self, name: str) -> frozenset[str]:
        return _canonical_ids(self._switch(name))

    def _checked(self, draft: Draft, sent: Mapping[str, Json], request: Request) -> Draft:
        """Check each value, and what they mean together.

        Raises:
            PropertyError: One of them is refused.
        """
        assert draft.stored is not None
        accepted, properties = {}, dict(draft.stored["properties"])
        for name, value in sent.items():
            if name not in self._account.properties:
                raise PropertyError("UNKNOWN_PROPERTY", f'Property "{name}" does not exist.', name)
            text = self._account.properties[name].stored(value)
            if name == "currency" and text is not None and text not in self._account.currencies:
                raise PropertyError("INVALID_CURRENCY", f"{text} is no currency of this account.", name)
            if name not in self._common().ignored_fields:
                accepted[name], properties[name] = value, text
        if not accepted.keys().isdisjoint({"deal_stage", "pipeline_id"}):
            self._move(draft.stored["properties"], properties, accepted, request)
        return replace(draft, accepted=accepted, properties=properties)

    def _move(
        self,
        before: Mapping[str, str],
        properties: dict[str, str | None],
        accepted: Mapping[str, str],
        request: Request,
    ) -> None:
        """Refuse a stage of another pipeline; date a win that has no date, as of now."""
        pipeline, stage = properties["pipeline_id"] or "", properties["deal_stage"] or ""
        kind = self._account.stage_type(pipeline, stage)
        if kind is None:
            raise PropertyError("INVALID_STAGE", f"{stage} is no stage of the pipeline {pipeline}.", "deal_stage")
        was_won = self._account.stage_type(before["pipeline_id"], before["deal_stage"]) == "won"
        if kind == "won" and not was_won and "close_date" not in accepted:
            properties["close_date"] = request.at.isoformat().replace("+00:00", "Z")


@lru_cache
def _canonical_ids(ids: frozenset[str]) -> frozenset[str]:
    """Return the ids of a switch as records have them; a switch keeps its value for many rows."""
    return frozenset(map(canonical, ids))
