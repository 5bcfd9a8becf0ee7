"""Databases of both kinds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database

from . import version_1


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Return the URL of an empty database, of the kinds that version 1 knew."""
    if request.param == "sqlite":
        return sa.make_url(f"sqlite:///{tmp_path / 'ledger.db'}")
    return request.getfixturevalue("empty_database")


@pytest.fixture
def raw(url):
    """Return an engine of an empty database that nothing has prepared."""
    made = sa.create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def old(raw):
    """Return the same engine, with the ledger of version 1."""
    version_1.fill(raw)
    return raw


@pytest.fixture
def database(old):
    """Return the database as the package opens it; nothing is migrated yet."""
    return Database(sa.create_engine(old.url))
