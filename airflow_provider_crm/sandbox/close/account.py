"""The Close account as Python sees it: an organization, its keys and its opportunities."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.sandbox.close.oauth import CloseOAuth
from airflow_provider_crm.sandbox.close.organization import ADMIN_ROLE, Organization
from airflow_provider_crm.sandbox.close.view import represent
from airflow_provider_crm.sandbox.records import Fields, Records
from airflow_provider_crm.sandbox.wire import Json, parse_utc

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from airflow_provider_crm.sandbox.clock import SandboxClock

CUSTOM = "custom."
_STORED = frozenset(
    {
        "status_id",
        "user_id",
        "contact_id",
        "value",
        "value_period",
        "confidence",
        "note",
        "date_won",
        "date_lost",
        "date_created",
        "date_updated",
        "created_by",
        "updated_by",
        "attachments",
    }
)


@dataclass(frozen=True, kw_only=True)
class CloseKey:
    """A key or token, and the user for whom it acts."""

    name: str
    user_id: str
    role: str


class CloseAccount(Organization):
    """One Close organization with its keys and opportunities; all of it can be extended while the server runs.

    Attributes:
        api_key: a key with full access.
        oauth: the OAuth application: client id and secret, tokens, expiry.
    """

    def __init__(self, *, clock: SandboxClock, lock: AbstractContextManager[Any]) -> None:
        super().__init__()
        self.api_key = "api_sandbox_close"
        self.keys: dict[str, CloseKey] = {}
        self.records = Records()
        self.oauth = CloseOAuth(clock=clock)
        self._clock = clock
        self._lock = lock
        self._used: Counter[str] = Counter()
        self.keys[self.api_key] = CloseKey(name=self.api_key, user_id="user_ada", role=ADMIN_ROLE)

    def add_key(self, *, role: str = ADMIN_ROLE, user_id: str = "user_grace") -> str:
        """Create an API key. Only the role `admin` may write the restricted custom field."""
        with self._lock:
            key = f"api_sandbox_close_{len(self.keys) + 1}"
            self.keys[key] = CloseKey(name=key, user_id=user_id, role=role)
            return key

    def remove_key(self, key: str) -> None:
        """Revoke an API key: calls with it are 401 from now on."""
        with self._lock:
            del self.keys[key]

    def add_opportunity(
        self,
        id: str | None = None,  # noqa: A002 - the API's word
        lead_id: str | None = None,
        **fields: Json,
    ) -> dict[str, Any]:
        """Add an opportunity as it stands: no rule of the API runs on it.

        Args:
            id: its id, an invented one by default.
            lead_id: its lead, a new one by default.
            **fields: stored fields of the API (`value`, `date_won`, `custom.cf_...`, ...); others have defaults.

        Returns:
            The record as the API shows it.

        Raises:
            ValueError: a field that can't be stored, such as a misspelt one.
        """
        with self._lock:
            record_id = id or self.new_id("oppo")
            now = self._clock.now()
            stored = self.blank(now) | {"id": record_id, "lead_id": lead_id or self.new_lead(f"Lead of {record_id}")}
            self.leads.setdefault(stored["lead_id"], f"Lead {stored['lead_id']}")
            custom = {name[len(CUSTOM) :]: value for name, value in fields.items() if name.startswith(CUSTOM)}
            plain = {name: value for name, value in fields.items() if not name.startswith(CUSTOM)}
            unknown = sorted((set(plain) - _STORED) | (set(custom) - set(self.custom_fields)))
            if unknown:
                known = ", ".join(sorted(_STORED))
                message = f"An opportunity has no stored field {', '.join(unknown)}. Known: {known}."
                raise ValueError(message)
            for name in ("date_created", "date_updated", "date_lost"):
                if isinstance(plain.get(name), str):
                    plain[name] = parse_utc(plain[name])
            self.records.seed(record_id, stored | plain | {"custom": custom})
            return self.opportunity(record_id)

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return the record as the API shows it, in full.

        Raises:
            KeyError: there is no such opportunity.
        """
        with self._lock:
            stored = self.records.get(id)
            if stored is None:
                raise KeyError(id)
            return represent(stored, self)

    def blank(self, now: datetime) -> Fields:
        """Return the stored fields of an opportunity about which nothing is known, except its id and lead."""
        return {
            "status_id": next(iter(self.statuses)),
            "user_id": "user_ada",
            "contact_id": None,
            "value": None,
            "value_period": "one_time",
            "confidence": 50,
            "note": "",
            "date_won": None,
            "date_lost": None,
            "date_created": now,
            "date_updated": now,
            "created_by": "user_ada",
            "updated_by": "user_ada",
            "attachments": [],
            "custom": {},
        }

    def new_lead(self, name: str) -> str:
        """Create a lead and return its id."""
        lead_id = self.new_id("lead")
        self.leads[lead_id] = name
        return lead_id

    def new_id(self, prefix: str) -> str:
        """Return an id that has not been used yet."""
        self._used[prefix] += 1
        return f"{prefix}_sandbox{self._used[prefix]:06d}"
