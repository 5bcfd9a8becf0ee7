"""The Raze account as Python sees it: its keys and opportunities."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.raze.view import named, shown_fields
from airflow_provider_crm.sandbox.records import Fields, Records
from airflow_provider_crm.sandbox.wire import Json, parse_utc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_provider_crm.sandbox.api import ApiContext
    from airflow_provider_crm.sandbox.raze.switches import RazeSwitches

_STAMPS = ("won_at", "lost_at", "created_at", "updated_at")


@dataclass(frozen=True, kw_only=True)
class RazeKey:
    """One API key. `limit` overrides the calls per window; None leaves it to the switch."""

    key: str
    permissions: frozenset[str]
    expires_at: datetime | None = None
    limit: int | None = None

    def may(self, permission: str) -> bool:
        """Return whether the key has a permission, directly or by `*` or `<resource>:*`."""
        resource = permission.partition(":")[0]
        return not self.permissions.isdisjoint({permission, f"{resource}:*", "*"})


class RazeAccount:
    """One Raze account. All of it can be read and extended while the server runs.

    Attributes:
        api_key: a key with every permission.
        users, campaigns: id to name. An opportunity may name other ids; their names are unknown then.
    """

    def __init__(self, context: ApiContext[RazeSwitches]) -> None:
        self.api_key = "gr_live_sandbox"
        self.users = {"usr_ada": "Ada Lovelace", "usr_grace": "Grace Hopper"}
        self.campaigns = {"camp_spring": "Spring campaign"}
        self.keys: dict[str, RazeKey] = {self.api_key: RazeKey(key=self.api_key, permissions=frozenset({"*"}))}
        self.records = Records()
        self._context = context
        self._number = 0

    def add_key(
        self,
        permissions: Iterable[str] = ("opportunities:read", "opportunities:write", "opportunities:delete"),
        expires_at: datetime | None = None,
        limit: int | None = None,
    ) -> str:
        """Create an API key.

        Args:
            permissions: such as `opportunities:write`, `opportunities:*` or `*`.
            expires_at: aware datetime from which the key is refused.
            limit: calls per window of this key.
        """
        with self._context.lock:
            key = f"gr_live_sandbox_{len(self.keys) + 1}"
            self.keys[key] = RazeKey(key=key, permissions=frozenset(permissions), expires_at=expires_at, limit=limit)
            return key

    def remove_key(self, key: str) -> None:
        """Revoke an API key: calls with it are 401 from now on."""
        with self._context.lock:
            del self.keys[key]

    def add_opportunity(self, id: str | None = None, **fields: Json) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Add an opportunity as it stands: no rule of the API runs on it.

        Args:
            id: its id, an invented one by default.
            **fields: stored fields (`name`, `status`, `deal_value`, `contact_id`, ...); others have defaults.

        Returns:
            The record as GET shows it, in the documented form.

        Raises:
            ValueError: a field that an opportunity doesn't have.
        """
        with self._context.lock:
            record_id = id or self.new_id("opp")
            stored = self.blank(record_id, self._context.clock.now())
            unknown = sorted(set(fields) - set(stored))
            if unknown:
                message = f"An opportunity has no field {', '.join(unknown)}. Known: {', '.join(sorted(stored))}."
                raise ValueError(message)
            for name in _STAMPS:
                if isinstance(fields.get(name), str):
                    fields[name] = parse_utc(fields[name])
            if fields.get("deal_value") is not None:
                fields["deal_value"] = Decimal(str(fields["deal_value"])).quantize(Decimal("0.01"))
            self.records.seed(record_id, stored | fields)
            return self.opportunity(record_id)

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return the record as GET shows it, in the form that the switches choose. Money is `Decimal`.

        Raises:
            KeyError: there is no such opportunity.
        """
        with self._context.lock:
            stored = self.records.get(id)
            if stored is None:
                raise KeyError(id)
            return self.shown(stored)

    def shown(self, stored: Fields) -> dict[str, Any]:
        """Return the full record as GET answers it."""
        record = shown_fields(stored, stored, self._context.switches)
        record["campaign"] = named(stored["campaign_id"], self.campaigns)
        record["responsible_user"] = named(stored["responsible_user_id"], self.users)
        return record

    def blank(self, record_id: str, now: datetime) -> Fields:
        """Return the stored fields of an opportunity about which nothing is known."""
        return {
            "id": record_id,
            "name": "John Doe",
            "email": None,
            "phone": None,
            "company": None,
            "position": None,
            "status": "new",
            "source": "other",
            "deal_value": None,
            "deal_currency": "BRL",
            "linkedin_url": None,
            "notes": None,
            "responsible_user_id": None,
            "campaign_id": None,
            "contact_id": f"cnt_{record_id}",
            "won_at": None,
            "lost_at": None,
            "created_at": now,
            "updated_at": now,
        }

    def new_id(self, prefix: str) -> str:
        """Return an id that has not been used yet; a UUID where the switches ask for one."""
        self._number += 1
        if self._context.switches.raze_uuid_ids:
            return f"00000000-0000-4000-8000-{self._number:012d}"
        return f"{prefix}_sandbox{self._number:06d}"
