"""JSON as it stands in a vendor's answers."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


Record: TypeAlias = dict[str, Json]
