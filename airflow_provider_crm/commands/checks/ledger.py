"""Check the ledger: where it is, whether it can be read and written, and its version. Nothing here changes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowException
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_crm.commands.checks.clocks import clock_result
from airflow_provider_crm.commands.checks.result import CheckResult, ok, problem, warning
from airflow_provider_crm.database.dialects import dialect_of
from airflow_provider_crm.database.mounts import network_file_system
from airflow_provider_crm.database.schema import VERSION
from airflow_provider_crm.database.versions import stored_version
from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.hooks.ledger import DEFAULT_LEDGER, ledger_database
from airflow_provider_crm.queries.database import read_only

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

    from airflow_provider_crm.clock import Clock
    from airflow_provider_crm.database.database import Database

_SHARED = "Set [crm] ledger_conn_id (AIRFLOW__CRM__LEDGER_CONN_ID) to a connection to PostgreSQL, for all machines."
_LOCAL = "LocalExecutor"


class LedgerCheck:
    """The checks of one ledger.

    Args:
        ledger_conn_id: Connection to its database, or `DEFAULT_LEDGER`.
        clock: The time of this machine.

    Attributes:
        engine: Reads the ledger; None before the checks, and if there is none that this version can read.
    """

    def __init__(self, ledger_conn_id: str, clock: Clock) -> None:
        self._ledger_conn_id = ledger_conn_id
        self._clock = clock
        self.engine: Engine | None = None
        self._opened: Engine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.dispose()

    def results(self) -> Iterator[CheckResult]:
        """Check the ledger from the outside to the inside; the first problem ends it."""
        try:
            database = ledger_database(self._ledger_conn_id)
        except ConfigurationError as err:
            yield problem("ledger", str(err), _SHARED)
            return
        except AirflowException as err:
            yield problem("ledger", f"The ledger's connection cannot be read: {err}.", self._connection_cure())
            return
        assert database is not None  # noqa: S101 - a name was given
        yield from self._place(database)
        if not database.dialect.exists(database.engine.url):
            yield _not_there(database)
            return
        self._opened = engine = read_only(database.engine)
        try:
            with engine.connect() as connection:
                yield from self._contents(connection, engine)
        except SQLAlchemyError as err:
            cause = str(getattr(err, "orig", None) or err).strip().splitlines()[0]
            yield problem("ledger", f"The ledger's database cannot be read: {cause}.", self._reach_cure())

    def _place(self, database: Database) -> Iterator[CheckResult]:
        """Check that all workers find the same database, if it is a file."""
        path = database.dialect.file_of(database.engine.url)
        executor = conf.get("core", "executor", fallback=_LOCAL)
        if path is not None and executor != _LOCAL:
            sentence = f"The ledger is the file {path}, and with {executor} each machine may have a file of its own."
            yield warning("ledger", sentence, _SHARED)
        kind = None if path is None else network_file_system(path)
        if kind is not None:
            sentence = f"The ledger {path} is on a network file system ({kind}), where SQLite can lose what it wrote."
            yield warning("ledger", sentence, f"Put it on a disk of this machine. {_SHARED}")

    def _contents(self, connection: Connection, engine: Engine) -> Iterator[CheckResult]:
        found, name = stored_version(connection), _name(engine)
        if found is None:
            yield ok("ledger", f"{name} is reachable and has no ledger yet; the first run of a task makes it.")
        elif found > VERSION:
            sentence = f"The ledger is of version {found}, and this package knows up to {VERSION}."
            yield problem("ledger", sentence, "Upgrade airflow-provider-crm here to the version that the others have.")
        elif found < VERSION:
            sentence = f"The ledger is of version {found}, this package needs {VERSION}; pages and commands wait."
            yield warning("ledger", sentence, "Let a task run, which migrates it; make a backup before.")
        else:
            self.engine = engine
            yield ok("ledger", f"{name} is reachable and has a ledger of version {found}.")
        dialect = dialect_of(connection)
        if refusals := dialect.write_refusals(connection):
            yield _not_writable(refusals)
        now = dialect.now(connection)
        if now is not None:
            yield clock_result("the ledger's database", (now - self._clock.now()).total_seconds())

    def _connection_cure(self) -> str:
        name = self._name_of_connection()
        return f"Create the connection {name}: airflow connections add, or set AIRFLOW_CONN_{name.upper()}."

    def _reach_cure(self) -> str:
        return f"Start its server, or correct the connection {self._name_of_connection()}; then run this again."

    def _name_of_connection(self) -> str:
        if self._ledger_conn_id != DEFAULT_LEDGER:
            return self._ledger_conn_id
        return conf.get("crm", "ledger_conn_id", fallback="") or "crm_ledger"


def _not_there(database: Database) -> CheckResult:
    """Say that there is no file yet; the first run makes it, if it may."""
    path = database.dialect.file_of(database.engine.url)
    assert path is not None  # noqa: S101 - only a file is known to be missing
    if not os.access(path.parent, os.W_OK):
        return _not_writable([f"{path.parent} is missing, or this user may not write there"])
    return ok("ledger", f"There is no ledger yet; the first run of a task makes it: {path}.")


def _not_writable(refusals: Sequence[str]) -> CheckResult:
    sentence = f"The ledger cannot be written: {'; '.join(refusals)}."
    return problem("ledger", sentence, "Give the user of the tasks the right to write there.")


def _name(engine: Engine) -> str:
    """Return the database's name for people, without user and password."""
    url = engine.url
    host = url.host or url.query.get("host")
    return f"{engine.dialect.name}: {url.database} on {host}" if host else f"{engine.dialect.name}: {url.database}"
