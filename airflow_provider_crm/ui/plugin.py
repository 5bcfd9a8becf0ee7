"""Register the pages with Airflow. Every process of Airflow imports this, so it imports next to nothing itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_provider_crm.hooks.page import page_is_on

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = "crm"


class PagesOnDemand:
    """The pages as an ASGI application that is built for its first request, so that only the API server builds it.

    It is built in a thread, as its imports take longer than Airflow's other requests should wait.
    """

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        app = self._app or await self._built()
        await app(scope, receive, send)

    async def _built(self) -> ASGIApp:
        async with self._building:
            if self._app is None:
                self._app = await asyncio.to_thread(_build)
            return self._app


def _build() -> ASGIApp:
    from airflow_provider_crm.ui.app import make_app

    return make_app()


_APPS: list[Any] = [{"app": PagesOnDemand(), "url_prefix": f"/{_PREFIX}", "name": "CRM"}]
# The addresses have no slash in front: Airflow's own page resolves them against its base, which is right behind a
# reverse proxy as well. Airflow fills in the names in braces.
_VIEWS: list[Any] = [
    {"name": "CRM", "href": f"{_PREFIX}/", "destination": "nav", "url_route": "crm"},
    {
        "name": "CRM",
        "href": f"{_PREFIX}/dag-run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
        "destination": "dag_run",
        "url_route": "crm-dag-run",
    },
    {
        "name": "CRM",
        "href": f"{_PREFIX}/task?dag_id={{DAG_ID}}&run_id={{RUN_ID}}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}",
        "destination": "task_instance",
        "url_route": "crm-task",
    },
]


class CrmPlugin(AirflowPlugin):
    """The pages under `/crm`, in the navigation and as a tab of each Dag run and task instance.

    With `[crm] page = False` it registers nothing. The option is read once: a process loads its plugins at its start.
    """

    name = "crm"
    fastapi_apps: list[Any] = _APPS if page_is_on() else []
    external_views: list[Any] = _VIEWS if page_is_on() else []
