"""The ledger on both databases: every test of it runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from airflow_provider_crm.clock import Clock
from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.field_hashes import FieldHashes, HashKey
from airflow_provider_crm.ledger.claims import DesiredRow, DesiredRows
from airflow_provider_crm.ledger.ledger import Ledger
from airflow_provider_crm.report.combined import combined

from .race import Racer

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.fixture
def engine(any_database):
    """A prepared, empty database."""
    made = Database(sa.create_engine(any_database)).engine
    Database(made).open()
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def racer():
    """The process that starts pushes which may be killed."""
    made = Racer()
    yield made
    made.stop()


@pytest.fixture
def ledger(engine):
    """Make a ledger in the hands of one try of a run."""

    def make(run_key="run", *, lease=60.0, hashed=frozenset(), key=b"key", account="close:test:orga"):
        return Ledger(
            Database(engine),
            combine=combined,
            account=account,
            run_key=run_key,
            lease=lease,
            clock=Clock(),
            hashes=FieldHashes(hashed, HashKey(key)),
        )

    return make


def desired(record_id="oppo_1", *, day=0, **values):
    """A wish of so many days after the first."""
    return DesiredRow(record_id, {key: str(value) for key, value in values.items()}, DAY + dt.timedelta(days=day))


def by_columns(rows):
    """The same rows column by column."""
    keys = {key: None for row in rows for key in row.values}
    values = {key: [row.values.get(key) for row in rows] for key in keys}
    return DesiredRows([row.record_id for row in rows], values, [row.as_of for row in rows])
