"""Find the ledger's database, by an Airflow connection or in the Airflow home, and the keys for its secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, conf
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.log import mask_secret

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.values.hidden_values import named_keys

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy.engine import Engine

    from airflow_provider_crm.client.account import Account
    from airflow_provider_crm.client.oauth import Cipher
    from airflow_provider_crm.database.database import Database
    from airflow_provider_crm.database.field_hashes import FieldHashes, HashKey
    from airflow_provider_crm.values.opportunity import Field

DEFAULT_LEDGER = "(the configured ledger)"
FILE_NAME = "crm_ledger.db"
_SHORTEST_HASH_KEY = 16
_MAKE_HASH_KEY = (
    "Set [crm] ledger_hash_key (AIRFLOW__CRM__LEDGER_HASH_KEY), the same for all of Airflow, to what this prints: "
    'python -c "import secrets; print(secrets.token_urlsafe(32))"'
)
_LOCAL_EXECUTORS = frozenset({"LocalExecutor"})


def ledger_database(ledger_conn_id: str | None) -> Database | None:
    """Return the ledger's database; nothing connects to it before it is used.

    Args:
        ledger_conn_id: An Airflow connection to PostgreSQL or SQLite; `DEFAULT_LEDGER` for what `[crm] ledger_conn_id`
            names, else a SQLite file in the Airflow home; None for no ledger.

    Raises:
        ConfigurationError: If workers on several machines would each have a SQLite file of their own, or the database
            is of another kind.
    """
    from airflow_provider_crm.database.database import Database

    if ledger_conn_id is None:
        return None
    if ledger_conn_id == DEFAULT_LEDGER:
        ledger_conn_id = conf.get("crm", "ledger_conn_id", fallback=None)
    return _database_of(ledger_conn_id) if ledger_conn_id else Database.at(_file_of_this_machine())


def keep_changes_days() -> int | None:
    """Return the number of days for which the change log is kept: `[crm] keep_changes_days`; None for ever.

    Raises:
        ConfigurationError: The setting is no whole number from 1.
    """
    text = (conf.get("crm", "keep_changes_days", fallback="") or "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        msg = (
            f"[crm] keep_changes_days is {text!r}; set it to a whole number of days, 1 or more, or leave it empty to "
            "keep all changes. Nothing was deleted."
        )
        raise ConfigurationError(msg)
    return int(text)


def keeps_deal_names() -> bool:
    """Return whether the ledger may keep the names of opportunities: `[crm] keep_deal_names`."""
    return bool(conf.getboolean("crm", "keep_deal_names", fallback=False))


def hashed_fields() -> frozenset[str]:
    """Return the fields whose values the ledger stores as hashes only: `[crm] ledger_hash_fields`."""
    names = conf.get("crm", "ledger_hash_fields", fallback="") or ""
    return frozenset(name.strip() for name in names.split(",") if name.strip())


def hashed_keys(fields: Mapping[str, Field]) -> frozenset[str]:
    """Return the vendor's keys of those fields, by any of their names, also where a part of a list is written.

    Args:
        fields: The account's catalogue.
    """
    return named_keys(hashed_fields(), fields)


def field_hashes(fields: Mapping[str, Field]) -> FieldHashes:
    """Return which of an account's fields the ledger stores as hashes, and with which key.

    Args:
        fields: The account's catalogue.

    Raises:
        ConfigurationError: Fields are to be stored as hashes, and there is no key for them.
    """
    from airflow_provider_crm.database.field_hashes import FieldHashes

    keys, key = hashed_keys(fields), _hash_key()
    if keys and key is None:
        msg = (
            "[crm] ledger_hash_fields stores fields as hashes, which need a key, and Airflow has no Fernet key to "
            f"derive one from. {_MAKE_HASH_KEY}"
        )
        raise ConfigurationError(msg)
    return FieldHashes(
        keys, key
    )  # with a key also where no field is hashed any more, so that stored hashes are compared


def _hash_key() -> HashKey | None:
    """Return the key of `[crm] ledger_hash_key`, else one derived from Airflow's first Fernet key, else None."""
    from airflow_provider_crm.database.field_hashes import HashKey

    own = (conf.get("crm", "ledger_hash_key", fallback="") or "").strip()
    if own:
        mask_secret(own)
        if len(own) < _SHORTEST_HASH_KEY:
            msg = f"The key in [crm] ledger_hash_key has fewer than {_SHORTEST_HASH_KEY} characters. {_MAKE_HASH_KEY}"
            raise ConfigurationError(msg)
        return HashKey(own.encode())
    fernet = (conf.get("core", "fernet_key", fallback="") or "").partition(",")[0].strip()
    return HashKey(fernet.encode()).derived("airflow_provider_crm: hashes of the ledger") if fernet else None


