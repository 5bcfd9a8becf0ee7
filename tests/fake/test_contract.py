"""Hold Batchly, in each of its variants, to the contract of every vendor."""

from __future__ import annotations

from airflow_provider_crm.testing import VendorContract
from tests.fake import subjects


class TestBatchly(VendorContract):
    """A vendor whose answers name rows and show values keeps the contract."""

    subject = subjects.BATCHLY


class TestBatchlyMute(VendorContract):
    """A vendor whose answers have the order of the rows and show nothing keeps the contract."""

    subject = subjects.BATCHLY_MUTE


class TestBatchlyFlat(VendorContract):
    """A vendor without stages keeps the contract."""

    subject = subjects.BATCHLY_FLAT
