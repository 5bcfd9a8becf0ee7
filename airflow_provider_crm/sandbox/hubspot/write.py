"""Apply writes to deals, with the rules that HubSpot runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.hubspot.account import canonical_deal_id
from airflow_provider_crm.sandbox.hubspot.problems import CONFLICT, PropertyError, RowError
from airflow_provider_crm.sandbox.hubspot.properties import ALWAYS_SHOWN, CALCULATED_NAMES
from airflow_provider_crm.sandbox.hubspot.values import sent_text, stamp, stored_text
from airflow_provider_crm.sandbox.hubspot.view import represent
from airflow_provider_crm.sandbox.wire import AppliedChange, Json, Request

if TYPE_CHECKING:
    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.hubspot.account import HubSpotAccount
    from airflow_provider_crm.sandbox.hubspot.properties import DealProperty
    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches
    from airflow_provider_crm.sandbox.records import Fields

_VERSIONS_SHOWN = 20
_STAGE, _PIPELINE, _CLOSE_DATE, _OWNER = "dealstage", "pipeline", "closedate", "hubspot_owner_id"
_BY_DEFAULT = (*CALCULATED_NAMES, *ALWAYS_SHOWN)
_SOURCE = "private-app"

Taken = dict[tuple[str, str], str]
"""Values of unique properties that earlier rows of a call will have, and their records."""


@dataclass(frozen=True, kw_only=True)
class DealDraft:
    """One write that is checked, and not yet applied.

    Attributes:
        stored: the record as it is, or a blank one that is to be created.
        accepted: the values that take effect, as they were sent.
        properties: the texts of the record with those values.
        sent: names of all properties that were sent.
        trace: the `objectWriteTraceId` of the row; empty if it has none.
        error: why it is refused.
        is_new: whether it creates a record.
    """

    stored: Fields
    sent: tuple[str, ...] = ()
    accepted: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    trace: str = ""
    error: RowError | None = None
    is_new: bool = False

    @property
    def record_id(self) -> str:
        """Return the id of the record."""
        return str(self.stored["id"])


class DealWriter:
    """Check rows, and apply those that pass.

    Args:
        account: the account.
        context: the sandbox.
    """

    def __init__(self, account: HubSpotAccount, context: ApiContext[HubSpotSwitches]) -> None:
        self._account = account
        self._context = context

    def draft(
        self,
        stored: Fields,
        sent: Mapping[str, Json],
        request: Request,
        *,
        trace: str = "",
        is_new: bool = False,
        taken: Taken | None = None,
    ) -> DealDraft:
        """Check one row; a draft that is refused has its error."""
        switches = self._context.switches
        accepted, properties, errors = dict[str, Any](), dict(stored["properties"]), list[PropertyError]()
        for name, value in sent.items():
            try:
                text = self._read(name, sent_text(value), properties.get(name), switches)
            except PropertyError as bad:
                errors.append(bad)
                continue
            if name not in switches.ignored_fields and not (value is None and switches.hubspot_null == "ignored"):
                accepted[name], properties[name] = value, text
        if not errors and (_STAGE in accepted or _PIPELINE in accepted):
            errors += self._move(stored, properties, accepted, request, is_new=is_new)
        if sent and stored["id"] in _canonical(switches.hubspot_rejected_ids):
            message = "A validation rule of the account refuses the value."
            errors.append(PropertyError("VALIDATION_RULE", message, next(iter(sent))))
        error = RowError(properties=errors) if errors else self._conflict(stored, properties, accepted, taken)
        return DealDraft(
            stored=stored,
            sent=tuple(sent),
            accepted=accepted,
            properties=properties,
            trace=trace,
            error=error,
            is_new=is_new,
        )

    def commit(self, draft: DealDraft, request: Request) -> tuple[dict[str, Any], AppliedChange | None]:
        """Apply a draft without an error, unless it is dropped in silence; return the record as the answer shows it."""
        switches, before = self._context.switches, draft.stored["properties"]
        record_id = draft.record_id
        if request.ignored or record_id in _canonical(switches.ignored_ids):
            return self._shown(draft, draft.stored), None
        after = {**draft.stored, "properties": draft.properties, "updated": request.at}
        after["history"] = _with_versions(draft, request)
        self._account.records.write(record_id, after, request.at)
        for name in draft.accepted:
            definition = self._account.properties.get(name)
            if definition is not None and definition.unique:
                old = None if draft.is_new else before.get(name)
                self._account.unique_values.replace(record_id, name, old, draft.properties[name])
        self._run_workflows(draft, after, request)
        return self._shown(draft, after), AppliedChange(record_id=record_id, fields=draft.accepted)

    def is_locked(self, record_id: str, request: Request) -> bool:
        """Return whether another process has a lock on a record."""
        switches = self._context.switches
        if record_id not in _canonical(switches.hubspot_locked_ids):
            return False
        return switches.hubspot_locked_until is None or request.at.timestamp() < switches.hubspot_locked_until

    def is_poisoned(self, record_id: str) -> bool:
        """Return whether a record makes HubSpot refuse each call that writes it."""
        return record_id in _canonical(self._context.switches.hubspot_poisoned_ids)

    def is_left_out(self, record_id: str) -> bool:
        """Return whether the answer of a batch leaves a record out."""
        return record_id in _canonical(self._context.switches.hubspot_left_out_ids)

    def _read(self, name: str, sent: str | None, before: str | None, switches: HubSpotSwitches) -> str | None:
        """Return the text to store.

        Raises:
            PropertyError: the property does not exist, or does not take the text.
        """
        account = self._account
        definition = account.definition(name)
        if definition is None:
            raise PropertyError("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist', name)
        if definition.calculated or definition.read_only:
            message = f'"{name}" is a read only property; its value cannot be set.'
            raise PropertyError("READ_ONLY_VALUE", message, name)
        if sent is None and switches.hubspot_null == "refused":
            raise PropertyError("INVALID_VALUE", f'The value of "{name}" cannot be null.', name)
        if not sent:
            return None if switches.hubspot_cleared_is_null else ""
        if definition.external_options:
            return self._external(definition, sent)
        return stored_text(definition, sent, before)

    def _external(self, definition: DealProperty, sent: str) -> str:
        """Read a value whose options are elsewhere; stages are read with their pipeline."""
        if definition.name == _OWNER:
            owner = self._account.owners.get(sent)
            if owner is None or owner.archived:
                raise PropertyError("INVALID_OWNER_ID", f"Owner {sent} does not exist.", definition.name, sent)
        return sent

    def _move(
        self,
        stored: Fields,
        properties: dict[str, str | None],
        accepted: Mapping[str, Any],
        request: Request,
        *,
        is_new: bool,
    ) -> list[PropertyError]:
        """Check that the pipeline has the stage; set the close date of a deal that is won or lost now."""
        account, pipeline_id = self._account, properties.get(_PIPELINE) or ""
        pipeline = account.pipelines.get(pipeline_id)
        if pipeline is None or pipeline.archived:
            message = f"{pipeline_id} was not one of the allowed options: [{', '.join(account.pipelines)}]"
            return [PropertyError("INVALID_OPTION", message, _PIPELINE, pipeline_id)]
        if is_new and _STAGE not in accepted:
            properties[_STAGE] = next(iter(pipeline.by_id))
        stage_id = properties.get(_STAGE) or ""
        stage = pipeline.by_id.get(stage_id)
        if stage is None:
            options = f"pipelineId={pipeline_id} : [{', '.join(pipeline.by_id)}]"
            message = f"{stage_id} is not a valid pipeline stage ID. Valid options are: {options}"
            return [PropertyError("INVALID_OPTION", message, _STAGE, stage_id)]
        before = account.stage(stored["properties"].get(_PIPELINE), stored["properties"].get(_STAGE))
        old = (before.is_closed, before.is_won) if before is not None else (False, False)
        rule = self._context.switches.hubspot_closedate
        enters = stage.is_closed and (stage.is_closed, stage.is_won) != old
        if enters and (rule == "always" or (rule == "unless_sent" and _CLOSE_DATE not in accepted)):
            properties[_CLOSE_DATE] = stamp(request.at)
        return []

    def _conflict(
        self, stored: Fields, properties: Mapping[str, str | None], accepted: Mapping[str, Any], taken: Taken | None
    ) -> RowError | None:
        """Return an error if another record has a value that is unique."""
        for name in accepted:
            definition, value = self._account.properties.get(name), properties[name]
            if definition is None or not definition.unique or not value:
                continue
            owner = self._account.unique_values.find(name, value) or (taken or {}).get((name, value))
            if owner is not None and owner != stored["id"] and self._is_live(owner, taken):
                return RowError(category=CONFLICT, message="Deal already exists", existing_id=owner)
            if taken is not None:
                taken[name, value] = stored["id"]
        return None

    def _is_live(self, record_id: str, taken: Taken | None) -> bool:
        return self._account.records.get(record_id) is not None or record_id in (taken or {}).values()

    def _shown(self, draft: DealDraft, stored: Fields) -> dict[str, Any]:
        """Return the record as the answer to a write shows it: what was sent, what it changed, what is calculated."""
        before, properties = draft.stored["properties"], stored["properties"]
        sent = draft.sent
        if not self._context.switches.hubspot_echoes_unchanged:
            sent = tuple(name for name in sent if properties.get(name) != before.get(name))
        own = tuple(properties) if draft.is_new else (_CLOSE_DATE,) if _changes_date(before, properties) else ()
        return represent(stored, dict.fromkeys((*sent, *own, *_BY_DEFAULT)), self._account)

    def _run_workflows(self, draft: DealDraft, stored: Fields, request: Request) -> None:
        """Let workflows change the record once more, after the answer was made."""
        values = dict[str, str]()
        for name in draft.accepted:
            values |= self._account.workflows.get(name, {})
        if values:
            changed = {**stored, "properties": {**stored["properties"], **values}}
            self._account.records.write(draft.record_id, changed, request.at)


def _changes_date(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> bool:
    return before.get(_CLOSE_DATE) != after.get(_CLOSE_DATE)


def _with_versions(draft: DealDraft, request: Request) -> dict[str, Any]:
    """Return the history of a record with the values that a draft changes."""
    versions, before = dict(draft.stored["history"]), draft.stored["properties"]
    for name in draft.accepted:
        value, old = draft.properties[name], None if draft.is_new else before.get(name)
        if value == old:
            continue
        earlier = versions.get(name) or (() if old is None else ((old, draft.stored["created"], _SOURCE),))
        versions[name] = (*earlier[1 - _VERSIONS_SHOWN :], (value, request.at, _SOURCE))
    return versions


@lru_cache
def _canonical(ids: frozenset[str]) -> frozenset[str]:
    """Return the ids of a switch as records have them; a switch keeps its value for many rows."""
    return frozenset(map(canonical_deal_id, ids))
