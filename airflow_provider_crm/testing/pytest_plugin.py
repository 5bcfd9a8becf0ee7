"""The pytest fixture `crm_sandbox`. Every pytest run loads this, so only the fixture imports the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_crm.sandbox.sandbox import Sandbox


@pytest.fixture
def crm_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a sandbox with every installed API; the Airflow connections `<vendor>_default` lead to it during the test."""
    from airflow_provider_crm.sandbox.installed import installed_apis
    from airflow_provider_crm.sandbox.sandbox import Sandbox

    with Sandbox(apis=installed_apis()) as sandbox:
        for name, value in sandbox.connection_uris().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
        yield sandbox
