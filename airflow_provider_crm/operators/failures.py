"""Turn errors of the package, and rows that did not land, into exceptions of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_crm.exceptions import AuthenticationError, ConfigurationError, TransientError
from airflow_provider_crm.values.opportunity import TRANSIENT_FAILURES

if TYPE_CHECKING:
    from airflow_provider_crm.exceptions import CrmError
    from airflow_provider_crm.sync.run_result import RunResult
    from airflow_provider_crm.sync.settings import Settings


def airflow_error(err: CrmError, crm_conn_id: str) -> AirflowException:
    """Return the exception that ends a task which could not go on.

    Args:
        err: The error that ended it.
        crm_conn_id: The connection to name where the vendor refused its key.
    """
    if isinstance(err, ConfigurationError):
        return AirflowFailException(_with_advice(str(err), err, crm_conn_id))
    return AirflowException(str(err))


def failure_of(result: RunResult, settings: Settings) -> AirflowException | None:
    """Return the exception of a task whose rows did not land, or were not read; None if the task succeeds.

    Args:
        result: The result of all rows.
        settings: The arguments of the task.
    """
    report, stopped = result.report, result.stopped
    failed = [word for word in settings.failures if report.count(word)]
    if stopped is None and not settings.tolerance.exceeded(report.count(*failed), report.rows):
        return None
    if isinstance(stopped, AirflowException):
        return stopped
    message = report.failure_text()
    if stopped is not None and report.ended_early is None and not failed:
        message = f"{stopped} {report.summary()}."
    message = _with_advice(message, stopped, settings.crm_conn_id)
    may_succeed_later = isinstance(stopped, TransientError) or not TRANSIENT_FAILURES.isdisjoint(failed)
    if isinstance(stopped, ConfigurationError) or not may_succeed_later:
        return AirflowFailException(message)
    return AirflowException(message)


def _with_advice(message: str, err: Exception | None, crm_conn_id: str) -> str:
    """Add the connection to look at, if the vendor refused its key."""
    refused = isinstance(err, AuthenticationError)
    return f"{message} Check the key in connection {crm_conn_id!r}." if refused else message
