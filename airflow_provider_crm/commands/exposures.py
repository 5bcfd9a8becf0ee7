"""`airflow crm exposures`: the syncs as exposures of dbt, so that its lineage leads into the CRM.

The ledger knows which tasks write and to which account, and Airflow's database knows their owner and the query as they
ran it last. So there is an exposure for each sync that ran, and none for a task that only stands in a file.
"""

from __future__ import annotations

import datetime as dt
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import conf
from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.session import create_session

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.commands.dbt_models import DbtModels
from airflow_provider_crm.commands.endings import one_sentence
from airflow_provider_crm.commands.ledgers import dags_in, readable_ledger
from airflow_provider_crm.commands.printing import print_object
from airflow_provider_crm.queries.syncs import Sync, syncs

_NO_OWNER = "airflow"
_INDEX = re.compile(r"\[\d+\]$")


@suppress_logs_and_warning
def exposures(args: Namespace) -> None:
    """Print the YAML of a properties file of dbt."""
    with one_sentence():
        models = None if args.manifest is None else DbtModels(args.manifest)
        with readable_ledger(args.ledger_conn_id) as connection:
            since = Clock().now() - dt.timedelta(days=args.days)
            found = syncs(connection, dags_in(connection), since)
    print_object({"version": 2, "exposures": list(_exposures(found, models))}, "yaml")


def _exposures(found: Iterable[Sync], models: DbtModels | None) -> Iterator[dict[str, Any]]:
    """Yield an exposure for each task, whatever number of accounts and map indexes it has."""
    accounts: dict[tuple[str, str], set[str]] = {}
    for sync in found:
        accounts.setdefault((sync.dag_id, _INDEX.sub("", sync.task_id)), set()).add(sync.account)
    owners = _owners({dag_id for dag_id, _ in accounts})
    names: set[str] = set()
    for dag_id, task_id in sorted(accounts):
        name = _new_name(f"crm_{dag_id}_{task_id}", names)
        exposure: dict[str, Any] = {
            "name": name,
            "label": f"{dag_id} / {task_id}",
            "type": "application",
            "description": f"Writes to {', '.join(sorted(accounts[dag_id, task_id]))}.",
            "owner": {"name": owners.get(dag_id) or _NO_OWNER},
        }
        if base := (conf.get("api", "base_url", fallback="") or "").rstrip("/"):
            exposure["url"] = f"{base}/dags/{dag_id}/tasks/{task_id}"
        if models is not None and (sql := _last_sql(dag_id, task_id)) is not None:
            exposure["depends_on"] = models.read_by(sql)
        yield exposure


def _new_name(text: str, names: set[str]) -> str:
    """Return a name of letters, digits and underscores that is not taken yet, and take it."""
    plain = name = re.sub(r"\W+", "_", text, flags=re.ASCII)
    number = 1
    while name in names:
        number += 1
        name = f"{plain}_{number}"
    names.add(name)
    return name


def _owners(dag_ids: set[str]) -> dict[str, str | None]:
    """Return the owners of the Dags that Airflow knows."""
    query = sa.select(DagModel.dag_id, DagModel.owners).where(DagModel.dag_id.in_(dag_ids))
    with create_session() as session:
        return {dag_id: owners for dag_id, owners in session.execute(query)}  # noqa: C416 - rows are no pairs for mypy


def _last_sql(dag_id: str, task_id: str) -> str | None:
    """Return the query of a task as it ran last; None for one without a query, or whose runs Airflow has deleted."""
    fields = RenderedTaskInstanceFields
    query = (
        sa.select(fields.rendered_fields)
        .join(DagRun, (DagRun.dag_id == fields.dag_id) & (DagRun.run_id == fields.run_id))
        .where(fields.dag_id == dag_id, fields.task_id == task_id)
        .order_by(DagRun.run_after.desc())
        .limit(1)
    )
    with create_session() as session:
        rendered = session.execute(query).scalar()
    sql = (rendered or {}).get("sql")
    return sql if isinstance(sql, str) else None
