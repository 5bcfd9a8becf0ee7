"""Make the opportunities of one account an asset of Airflow: `crm://<account>/opportunity`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from airflow.sdk import Asset, AssetAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.sdk import Context

OPPORTUNITIES = AssetAlias("crm_opportunities")
"""Outlet for a task whose account, and so its asset, is known at run time only.

Airflow 3.3 fails tasks that add one new asset through an alias at the same time, so no operator has it by default.
"""

_PATH = "/opportunity"


def create_asset(*, account: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an account's opportunities.

    Args:
        account: The account as in the report and the ledger: vendor, host and organization, such as
            `acme:api.acme.example:org_1`.
        extra: The extra of the asset itself.
    """
    return Asset(uri=f"crm://{quote(account, safe=':')}{_PATH}", extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Accept `crm://<account>/opportunity` only; Airflow calls this for each asset of the scheme.

    Raises:
        ValueError: The URI has another form.
    """
    if not uri.netloc or uri.path != _PATH or uri.query:
        msg = f"{uri.geturl()!r} is no asset of a CRM; write 'crm://<account>/opportunity', account as in a report."
        raise ValueError(msg)
    return uri


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> Dataset:  # noqa: ARG001 - part of Airflow's interface
    """Return the dataset that the operators name as their output, for lineage from the outlets of other tasks."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return Dataset(namespace=f"crm://{urlsplit(asset.uri).netloc}", name=_PATH.strip("/"))


def account_of(uri: str) -> str:
    """Return the account that the URI of an asset names."""
    return unquote(urlsplit(uri).netloc)


def announce(context: Context, outlets: Iterable[object], *, account: str, extra: dict[str, Any]) -> None:
    """Announce to Airflow that opportunities of an account were written, when the task succeeds.

    Args:
        context: Airflow's context.
        outlets: The outlets of the task. If the account's asset is among them, the extra goes with its event; if the
            alias is, the event comes through it; else nothing is announced.
        account: The account, as the report has it.
        extra: Run key and counts.
    """
    asset = create_asset(account=account)
    named = next((outlet for outlet in outlets if isinstance(outlet, Asset) and outlet.uri == asset.uri), None)
    if named is not None:
        context["outlet_events"][named].extra.update(extra)
    elif OPPORTUNITIES in outlets:
        context["outlet_events"][OPPORTUNITIES].add(asset, extra=extra)
