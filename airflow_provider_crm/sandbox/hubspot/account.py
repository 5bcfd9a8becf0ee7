"""The HubSpot account as Python sees it: its settings, tokens, definitions and deals."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox.hubspot.portal import Portal
from airflow_provider_crm.sandbox.hubspot.properties import CURRENCY
from airflow_provider_crm.sandbox.hubspot.tokens import ALL_SCOPES, HubSpotTokens
from airflow_provider_crm.sandbox.hubspot.unique_values import UniqueValues
from airflow_provider_crm.sandbox.hubspot.view import COMPUTED, represent, value_of
from airflow_provider_crm.sandbox.records import Fields, Records
from airflow_provider_crm.sandbox.wire import Json, parse_utc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from airflow_provider_crm.sandbox.clock import SandboxClock

_FIRST_ID = 171_591_000_000
_TIMES = {"createdate": "created", "hs_lastmodifieddate": "updated"}


class HubSpotAccount(Portal):
    """One HubSpot account with its tokens and deals; all of it can be changed while the server runs.

    Attributes:
        access_token: a token of a private app with all scopes.
        tokens: all tokens, and the OAuth app.
        workflows: values that a workflow sets right after a call has written another property, by that property.
        records: the deals, as they are stored.
    """

    def __init__(self, *, clock: SandboxClock, lock: AbstractContextManager[Any]) -> None:
        super().__init__(lock=lock)
        self.access_token = "pat-na1-sandbox"  # noqa: S105 - the sandbox's own
        self.tokens = HubSpotTokens(clock=clock)
        self.tokens.add(self.access_token, ALL_SCOPES)
        self.workflows: dict[str, dict[str, str]] = {}
        self.records = Records()
        self.unique_values = UniqueValues()
        self.merged_into: dict[str, str] = {}
        self._clock = clock
        self._added = 0

    def add_token(self, scopes: Iterable[str] = ALL_SCOPES) -> str:
        """Create a token of a private app with some scopes, such as `crm.objects.deals.read`."""
        with self._lock:
            self._added += 1
            token = f"pat-na1-sandbox-{self._added}"
            self.tokens.add(token, scopes)
            return token

    def add_opportunity(self, id: str | None = None, **fields: Json) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Add a deal as it stands: no rule of the API runs on it.

        Args:
            id: its id, in digits; an invented one by default.
            **fields: texts of its properties; `createdate` and `hs_lastmodifieddate` may be given, too.

        Returns:
            The record with all properties.

        Raises:
            ValueError: a property that a deal does not have, or that HubSpot calculates.
        """
        with self._lock:
            record_id = self.new_id() if id is None else canonical_deal_id(id)
            unknown = sorted(name for name in fields if name not in _TIMES and not self._is_stored(name))
            if unknown:
                known = ", ".join(sorted(filter(self._is_stored, (*self.properties, CURRENCY))))
                message = f"A deal has no stored property {', '.join(unknown)}. Known: {known}."
                raise ValueError(message)
            times = {_TIMES[name]: parse_utc(str(text)) for name, text in fields.items() if name in _TIMES}
            values = {name: _text(value) for name, value in fields.items() if name not in _TIMES}
            stored = self.blank(record_id, self._clock.now()) | times
            stored["properties"] = {"dealname": f"Deal {record_id}", **stored["properties"], **values}
            self.records.seed(record_id, stored)
            for name, value in values.items():
                if name in self.properties and self.properties[name].unique:
                    self.unique_values.replace(record_id, name, None, value)
            return self.opportunity(record_id)

    def archive_opportunity(self, id: str) -> None:  # noqa: A002 - the API's word
        """Archive a deal, as a person would.

        Raises:
            KeyError: there is no such deal.
        """
        with self._lock:
            stored, now = self._stored(id), self._clock.now()
            self.records.write(stored["id"], {**stored, "archived": now}, now)

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return the record with all properties, as the API shows it; an archived one, too.

        Raises:
            KeyError: there is no such deal.
        """
        with self._lock:
            names = [name for name, one in self.definitions().items() if not one.archived]
            return represent(self._stored(id), names, self)

    def date_for_people(self, record_id: str, name: str) -> date | None:
        """Return the day that people see in a property that is an instant: that of the account's zone.

        Raises:
            KeyError: there is no such deal.
        """
        with self._lock:
            text = value_of(name, self._stored(record_id), self)
        return datetime.fromisoformat(text).astimezone(ZoneInfo(self.time_zone)).date() if text else None

    def blank(self, record_id: str, now: datetime) -> Fields:
        """Return a deal of which nothing is known but its pipeline and stage."""
        return {
            "id": record_id,
            "created": now,
            "updated": now,
            "archived": None,
            "merged_ids": (),
            "properties": {"pipeline": "default", "dealstage": "appointmentscheduled"},
            "history": {},
        }

    def new_id(self) -> str:
        """Return an id that no deal has."""
        while True:
            self._added += 1
            record_id = str(_FIRST_ID + self._added)
            if self.records.get(record_id) is None:
                return record_id

    def current_id(self, record_id: str) -> str:
        """Return the id of the record into which a record was merged; its own if it was not."""
        while record_id in self.merged_into:
            record_id = self.merged_into[record_id]
        return record_id

    def _is_stored(self, name: str) -> bool:
        return name in self.definitions() and name not in COMPUTED

    def _stored(self, record_id: str) -> Fields:
        stored = self.records.get(self.current_id(canonical_deal_id(record_id)))
        if stored is None:
            raise KeyError(record_id)
        return stored


def canonical_deal_id(record_id: str) -> str:
    """Return an id as the API shows it: zeros in front do not count."""
    return record_id.lstrip("0") or "0" if record_id.isascii() and record_id.isdigit() else record_id


def _text(value: Json) -> str | None:
    if value is None:
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
