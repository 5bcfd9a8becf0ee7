"""Check that Airflow can show the CRM page, and that the page can read the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points

from airflow.sdk.exceptions import AirflowException

from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem, warning
from airflow_provider_crm.exceptions import CrmError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database
from airflow_provider_crm.hooks.page import page_is_on

_GROUP, _NAME, _MODULE = "airflow.plugins", "crm", "airflow_provider_crm.ui.plugin"
_REINSTALL = "Install airflow-provider-crm again with pip, into the environment of the API server, and restart it."


def page_checks(ledger_conn_id: str) -> Iterator[CheckResult]:
    """Check the page as it would be in this environment.

    Args:
        ledger_conn_id: The ledger that the other checks look at.
    """
    points = [one for one in entry_points(group=_GROUP, name=_NAME) if one.module == _MODULE]
    if not points:
        yield problem("page", "Airflow does not find the plugin with the CRM page.", _REINSTALL)
        return
    try:
        points[0].load()
        is_on = page_is_on()
    except Exception as err:  # noqa: BLE001 - whatever a broken installation or option raises
        yield problem(
            "page", f"The plugin with the CRM page cannot be loaded ({type(err).__name__}: {err}).", _REINSTALL
        )
        return
    if not is_on:
        yield ok("page", "The CRM page is off, by [crm] page.")
    elif ledger_conn_id == DEFAULT_LEDGER:
        yield ok("page", "Airflow registers the CRM page, which reads this ledger.")
    else:
        yield from _of_another_ledger(ledger_conn_id)


def _of_another_ledger(ledger_conn_id: str) -> Iterator[CheckResult]:
    """The page reads the configured ledger only, also where tasks name another."""
    cure = f"Set [crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID) to {ledger_conn_id}."
    try:
        mine, other = ledger_database(ledger_conn_id), ledger_database(DEFAULT_LEDGER)
        same = mine is not None and other is not None and mine.engine.url == other.engine.url
    except (CrmError, AirflowException):
        same = False
    if same:
        yield ok("page", "Airflow registers the CRM page, which reads this ledger.")
    else:
        yield warning("page", f"The CRM page reads another ledger than {ledger_conn_id}.", cure)
