"""Build addresses on the pages, in Airflow and in the CRMs; they are right under any path prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow_provider_crm.exceptions import InvalidValueError
from airflow_provider_crm.vendors import VENDORS

if TYPE_CHECKING:
    from airflow_provider_crm.queries.run_keys import RunKey

# An account of the ledger is vendor:host[:port]:organization, see `client.account.Account.key`.
_ACCOUNT = re.compile(r"(?P<vendor>[^:]*):(?P<host>(\[[^\]]*\]|[^:\[]+)(:\d+(?=:))?):(?P<organization>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses under one prefix.

    Attributes:
        page: Path under which the pages are served, without a slash at the end.
        airflow: Path under which Airflow is served, without a slash at the end.
    """

    page: str
    airflow: str

    def of(self, name: str, **parameters: object) -> str:
        """Return the address of a page with its parameters; those without a value are left out."""
        given = {key: value for key, value in parameters.items() if value not in (None, "")}
        return f"{self.page}/{name}" + (f"?{urlencode(given)}" if given else "")

    def question(self, key: RunKey) -> str:
        """Return the address in Airflow at which a person answers the question of a task instance."""
        return f"{self.task(key)}/required_actions"

    def dag(self, dag_id: str) -> str:
        """Return the address of Airflow's page of a Dag."""
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}"

    def task(self, key: RunKey) -> str:
        """Return the address of Airflow's page of the task instance, with its log."""
        parts = (quote(part, safe="") for part in (key.dag_id, key.run_id, key.task_id))
        path = "{}/dags/{}/runs/{}/tasks/{}".format(self.airflow, *parts)
        return f"{path}/mapped/{key.map_index}" if key.map_index >= 0 else path


def vendor_name(account: str) -> str:
    """Return the name for people of an account's CRM."""
    name = account.partition(":")[0]
    vendor = VENDORS.get(name)
    return name if vendor is None else vendor.display_name


def crm_record_url(account: str, record_id: str) -> str | None:
    """Return the address of an opportunity in the CRM's own pages; None where it is not known, as for a sandbox.

    Args:
        account: The account's name in the ledger; its vendor may be of a distribution that is gone.
        record_id: The vendor's id.
    """
    parts = _ACCOUNT.match(account)
    vendor = VENDORS.get(parts["vendor"]) if parts else None
    if parts is None or vendor is None:
        return None
    try:
        return vendor.record_url(f"https://{parts['host']}", parts["organization"], record_id)
    except InvalidValueError:  # a row was rejected because its id is none
        return None
