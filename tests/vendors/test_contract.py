"""Hold the package's own vendors to the contract of every vendor."""

from __future__ import annotations

from airflow_provider_crm.testing import VendorContract
from tests.vendors import subjects


class TestClose(VendorContract):
    """Close keeps the contract."""

    subject = subjects.CLOSE


class TestRaze(VendorContract):
    """Raze keeps the contract."""

    subject = subjects.RAZE


class TestSalesforce(VendorContract):
    """Salesforce keeps the contract, batches included."""

    subject = subjects.SALESFORCE


class TestHubSpot(VendorContract):
    """HubSpot keeps the contract, batches included."""

    subject = subjects.HUBSPOT
