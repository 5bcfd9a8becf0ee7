"""An account is renamed in all tables or in none, and its values can be forgotten after a restore of the CRM."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.database.schema import metadata
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.ledger.claims import Verdict
from airflow_provider_crm.ledger.renaming import forget_account, rename_account
from tests.database import version_1

from .conftest import DAY, desired
from .test_overtaken import land

OLD, NEW, OTHER = "close:test:orga", "close:test:renamed", "close:test:other"


@pytest.fixture
def database(engine):
    """The ledger's database."""
    return Database(engine)


def accounts_of(database):
    """The accounts that any table names."""
    with database.transaction() as connection:
        return {
            account
            for table in metadata.sorted_tables
            if "account" in table.c
            for account in connection.execute(sa.select(table.c.account)).scalars()
        }


@pytest.fixture
def written(ledger):
    """An account with a run that wrote one value, and another account."""
    ledger("dag/task/1", account=OTHER).open(DAY)
    run = ledger("dag/task/1")
    run.open(DAY)
    land(run, desired(value=1))
    run.close({})


def test_all_tables_have_the_new_name(any_database):
    """Of a ledger with rows in every table, none has the old name any more; the plan that is open is counted."""
    engine = sa.create_engine(any_database)
    version_1.fill(engine)
    database = Database(engine)
    database.open()
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE crm_field_states SET claimed_until = NULL"))
        connection.execute(sa.text("UPDATE crm_accounts SET account = :old"), {"old": version_1.ACCOUNT})
    others = accounts_of(database) - {version_1.ACCOUNT}
    renamed = rename_account(database, version_1.ACCOUNT, NEW)
    assert accounts_of(database) == others | {NEW}
    assert renamed["open plans"] == 1
    assert {"crm_runs", "crm_tries", "crm_field_states", "crm_changes", "crm_plans", "crm_accounts"} <= renamed.keys()
    engine.dispose()


def test_what_the_account_wrote_is_known_under_the_new_name(written, database, ledger):
    """The same value is unchanged, and older data is stale, as before."""
    rename_account(database, OLD, NEW)
    run = ledger("dag/task/2", account=NEW)
    assert [claim.verdict for claim in run.claim([desired(value=1)])] == [Verdict.UNCHANGED]
    assert [claim.verdict for claim in run.claim([desired(day=-1, value=2)])] == [Verdict.STALE]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("close:test:nobody", NEW, "The ledger knows no account 'close:test:nobody'"),
        (OLD, OTHER, "The ledger has an account 'close:test:other' already"),
        (OLD, "raze:test:orga", "one of the same vendor, as close:host:organization, not 'raze:test:orga'"),
        (OLD, "close:renamed", "one of the same vendor"),
    ],
)
@pytest.mark.usefixtures("written")
def test_a_wrong_name_changes_nothing(database, old, new, message):
    """Accounts are never merged, and no vendor takes another one's records."""
    with pytest.raises(ConfigurationError, match=f"{message}.*Nothing was changed"):
        rename_account(database, old, new)
    assert accounts_of(database) == {OLD, OTHER}


def test_a_run_that_writes_keeps_the_name(written, database, ledger):
    """Its claims would be lost; once they are over, as those of a killed run, the account can be renamed."""
    ledger("dag/task/2").claim([desired("oppo_2", value=1)])
    with pytest.raises(ConfigurationError, match="Run 'dag/task/2' is writing to 'close:test:orga' now; pause its Dag"):
        rename_account(database, OLD, NEW)
    with database.transaction() as connection:
        past = database.now(connection) - dt.timedelta(seconds=1)
        connection.execute(metadata.tables["crm_field_states"].update().values(claimed_until=past))
    assert rename_account(database, OLD, NEW)["crm_runs"] == 1


def test_forgotten_values_are_sent_once_more(written, database, ledger):
    """After a restore of the CRM nobody knows what it holds; data times stay, so that older data stays out."""
    assert forget_account(database, OLD) == 1
    run = ledger("dag/task/2")
    assert [claim.verdict for claim in run.claim([desired(value=1)])] == [Verdict.SEND]
    assert [claim.verdict for claim in run.claim([desired(day=-1, value=1)])] == [Verdict.STALE]
    with pytest.raises(ConfigurationError, match="knows no account 'close:test:nobody'"):
        forget_account(database, "close:test:nobody")
