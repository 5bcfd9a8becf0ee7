"""Find the CRM page by Airflow's configuration: whether it is on, and the address of a run on it."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from airflow.sdk import conf


def page_is_on() -> bool:
    """Return whether this Airflow shows the CRM page: `[crm] page`."""
    return conf.getboolean("crm", "page", fallback=True)


def run_page(dag_id: str, run_id: str, task_id: str, map_index: int | None) -> str:
    """Return the address of a task's run on the CRM page, which begins with `[api] base_url`.

    Returns:
        An empty text where the page is turned off. Without a `[api] base_url` the address begins with a slash.
    """
    if not page_is_on():
        return ""
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    task = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": -1 if map_index is None else map_index}
    # Airflow's page shows in its frame any address after `plugin/crm`, including the path prefix of a proxy.
    return f"{base}/plugin/crm{urlsplit(base).path}/crm/task?{urlencode(task)}"
