"""Airflow's API server with the FAB auth manager, two Dags, and a user of each role: `python fab_server.py PORT`."""

from __future__ import annotations

import sys

import uvicorn

DAGS = ("sales_sync", "finance_sync")
PASSWORD = "of-the-tests"
ROLES = {"Viewer": (), "User": (), "Op": (), "Sales": ("DAG:sales_sync",), "Nothing": ("Website",)}
"""Roles by name; those with resources are made here, and may read these and nothing else."""


def add_dags():
    """Write the Dags that there are into Airflow's tables."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(DagBundleModel(name="tests"))
        session.flush()
        session.add_all([DagModel(dag_id=name, bundle_name="tests", relative_fileloc="x.py") for name in DAGS])


def add_users():
    """Make each role of `ROLES` and a user of its name in small letters."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        builder.sm.sync_roles()
        for name, resources in ROLES.items():
            role = builder.sm.find_role(name) or builder.sm.add_role(name)
            for resource in resources:
                builder.sm.add_permission_to_role(role, builder.sm.create_permission("can_read", resource))
            user = name.lower()
            assert builder.sm.add_user(user, user, user, f"{user}@example.com", role, PASSWORD)


def main(port):
    """Fill a migrated database, and serve it."""
    from airflow.api_fastapi.app import create_app

    add_dags()
    add_users()
    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
