"""Read dates that Python cannot represent: `infinity`, years beyond 9999 and before Christ, which PostgreSQL has.

PostgreSQL's drivers raise for such a value in the middle of a chunk, and name neither the row nor the column. Here it
becomes the text that the server sent, so that its row is refused as any row with a wrong date, and the others are
written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_crm.exceptions import ConfigurationError

# Date, timestamp and timestamptz, with the names of their readers in psycopg2.
_OIDS = {1082: "PYDATE", 1114: "PYDATETIME", 1184: "PYDATETIMETZ"}


def keep_unreadable_dates(cursor: Any, driver: str) -> None:  # noqa: ANN401 - of any driver
    """Let a cursor return text for dates and times that the driver cannot read.

    Args:
        cursor: Before its statement is executed; only cursors of psycopg 2 and 3 need it.
        driver: Name of the driver's package.
    """
    if driver == "psycopg2":
        _keep_in_psycopg2(cursor)
    elif driver == "psycopg":
        _keep_in_psycopg(cursor)


def fetched(cursor: Any, rows: int, before: int) -> Any:  # noqa: ANN401 - of any driver
    """Fetch the next rows.

    Args:
        cursor: After its statement was executed.
        rows: Maximum number of rows.
        before: Number of rows that were fetched already.

    Raises:
        ConfigurationError: The driver cannot read one of their values; it names the columns and the remedy.
    """
    try:
        return cursor.fetchmany(rows)
    except Exception as err:
        if not _is_about_a_value(err):
            raise
        names = ", ".join(str(column[0]) for column in cursor.description or ())
        msg = (
            f"The database's driver cannot read a value in row {before} or one of the {rows - 1} after it "
            f"({type(err).__name__}: {err}); the columns are {names}. The usual cause is a date that Python has none "
            "for, such as infinity or one of the year 15000: cast dates to text in the sql, and each such row is "
            "refused by itself."
        )
        raise ConfigurationError(msg) from err


def _is_about_a_value(err: Exception) -> bool:
    """Return whether the driver itself failed on a value; an error of the server has a code."""
    names = {kind.__name__ for kind in type(err).__mro__}
    from_server = getattr(err, "sqlstate", None) or getattr(err, "pgcode", None)
    return isinstance(err, (ValueError, OverflowError)) or ("DataError" in names and not from_server)


def _keep_in_psycopg2(cursor: Any) -> None:  # noqa: ANN401 - psycopg2 is no dependency
    from psycopg2 import extensions  # type: ignore[import-untyped, unused-ignore]

    def or_text(read: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401 - a type of psycopg2's
        def value(text: Any, of: Any) -> Any:  # noqa: ANN401 - psycopg2's
            try:
                return read(text, of)
            except ValueError:
                return text

        return value

    for oid, reader in _OIDS.items():
        kind = extensions.new_type((oid,), f"{reader}_OR_TEXT", or_text(getattr(extensions, reader)))
        extensions.register_type(kind, cursor)


def _keep_in_psycopg(cursor: Any) -> None:  # noqa: ANN401 - psycopg is no dependency
    from psycopg import DataError  # type: ignore[import-not-found, unused-ignore]
    from psycopg.adapt import Loader  # type: ignore[import-not-found, unused-ignore]
    from psycopg.pq import Format  # type: ignore[import-not-found, unused-ignore]

    def or_text(inner: Any) -> type[Any]:  # noqa: ANN401 - a class of psycopg's, in C or Python
        class OrText(Loader):  # type: ignore[misc, unused-ignore]
            def __init__(self, oid: int, context: Any = None) -> None:  # noqa: ANN401 - psycopg's
                super().__init__(oid, context)
                self._load = inner(oid, context).load

            def load(self, data: Any) -> Any:  # noqa: ANN401 - psycopg's
                try:
                    return self._load(data)
                except DataError:
                    return bytes(data).decode()

        return OrText

    for oid in _OIDS:
        cursor.adapters.register_loader(oid, or_text(cursor.adapters.get_loader(oid, Format.TEXT)))
