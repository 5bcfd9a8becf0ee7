"""Describe HTTP calls, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from airflow_provider_crm.values.opportunity import FieldValue

NOTHING: Mapping[str, str] = MappingProxyType({})
"""The parameters and written values of most calls: none."""


class Call(NamedTuple):
    """One HTTP call.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, already percent-encoded.
        params: Query parameters.
        body: JSON text to send, or None for no body.
        replayable: Whether sending it twice does no harm when the first answer was lost.
        writes: The values that the record must show afterwards, by key of the vendor's answer.
        fields: Names of the update's fields that this call carries.
    """

    method: str
    path: str
    params: Mapping[str, str] = NOTHING
    body: str | None = None
    replayable: bool = True
    writes: Mapping[str, FieldValue] = NOTHING
    fields: tuple[str, ...] = ()


class WriteCall(NamedTuple):
    """A call that writes a part of a row, without the values that differ from row to row.

    Attributes:
        method: HTTP method.
        path: Absolute path on the vendor's origin, with `{}` where the record id goes.
        keys: The vendor's keys that it carries; its body is a JSON object of them.
        replayable: Whether sending it twice does no harm when the first answer was lost.
    """

    method: str
    path: str
    keys: tuple[str, ...]
    replayable: bool = True
