"""Hold Batchly, in each of its variants, to the contract of every vendor."""

from __future__ import annotations

import pytest

from airflow_provider_crm.testing import VendorContract
from tests.fake import subjects

not_paced = pytest.mark.xfail(reason="calls are paced by windows that end, and Batchly's slide: some are refused")


class BatchlyContract(VendorContract):
    """The contract, but for the windows that slide."""

    @not_paced
    @pytest.mark.parametrize("kind", ["read", "write", "list"])
    def test_three_windows(self, bench, kind):
        """The calls of three windows fit into three windows, and none is refused."""
        super().test_three_windows(bench, kind)

    @not_paced
    def test_the_cost_of_batches(self, bench):
        """The cost of a call is what the vendor counts: a limit in its units is used up without a refusal."""
        super().test_the_cost_of_batches(bench)


class TestBatchly(BatchlyContract):
    """A vendor whose answers name rows and show values keeps the contract."""

    subject = subjects.BATCHLY


class TestBatchlyMute(BatchlyContract):
    """A vendor whose answers have the order of the rows and show nothing keeps the contract."""

    subject = subjects.BATCHLY_MUTE


class TestBatchlyFlat(BatchlyContract):
    """A vendor without stages keeps the contract."""

    subject = subjects.BATCHLY_FLAT
