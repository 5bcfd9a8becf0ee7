"""How a task ends before it has gone through all rows: what is said of it, and which errors a retry may cure."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from airflow_provider_crm.exceptions import ConfigurationError, CrmError, LedgerUnavailableError, SourceUnreadableError

_OF_THE_DATA = frozenset({"ProgrammingError", "DataError", "IntegrityError", "NotSupportedError"})
"""Classes of PEP 249, which drivers share by name only: the statement or its data is wrong. The others may pass."""
_FOR_GOOD = (AirflowFailException, UnicodeError)


def source_error(err: Exception, rows: int) -> Exception:
    """Return the error of a source as one that says what to do.

    | the source raised | a retry may cure it |
    |---|---|
    | `TransientError`; `OSError` of a disk or an object store; `EOFError` of a file that is not whole yet | yes |
    | of a database driver: `OperationalError`, `InterfaceError`, `InternalError`, such as a lost connection | yes |
    | of a database driver: `ProgrammingError`, `DataError`, `IntegrityError`, `NotSupportedError` | no |
    | `ConfigurationError`, such as a malformed line or a missing column; text in another encoding | no |
    | an exception of Airflow's own | it says so itself, and is raised as it is |
    | anything else | yes |

    Args:
        err: What the source raised.
        rows: Rows that had been read before.
    """
    if isinstance(err, (AirflowException, LedgerUnavailableError)) or (isinstance(err, CrmError) and rows == 0):
        return err
    when = (
        "The source could not be read"
        if rows == 0
        else f"The source broke after {rows:,} rows, the last that were read"
    )
    # Of a database's message only the first line: the others may show values of the row.
    what = next(iter(str(err).strip().splitlines()), "")
    if not isinstance(err, CrmError):
        what = f"{type(err).__name__}: {what}" if what else type(err).__name__
    code = err.code if isinstance(err, CrmError) else ""
    if may_pass(err):
        return SourceUnreadableError(f"{when}: {_sentence(what)} A retry reads it again.", code=code)
    code = code or SourceUnreadableError.default_code
    return ConfigurationError(f"{when}: {_sentence(what)} Mend it, then clear the task.", code=code)


def may_pass(err: Exception) -> bool:
    """Whether reading the source again may go well; see the table of `source_error`."""
    if isinstance(err, ConfigurationError):
        return False
    names = {kind.__name__ for kind in type(err).__mro__}
    return not isinstance(err, _FOR_GOOD) and _OF_THE_DATA.isdisjoint(names)


def ending(err: BaseException) -> str:
    """Return why a task ends in the midst of its rows, as a sentence."""
    if isinstance(err, AirflowTaskTimeout):
        return "The task reached its execution_timeout before it had gone through all rows."
    if isinstance(err, KeyboardInterrupt):
        return "The task was interrupted before it had gone through all rows."
    if isinstance(err, (CrmError, SystemExit)):
        return _sentence(str(err))
    what = _sentence(f"{type(err).__name__}: {err}" if str(err) else type(err).__name__)
    return f"The task ended before it had gone through all rows: {what}"


def _sentence(text: str) -> str:
    """The text on one line, with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."
