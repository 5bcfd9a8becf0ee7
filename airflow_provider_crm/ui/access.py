"""Decide which rows a user may see: those of Dags that the logged-in user may read.

Airflow's own permission to see plugins is not required: under FAB the roles Viewer and User lack it, though they read
every Dag. It only decides whether Airflow shows the entry in its navigation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from fastapi import Depends

from airflow_provider_crm.queries.run_keys import RunKey


@dataclass(frozen=True, slots=True)
class PageReader:
    """The Dags that one user may read.

    Attributes:
        dags: Ids of the Dags. Rows that an unknown or deleted Dag wrote are shown to no user.
    """

    dags: frozenset[str]

    def may_read(self, run_key: str) -> bool:
        """Return whether the user may see what a run wrote."""
        key = RunKey.parse(run_key)
        return key is not None and key.dag_id in self.dags


class NoReadableDagError(Exception):
    """Error for a user who may read no Dag at all."""


def _reader(user: GetUserDep) -> PageReader:
    manager = get_auth_manager()
    dags = frozenset(manager.get_authorized_dag_ids(user=user, method="GET"))
    if not dags and not manager.is_authorized_dag(method="GET", user=user):
        raise NoReadableDagError
    return PageReader(dags)


def may_read_answers(user: GetUserDep, dag_id: str) -> bool:
    """Return whether the user may see how people answered the approvals of a Dag."""
    return get_auth_manager().is_authorized_dag(
        method="GET",
        access_entity=DagAccessEntity.HITL_DETAIL,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


ReaderDep = Annotated[PageReader, Depends(_reader)]
