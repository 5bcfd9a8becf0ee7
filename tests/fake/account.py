"""A Batchly account as Python sees it: its keys and records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_crm.sandbox import ApiContext, Records
from airflow_provider_crm.sandbox.wire import Json
from tests.fake.properties import PIPELINES, PROPERTIES, STAGE_PROPERTIES, Property

READ, WRITE = "records.read", "records.write"
_FIRST_ID = 70_000


@dataclass(frozen=True, kw_only=True)
class FakeKey:
    """A key of the account."""

    token: str
    scopes: frozenset[str]


class FakeAccount:
    """One Batchly account. All of it can be read and extended while the server runs.

    Attributes:
        account_id: the id of the customer.
        time_zone: the IANA zone in which people see times, and in which the day of the daily limit ends.
        currencies: the currencies that a record may have.
        api_key: a key that may do everything.
        properties: the properties of a record, by name.
    """

    def __init__(self, context: ApiContext[Any], *, has_stages: bool) -> None:
        self.account_id = 4711
        self.time_zone = "America/New_York"
        self.currencies = ("USD", "EUR", "BRL")
        self.api_key = "bat_sandbox"
        self.has_stages = has_stages
        own = (*PROPERTIES, *STAGE_PROPERTIES) if has_stages else PROPERTIES
        self.properties: dict[str, Property] = {one.name: one for one in own}
        self.keys = {self.api_key: FakeKey(token=self.api_key, scopes=frozenset({READ, WRITE}))}
        self.records = Records()
        self._context = context

    def add_key(self, scopes: Iterable[str]) -> str:
        """Create a key with some of the scopes `records.read` and `records.write`."""
        with self._context.lock:
            token = f"bat_sandbox_{len(self.keys) + 1}"
            self.keys[token] = FakeKey(token=token, scopes=frozenset(scopes))
            return token

    def add_opportunity(self, id: str | None = None, **fields: Json) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Add a record as it stands: no rule of the API runs on it.

        Args:
            id: its id, in digits; an invented one by default.
            **fields: texts of its properties.

        Raises:
            ValueError: a property that a record does not have.
        """
        with self._context.lock:
            record_id = canonical(id or str(_FIRST_ID + len(self.records.ids()) + 1))
            unknown = sorted(fields.keys() - self.properties.keys())
            if unknown:
                message = f"A record has no property {', '.join(unknown)}. Known: {', '.join(sorted(self.properties))}."
                raise ValueError(message)
            stored = self.blank() | {name: None if one is None else str(one) for name, one in fields.items()}
            now = self._context.clock.now()
            self.records.seed(record_id, {"id": record_id, "created": now, "updated": now, "properties": stored})
            return self.opportunity(record_id)

    def remove_opportunity(self, id: str) -> None:  # noqa: A002 - the API's word
        """Delete a record, as a person would."""
        with self._context.lock:
            self.records.write(canonical(id), None, self._context.clock.now())

    def opportunity(self, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        """Return the whole record as the API shows it.

        Raises:
            KeyError: there is no such record.
        """
        with self._context.lock:
            stored = self.records.get(canonical(id))
            if stored is None:
                raise KeyError(id)
            return self.shown(stored, self.properties)

    def describe(self) -> dict[str, Any]:
        """Return the account as the API shows it."""
        return {"accountId": self.account_id, "timeZone": self.time_zone, "currencies": list(self.currencies)}

    def date_for_people(self, id: str, name: str) -> date:  # noqa: A002 - the API's word
        """Return the date that people see in a property that holds an instant."""
        moment = datetime.fromisoformat(self.opportunity(id)["properties"][name])
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    def shown(self, stored: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """Return a stored record with some of its properties; unknown ones are left out."""
        values = stored["properties"] | {"updated_at": stored["updated"].isoformat()}
        return {
            "id": stored["id"],
            "properties": {name: values.get(name) for name in names if name in self.properties},
            "createdAt": stored["created"].isoformat(),
            "updatedAt": stored["updated"].isoformat(),
            "archived": False,
        }

    def by_default(self) -> list[str]:
        """Return the properties that reads show which name none."""
        return [one.name for one in self.properties.values() if one.by_default]

    def blank(self) -> dict[str, str | None]:
        """Return the properties of a record of which nothing is known."""
        stages = {"deal_stage": "sales_new", "pipeline_id": "sales"} if self.has_stages else {}
        return {"name": "Acme", "currency": "USD", **stages}

    def stage_type(self, pipeline: str, stage: str) -> str | None:
        """Return `won`, `lost` or `active`; None for a stage that the pipeline does not have."""
        return PIPELINES.get(pipeline, {}).get(stage)


def canonical(record_id: str) -> str:
    """Return an id as the API shows it: zeros in front do not count."""
    return record_id.lstrip("0") or "0" if record_id.isascii() and record_id.isdigit() else record_id
