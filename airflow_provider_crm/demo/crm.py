"""The local CRM of the demo: filled before the runs, read back over HTTP as any client of the vendors would."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_crm.demo.warehouse import Flaw

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_crm.demo.warehouse import Deal
    from airflow_provider_crm.sandbox import Sandbox

Record = dict[str, Any]

BEFORE: dict[str, Record] = {
    "close": {
        "value": 100_000,
        "date_won": None,
        "status_id": "stat_sales_active",
        "note": "",
        "custom.cf_health": None,
    },
    "raze": {"deal_value": Decimal("1000.00"), "deal_currency": "BRL", "status": "new", "notes": None},
    "hubspot": {"amount": Decimal("1000.00"), "health_score": None},
    "crm_salesforce": {"Amount": Decimal("1000.00"), "NextStep": None},
}
"""The fields of each opportunity before the runs, by the vendor's keys: 1,000 in cents and in major units."""

_ACCOUNTS = {"crm_salesforce": "salesforce"}
_TIMEOUT = 10.0


def account_of(sandbox: Sandbox, vendor: str) -> Any:  # noqa: ANN401 - each vendor has a class of its own
    """Return the sandbox's account of a vendor."""
    return sandbox.account(_ACCOUNTS.get(vendor, vendor))


def fill(sandbox: Sandbox, deals: Iterable[Deal]) -> int:
    """Add every deal to all CRMs, except deals whose id no CRM knows, and return the number of opportunities."""
    ids = {one for deal in deals if deal.flaw is not Flaw.UNKNOWN_ID for one in deal.ids.items()}
    for vendor, record_id in sorted(ids):
        account_of(sandbox, vendor).add_opportunity(record_id, **BEFORE[vendor])
    return len(ids)


def edit(sandbox: Sandbox, record_id: str, fields: Record) -> None:
    """Change an opportunity of Close as a colleague would, with a key of her own."""
    key = b64encode(f"{sandbox.close.add_key()}:".encode()).decode()
    request = urllib.request.Request(  # loopback only
        f"{sandbox.url}/api/v1/opportunity/{record_id}/",
        data=json.dumps(fields).encode(),
        headers={"Authorization": f"Basic {key}", "Content-Type": "application/json"},
        method="PUT",
    )
    with _opener().open(request, timeout=_TIMEOUT):
        pass


class CrmReader:
    """A reader of opportunities over HTTP.

    Args:
        sandbox: A running sandbox; only its address and keys are used.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._url = sandbox.url
        self._close_key = b64encode(f"{sandbox.close.api_key}:".encode()).decode()
        self._raze_key = sandbox.raze.api_key
        self._hubspot_token = sandbox.hubspot.access_token
        self._salesforce_token = sandbox.salesforce.access_token
        self._opener = _opener()

    def read(self, vendor: str, record_id: str) -> Record:
        """Return one opportunity as the vendor's API shows it; amounts with a fraction are `Decimal`."""
        if vendor == "close":
            return self._get(f"/api/v1/opportunity/{record_id}/", {"Authorization": f"Basic {self._close_key}"})
        if vendor == "hubspot":
            names = ",".join(BEFORE["hubspot"])
            path = f"/crm/objects/2026-03/deals/{record_id}?properties={names}"
            properties = self._get(path, {"Authorization": f"Bearer {self._hubspot_token}"})["properties"]
            return {name: properties[name] and Decimal(properties[name]) for name in BEFORE["hubspot"]}
        if vendor == "crm_salesforce":
            path = f"/services/data/v62.0/sobjects/Opportunity/{record_id}?fields={','.join(BEFORE[vendor])}"
            return self._get(path, {"Authorization": f"Bearer {self._salesforce_token}"})
        record: Record = self._get(f"/external/v1/opportunities/{record_id}", {"X-API-Key": self._raze_key})["data"]
        return record

    def _get(self, path: str, headers: dict[str, str]) -> Record:
        request = urllib.request.Request(self._url + path, headers=headers)  # loopback only
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            body: Record = json.loads(answer.read(), parse_float=Decimal)
        return body


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener without the user's proxies: everything is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
