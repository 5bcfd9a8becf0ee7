"""Trace a run where Airflow's tracing is on (`[traces] otel_on`): a few spans for each run, none for a row or a call.

Airflow's task runner has made the task's own span the current one, so these are its children. Where tracing is off,
OpenTelemetry's API, which Airflow installs, does nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_crm.report.report import SyncReport


@contextmanager
def span(name: str) -> Iterator[None]:
    """Trace one part of a run; an exception that leaves it is recorded as its error.

    Never use it around a `yield`: spans of the generator's consumer would become its children.

    Args:
        name: The name of the span, as in the manual.
    """
    from opentelemetry import trace

    with trace.get_tracer("airflow_provider_crm").start_as_current_span(name):
        yield


def describe(attributes: Mapping[str, str | float]) -> None:
    """Set attributes of the current span.

    Args:
        attributes: Value by name, without the prefix `crm.`.
    """
    from opentelemetry import trace

    trace.get_current_span().set_attributes({f"crm.{name}": value for name, value in attributes.items()})


def describe_run(report: SyncReport) -> None:
    """Set the result of a run as attributes of the current span."""
    describe(
        {
            "run_key": report.run_key,
            "vendor": report.vendor,
            "account": report.account,
            "rows": report.rows,
            "calls": report.calls,
            "waited": 0.0 if report.budget is None else round(report.budget.waited, 3),
            **{f"rows.{word}": rows for word, rows in report.outcomes.items()},
        }
    )
