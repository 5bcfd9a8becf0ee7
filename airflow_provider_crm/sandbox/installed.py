"""Find the APIs that other installed distributions add to the sandbox."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from airflow_provider_crm.sandbox.api import SandboxApi
from airflow_provider_crm.sandbox.own import own_apis
from airflow_provider_crm.sandbox.state import SandboxState

GROUP = "airflow_provider_crm.sandbox_apis"
"""Entry points of this group name a `SandboxApi`: `acme = "acme_crm.sandbox:ACME"`."""

_log = logging.getLogger(__name__)


def installed_apis() -> tuple[SandboxApi[Any], ...]:
    """Return the package's own APIs and those of the entry points, by their names.

    An API that can't be loaded, or not be served beside those before it, is left out with a warning.
    """
    apis = list(own_apis())
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            api = _load(point)
            SandboxState([*apis, api])
        except Exception as error:  # noqa: BLE001 - code of others may raise anything, and must not stop the sandbox
            reason = f"{type(error).__name__}: {error}"
            _log.warning("The sandbox does not serve %s (%s): %s", point.name, point.value, reason)
        else:
            apis.append(api)
    return tuple(apis)


def _load(point: EntryPoint) -> SandboxApi[Any]:
    api = point.load()
    if not isinstance(api, SandboxApi):
        message = f"it is no SandboxApi, but of the type {type(api).__name__}"
        raise TypeError(message)
    return api
