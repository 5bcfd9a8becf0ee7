"""Explain why a task ended before its last row, and decide which errors a retry may cure."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from airflow_provider_crm.exceptions import ConfigurationError, CrmError, LedgerUnavailableError, SourceUnreadableError
from airflow_provider_crm.values.url_credentials import without_credentials

_OF_THE_DATA = frozenset({"ProgrammingError", "DataError", "IntegrityError", "NotSupportedError"})
"""Classes of PEP 249, which drivers share by name only: the statement or its data is wrong. Others are temporary."""
_PERMANENT = (AirflowFailException, UnicodeError)


def source_error(err: Exception, rows: int) -> Exception:
    """Return the error of a source as an error that says what to do.

    | the source raised | a retry may cure it |
    |---|---|
    | `TransientError`; `OSError` of a disk or an object store; `EOFError` of a file that is not whole yet | yes |
    | of a database driver: `OperationalError`, `InterfaceError`, `InternalError`, such as a lost connection | yes |
    | of a database driver: `ProgrammingError`, `DataError`, `IntegrityError`, `NotSupportedError` | no |
    | `ConfigurationError`, such as a malformed line or a missing column; text in another encoding | no |
    | an exception of Airflow's own | it says so itself, and is raised as it is |
    | anything else | yes |

    Args:
        err: The exception that the source raised.
        rows: Number of rows that had been read before.
    """
    if isinstance(err, (AirflowException, LedgerUnavailableError)) or (isinstance(err, CrmError) and rows == 0):
        return err
    when = _when(err, rows)
    # Only the first line of a database's message: the others may show values of the row.
    message = without_credentials(next(iter(str(err).strip().splitlines()), ""))
    if not isinstance(err, CrmError):
        message = f"{type(err).__name__}: {message}" if message else type(err).__name__
    code = err.code if isinstance(err, CrmError) else ""
    if may_succeed_later(err):
        return SourceUnreadableError(f"{when}: {_sentence(message)} A retry reads it again.", code=code)
    code = code or SourceUnreadableError.default_code
    return ConfigurationError(f"{when}: {_sentence(message)} Correct it, then clear the task.", code=code)


def _when(err: Exception, rows: int) -> str:
    if isinstance(err, CrmError) and err.vendor:  # it is the CRM that was asked for the rows' keys
        return f"The keys of the rows could not be looked up after the first {rows:,}"
    if rows == 0:
        return "The source could not be read"
    return f"The source broke after {rows:,} rows, the last that were read"


def may_succeed_later(err: Exception) -> bool:
    """Return whether reading the source again may succeed; see the table of `source_error`."""
    if isinstance(err, ConfigurationError):
        return False
    names = {kind.__name__ for kind in type(err).__mro__}
    return not isinstance(err, _PERMANENT) and _OF_THE_DATA.isdisjoint(names)


def ending(err: BaseException) -> str:
    """Return why a task ends before its last row, as a sentence."""
    if isinstance(err, AirflowTaskTimeout):
        return "The task reached its execution_timeout before all rows were processed."
    if isinstance(err, KeyboardInterrupt):
        return "The task was interrupted before all rows were processed."
    if isinstance(err, (CrmError, SystemExit)):
        return _sentence(str(err))
    message = _sentence(f"{type(err).__name__}: {err}" if str(err) else type(err).__name__)
    return f"The task ended before all rows were processed: {message}"


def _sentence(text: str) -> str:
    """Return the text on one line, with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."
