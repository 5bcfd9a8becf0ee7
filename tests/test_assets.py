"""The asset of an account's opportunities: its URI, who may use the scheme, and what lineage calls it."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_crm.assets import account_of, convert_asset_to_openlineage, create_asset

ACCOUNTS = ("close:api.close.com:orga_1", "raze:127.0.0.1:8000:raze_default", "raze:host:our CRM/ünlimited?#@x")


def test_the_uri_names_the_account():
    """The account stands in it as in reports and in the ledger."""
    assert create_asset(account="close:api.close.com:orga_1").uri == "crm://close:api.close.com:orga_1/opportunity"


@pytest.mark.parametrize("account", ACCOUNTS)
def test_any_account_has_one(account):
    """Ports, and names that people chose, survive Airflow's own normalization of URIs."""
    asset = create_asset(account=account)
    assert account_of(asset.uri) == account
    assert Asset(asset.uri).uri == asset.uri


def test_airflow_knows_the_scheme():
    """The handler, the factory and the converter are the ones that provider discovery finds."""
    manager = ProvidersManagerTaskRuntime()
    assert manager.asset_factories["crm"] is create_asset
    assert manager.asset_to_openlineage_converters["crm"] is convert_asset_to_openlineage
    assert "crm" in manager.asset_uri_handlers


@pytest.mark.parametrize(
    "uri", ["crm://a/deal", "crm:///opportunity", "crm://a/opportunity?x=1", "crm://a/x/opportunity"]
)
def test_a_wrong_uri_is_refused_where_it_is_written(uri):
    """A DAG that waits for an asset that nothing will ever write does not load; the message has the right form."""
    with pytest.raises(ValueError, match="write 'crm://<account>/opportunity'"):
        Asset(uri)
