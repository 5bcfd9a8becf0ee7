"""The contract of every vendor, as tests that run over HTTP against the vendor's own sandbox."""

from __future__ import annotations

from airflow_provider_crm.testing.claims.batches import BatchClaims
from airflow_provider_crm.testing.claims.errors import ErrorClaims
from airflow_provider_crm.testing.claims.field_values import FieldClaims
from airflow_provider_crm.testing.claims.lists import ListClaims
from airflow_provider_crm.testing.claims.lost_answers import LostAnswerClaims
from airflow_provider_crm.testing.claims.objects import ObjectClaims
from airflow_provider_crm.testing.claims.rate_limits import RateLimitClaims
from airflow_provider_crm.testing.claims.record_ids import IdClaims
from airflow_provider_crm.testing.claims.signatures import SignatureClaims
from airflow_provider_crm.testing.claims.stages import StageClaims


class VendorContract(
    ObjectClaims,
    FieldClaims,
    StageClaims,
    ListClaims,
    IdClaims,
    LostAnswerClaims,
    ErrorClaims,
    SignatureClaims,
    RateLimitClaims,
    BatchClaims,
):
    """All that the rest of the package relies on in a vendor.

    A test class of a vendor inherits the tests, and sets `subject`:

    ```python
    class TestAcme(VendorContract):
        subject = Subject(...)
    ```

    Nothing waits: the sandbox's clock is the client's, and sleeping moves it. A claim about something that the vendor
    does not have, such as stages or batches, is skipped, with the reason.
    """
