"""Give every claim a bench: a running sandbox of the vendor, and a session with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.testing.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_crm.testing.subject import Subject
    from airflow_provider_crm.vendors.calls import Call


class Claims:
    """Some claims about a vendor.

    Attributes:
        subject: The vendor, described; the test class of a vendor sets it.
    """

    subject: ClassVar[Subject]

    @pytest.fixture
    def bench(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
        """Run the vendor's sandbox for one test."""
        with Sandbox(apis=[self.subject.sandbox_api]) as sandbox:
            yield Bench(self.subject, sandbox, monkeypatch)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run the claims about one field for each field that has an example."""
        if "field_name" in metafunc.fixturenames:
            metafunc.parametrize("field_name", self.subject.values)

    def example_calls(self, bench: Bench, record_id: str, field_name: str) -> tuple[Call, ...]:
        """Return the calls that write the example of a field; skip the test if there are none."""
        calls = bench.calls(record_id, {field_name: self.subject.values[field_name].value})
        if not calls:
            pytest.skip(f"{field_name} is only checked, and never sent")
        return calls
