"""Where the ledger is: from an Airflow connection to an engine."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from airflow_provider_crm.database.database import Database
from airflow_provider_crm.exceptions import ConfigurationError, LedgerUnavailableError
from airflow_provider_crm.hooks.ledger import field_hashes, hashed_keys, ledger_database
from airflow_provider_crm.values.opportunity import Field


@pytest.fixture
def connect(monkeypatch):
    """Define the ledger's connection, as a URI or as parts, and open it."""

    def engine(settings):
        monkeypatch.setenv(
            "AIRFLOW_CONN_CRM_LEDGER",
            settings if isinstance(settings, str) else json.dumps(settings),
        )
        return ledger_database("crm_ledger").engine

    return engine


def test_a_socket_in_the_query_of_a_uri_is_used(connect, new_database):
    """`?host=` names a socket, which Airflow's own engine would leave out."""
    url = new_database()
    engine = connect(f"postgres://{url.username}@/{url.database}?host={url.query['host']}&application_name=crm")
    with engine.connect() as connection:
        settings = connection.execute(sa.text("SELECT current_database(), current_setting('application_name')")).one()
    engine.dispose()
    assert tuple(settings) == (url.database, "crm")


def test_the_encryption_that_a_connection_asks_for_is_not_left_out(connect, new_database):
    """The extra counts as it does for Airflow's own connections; what is meant for engines comes first."""
    settings = {"conn_type": "postgres", "host": "db.example.com", "schema": "crm", "login": "u"}
    engine = connect(
        {**settings, "extra": {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "cursor": "dictcursor"}}
    )
    assert dict(engine.url.query) == {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    query = {"sqlalchemy_query": {"sslmode": "require"}}
    assert dict(connect({**settings, "extra": query}).url.query) == {"sslmode": "require"}
    assert dict(connect({**settings, "extra": {"sslmode": "disable", **query}}).url.query) == {"sslmode": "require"}


@pytest.mark.parametrize("kind", ["mysql", "http"])
def test_another_kind_of_database_is_refused_by_name(connect, kind):
    """Also where no provider for it is installed."""
    with pytest.raises(ConfigurationError, match=f"cannot be stored in {kind}; name a connection to PostgreSQL or"):
        connect(f"{kind}://user:password@host/db")


@pytest.mark.parametrize(
    ("url", "database_name"),
    [
        ("sqlite:////no/such/folder/ledger.db", r"\(sqlite, /no/such/folder/ledger.db\)"),
        ("postgresql+psycopg2://user:secret@127.0.0.1:1/crm?sslpassword=secret", r"\(postgresql, crm on 127.0.0.1\)"),
        ("postgresql+psycopg2://user:secret@/crm?host=/no/such", r"\(postgresql, crm on /no/such\)"),
    ],
    ids=["file", "host", "socket"],
)
def test_an_error_names_the_database_and_no_secret(url, database_name):
    """The log names the file or the server."""
    database = Database(sa.create_engine(url))
    with pytest.raises(LedgerUnavailableError, match=database_name) as raised, database.transaction():
        pass
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["notes", "note"])
def test_a_field_is_hashed_by_either_of_its_names(monkeypatch, name):
    """The setting accepts every name of a field that a mapping accepts: no value is stored in clear by mistake."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", f"{name}, custom.cf_a")
    fields = [Field("notes", "note"), Field("note", "note"), Field("deal_value", "value")]
    fields += [Field(f"custom.cf_a{part}", f"custom.cf_a{part}", partial=bool(part)) for part in ("", ".add")]
    keys = hashed_keys({field.name: field for field in fields})
    assert keys & {field.target for field in fields} == {"note", "custom.cf_a", "custom.cf_a.add"}


EMAIL = {"email": Field("email", "email")}


@pytest.fixture
def hash_key(monkeypatch):
    """The key of hashes under some settings of Airflow."""
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", "email")

    def made(*, option="", fernet=""):
        monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_KEY", option)
        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", fernet)
        return field_hashes(EMAIL).key

    return made


def test_the_key_of_hashes_is_the_option_else_derived_from_the_fernet_key(hash_key):
    """The option wins; of several Fernet keys the first one counts, so a rotation changes the key, once."""
    one, two = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    own = hash_key(option="a long random text of mine", fernet=one)
    derived = hash_key(fernet=one)
    assert own == hash_key(option="a long random text of mine", fernet=two)
    assert derived == hash_key(fernet=f"{one},{two}")
    assert len({own.key_id, derived.key_id, hash_key(fernet=f"{two},{one}").key_id}) == 3
    assert derived.secret != one.encode()


def test_without_a_key_nothing_is_hashed(hash_key):
    """The sentence says which setting is missing and how to make its value; a short key is refused."""
    with pytest.raises(
        ConfigurationError, match=r"Airflow has no Fernet key to derive one from. Set \[crm\] ledger_hash_k"
    ):
        hash_key()
    with pytest.raises(
        ConfigurationError, match=r"has fewer than 16 characters. Set \[crm\] ledger_hash_key"
    ) as raised:
        hash_key(option="5ecret")
    assert "5ecret" not in str(raised.value)


def test_no_hashed_field_needs_no_key(monkeypatch):
    """Without `[crm] ledger_hash_fields` there is nothing to set up."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    assert field_hashes(EMAIL).fields == frozenset()