def with_tokens(account: Account, ledger_conn_id: str | None) -> Account:
    """Return the account, with a source of access tokens if its credentials cannot sign calls themselves.

    Raises:
        ConfigurationError: There is no ledger to store the tokens in, or no key to encrypt them with.
    """
    grant = account.vendor.authentication(account.credentials).grant
    if grant is None:
        return account
    from airflow_provider_crm.client.fetched_tokens import FetchedTokens
    from airflow_provider_crm.client.oauth import StoredTokens
    from airflow_provider_crm.clock import Clock

    if not grant.refresh_token:
        return replace(account, tokens=FetchedTokens(account=account, grant=grant, clock=Clock(), hide=mask_secret))
    name = f"Connection {account.name!r} ({account.vendor.display_name})"
    no_ledger = (
        f"{name} signs in by OAuth, and its tokens, which are replaced at every use, are stored in the ledger: name a "
        "connection to its database in [crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID) or as the argument "
        "ledger_conn_id, the same for every task on this connection; or use an API key instead."
    )
    try:
        database = ledger_database(ledger_conn_id)
    except ConfigurationError as err:
        raise ConfigurationError(no_ledger if ledger_conn_id == DEFAULT_LEDGER else str(err)) from err
    if database is None:
        raise ConfigurationError(no_ledger)
    tokens = StoredTokens(database, account=account, grant=grant, cipher=_Fernet(name), clock=Clock(), hide=mask_secret)
    return replace(account, tokens=tokens)


def token_cipher(name: str) -> Cipher:
    """Return the cipher with which the ledger's OAuth tokens are encrypted.

    Args:
        name: Whose tokens they are, for messages.

    Raises:
        ConfigurationError: If Airflow has no valid Fernet key.
    """
    return _Fernet(name)


def encrypt_tokens_again(database: Database) -> int:
    """Encrypt all tokens in the ledger with the first of Airflow's Fernet keys; return the number of rows.

    Raises:
        ConfigurationError: Airflow has no valid key, or a token was encrypted with none of its keys.
        LedgerUnavailableError: The database cannot be used.
    """
    from airflow_provider_crm.client.oauth import encrypt_again

    return encrypt_again(database, _Fernet("The ledger"))


class _Fernet:
    """A cipher with Airflow's Fernet key.

    Args:
        name: Name of the connection whose tokens it encrypts, for messages.

    Raises:
        ConfigurationError: If Airflow has no valid key.
    """

    def __init__(self, name: str) -> None:
        from airflow.sdk.crypto import get_fernet

        self._name = name
        try:
            self._fernet = get_fernet()
        except AirflowException as err:
            raise self._unusable("is no valid key") from err
        if not self._fernet.is_encrypted:
            raise self._unusable("is empty, so tokens would be stored in clear")

    def _unusable(self, why: str) -> ConfigurationError:
        msg = (
            f"{self._name} needs Airflow's Fernet key, and [core] fernet_key (AIRFLOW__CORE__FERNET_KEY) {why}. Make "
            'one, the same for all of Airflow: python -c "from cryptography.fernet import Fernet; '
            'print(Fernet.generate_key().decode())"'
        )
        return ConfigurationError(msg)

    def encrypt(self, text: str) -> str:
        """Return a text that only this key decrypts."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        """Return the text that was encrypted.

        Raises:
            ConfigurationError: If it was encrypted with another key.
        """
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken as err:
            msg = (
                f"{self._name}: its tokens in the ledger were encrypted with another Fernet key. Add that key to "
                "[core] fernet_key, behind a comma; or authorise the OAuth application again and put the new "
                "refresh token into the connection's extra."
            )
            raise ConfigurationError(msg) from err


def _database_of(ledger_conn_id: str) -> Database:
    from airflow_provider_crm.database.database import Database
    from airflow_provider_crm.database.dialects import DIALECTS

    connection = BaseHook.get_connection(ledger_conn_id)
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]  # of Airflow
    except AirflowException as err:  # no installed provider has the type
        raise _wrong_kind(connection.conn_type) from err
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise _wrong_kind(connection.conn_type)
    engine: Engine = hook.get_sqlalchemy_engine()
    dialect = DIALECTS.get(engine.dialect.name)
    if dialect is None:
        raise _wrong_kind(engine.dialect.name)
    return Database(engine) if dialect.is_file else _with_extra(engine, connection, hook)


def _with_extra(engine: Engine, connection: Connection, hook: BaseHook) -> Database:
    """Return the database on the same server, with the options of the connection's extra, such as `sslmode`.

    Airflow's hook passes the extra to connections of its own, and not to engines.
    """
    from airflow_provider_crm.database.database import Database

    ignored = {*getattr(hook, "ignored_extra_options", ()), *engine.url.query}
    options = {name: str(value) for name, value in connection.extra_dejson.items() if name not in ignored}
    return Database.at(engine.url.update_query_dict(options)) if options else Database(engine)


def _wrong_kind(kind: str | None) -> ConfigurationError:
    return ConfigurationError(f"The ledger cannot be stored in {kind}; name a connection to PostgreSQL or SQLite.")


def _file_of_this_machine() -> str:
    """Return the URL of the file in the Airflow home.

    Raises:
        ConfigurationError: Workers on several machines would each have a file of their own.
    """
    executor = conf.get("core", "executor", fallback="LocalExecutor")
    if executor not in _LOCAL_EXECUTORS:
        msg = (
            f"With {executor} the workers need a ledger that they share: name a connection to PostgreSQL in "
            "[crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID) or as the argument ledger_conn_id, or go without by "
            "ledger_conn_id=None: then rows are not compared with earlier runs, and old data can overwrite newer."
        )
        raise ConfigurationError(msg)
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return f"sqlite:///{home / FILE_NAME}"
