"""Read the parts of a call to Batchly: rows, properties, numbers and cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from airflow_provider_crm.sandbox import RefusalError
from airflow_provider_crm.sandbox.wire import Json
from tests.fake.account import canonical
from tests.fake.answers import Problem


def items(body: Json, name: str) -> list[Any]:
    """Return the rows of a body; none if it has no list of that name."""
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, list) else []


def id_of(row: Mapping[str, Json]) -> str:
    """Return the id of a row, as the API shows it."""
    return canonical(row["id"])


def properties_of(body: Json) -> Mapping[str, Json]:
    """Return the values to write.

    Raises:
        RefusalError: 400, there are none.
    """
    properties = body.get("properties") if isinstance(body, dict) else None
    if not isinstance(properties, dict) or not properties:
        raise RefusalError(HTTPStatus.BAD_REQUEST, Problem("MALFORMED", "Name the properties to change."))
    return properties


def number(text: str) -> int | None:
    """Read a whole number; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() else None


def cursor_of(position: int) -> str:
    """Write a cursor that means nothing to anyone else."""
    return base64.urlsafe_b64encode(f"position {position}".encode()).decode()


def position_of(cursor: str | None) -> int | None:
    """Return the position that a cursor stands for, 0 without one; None if it is no cursor."""
    if cursor is None:
        return 0
    try:
        word, _, position = base64.urlsafe_b64decode(cursor).decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return number(position) if word == "position" else None
