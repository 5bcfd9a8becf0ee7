"""The users of the account that the sandbox starts with, who may own deals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_DEFINED_AT = "2025-01-06T09:00:00Z"


@dataclass(frozen=True, kw_only=True)
class DealOwner:
    """A user who may own deals; an archived one has left, and may not."""

    id: str
    email: str
    first_name: str
    last_name: str
    archived: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the owner as the API lists it."""
        user_id = int(self.id) + 100
        return {
            "id": self.id,
            "email": self.email,
            "type": "PERSON",
            "firstName": self.first_name,
            "lastName": self.last_name,
            "userId": None if self.archived else user_id,
            "userIdIncludingInactive": user_id,
            "createdAt": _DEFINED_AT,
            "updatedAt": _DEFINED_AT,
            "archived": self.archived,
        }


DEAL_OWNERS = (
    DealOwner(id="501", email="ada@sandbox.example", first_name="Ada", last_name="Lovelace"),
    DealOwner(id="502", email="grace@sandbox.example", first_name="Grace", last_name="Hopper"),
    DealOwner(id="503", email="mary@sandbox.example", first_name="Mary", last_name="Somerville", archived=True),
)
