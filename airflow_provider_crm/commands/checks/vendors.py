"""Check that all installed vendors can be used."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem
from airflow_provider_crm.vendors import VENDORS, problems

_CURE = "Install one distribution that has the vendor, in a version that fits."


def vendor_checks() -> Iterator[CheckResult]:
    """Check the vendors of all distributions."""
    for text in problems().values():
        sentence, _, cure = text.rpartition(". ")
        yield problem("vendors", f"{sentence}." if sentence else text, cure or _CURE)
    yield ok("vendors", f"Connections can be of type {', '.join(VENDORS)}.")
