"""Read calls as HubSpot does, and write its answers."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_crm.sandbox.hubspot.problems import invalid, refuse
from airflow_provider_crm.sandbox.wire import JSON_TYPE, AppliedChange, Json, Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_crm.sandbox.hubspot.switches import HubSpotSwitches

LARGEST_BATCH, LARGEST_BATCH_WITH_HISTORY = 100, 50


def answer(status: int, payload: Json, changes: tuple[AppliedChange, ...] = ()) -> Response:
    """Write an answer of texts, whole numbers and truth values, which many rows make large."""
    return Response(status=status, body=json.dumps(payload).encode(), changes=changes)


def json_object(request: Request) -> dict[str, Any]:
    """Read the body of a write.

    Raises:
        RefusalError: 400 or 415, it is no JSON object sent as JSON.
    """
    if request.raw and request.content_type != JSON_TYPE:
        raise refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "HTTP 415 Unsupported Media Type")
    if request.malformed is not None or not isinstance(request.body, dict):
        reason = request.malformed or "the body is no object"
        raise refuse(HTTPStatus.BAD_REQUEST, f"Invalid input JSON on line 1, column 1: {reason}")
    return request.body


def properties_of(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return the properties that a body or an input writes; a missing member is an empty one.

    Raises:
        RefusalError: 400, they are no object.
    """
    properties = body.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise invalid("Invalid input JSON: properties is no object")
    return properties


def inputs_of(
    request: Request, switches: HubSpotSwitches, *, largest: int = LARGEST_BATCH, needs_id: bool = True
) -> list[dict[str, Json]]:
    """Return the inputs of a batch. A body without the member `inputs` has none, and is not refused for that.

    Args:
        request: the call.
        switches: as they are set.
        largest: how many a call may have.
        needs_id: whether each of them names its record.

    Raises:
        RefusalError: 400 or 415.
    """
    inputs = json_object(request).get("inputs")
    if inputs is None:
        return []
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise invalid("Invalid input JSON: inputs is no list of objects")
    if len(inputs) > largest:
        raise invalid(f"The batch has {len(inputs)} inputs; the maximum is {largest}")
    if not inputs and switches.hubspot_refuses_empty_inputs:
        raise invalid("inputs must not be empty")
    if needs_id and not all(_is_id(one.get("id")) for one in inputs):
        raise invalid("Invalid input JSON: some inputs have no id")
    return inputs


def listed(request: Request, name: str) -> list[str]:
    """Return the texts of a query parameter, which may be repeated or have commas."""
    values = [value for key, value in parse_qsl(request.raw_query, keep_blank_values=True) if key == name]
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def names_of(body: Mapping[str, Json], member: str) -> list[str]:
    """Return the names of properties in a member of a body.

    Raises:
        RefusalError: 400, it is no list of texts.
    """
    names = body.get(member) or []
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise invalid(f"Invalid input JSON: {member} is no list of texts")
    return names


def whole_number(text: Json, *, name: str, least: int, most: int) -> int:
    """Read a number such as a limit.

    Raises:
        RefusalError: 400, it is none, or out of range.
    """
    digits = str(text)
    number = int(digits) if digits.isascii() and digits.isdigit() else -1
    if not least <= number <= most:
        raise invalid(f"{name} must be a number from {least} to {most}, not {digits[:50]}")
    return number


def _is_id(value: Json) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
