"""Describe in a short text a task that failed, warns or recovered, for callbacks and templates of notifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowException
from jinja2 import pass_context

from airflow_provider_crm.hooks.page import run_page
from airflow_provider_crm.report.report import SyncReport


@pass_context
def failure_text(context: Mapping[str, Any]) -> str:
    """Return the task's name and the counts of its rows, with one row for each of the three commonest reasons.

    A callback calls it with the context; templates call it as a macro of the Dag, without an argument:

    ```python
    DAG(..., user_defined_macros={"failure_text": failure_text})
    on_failure_callback=SmtpNotifier(to=..., html_content="<pre>{{ failure_text() | e }}</pre>")
    ```

    Do not use the text itself as a template: it quotes the vendor, and that quote would be rendered.

    Args:
        context: Airflow's context of a task that failed, or that is to be retried.

    Returns:
        Some lines of plain text, the last of them the address of the run on the CRM page. If the
        task ended before it had a report, the text is Airflow's error.
    """
    ti = context["ti"]
    return _text(context, f"run {ti.run_id}, try {ti.try_number}:", _reason(context))


@pass_context
def warning_text(context: Mapping[str, Any]) -> str:
    """Return the task's name, its warnings, and the counts and commonest reasons of its rows.

    Args:
        context: Airflow's context of a task that succeeded.
    """
    return _text(context, f"warns, run {context['ti'].run_id}:", _report_text(context))


@pass_context
def recovered_text(context: Mapping[str, Any]) -> str:
    """Return the task's name and the counts of its rows.

    Args:
        context: Airflow's context of a task that succeeded after a failure or a warning.
    """
    return _text(context, f"recovered, run {context['ti'].run_id}:", _report_text(context))


def run_address(context: Mapping[str, Any]) -> str:
    """Return the address of the run on the CRM page, which begins with `[api] base_url`; empty without the page.

    Args:
        context: Airflow's context of the task.
    """
    ti = context["ti"]
    return run_page(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)


def _text(context: Mapping[str, Any], what: str, lines: str) -> str:
    ti = context["ti"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    page = run_address(context)
    return f"{ti.dag_id}.{ti.task_id}{index}, {what}\n{lines}" + (f"\n{page}" if page else "")


def _report_text(context: Mapping[str, Any]) -> str:
    """Return the report of a task that succeeded; one that pushes none has no more to say."""
    report = context["ti"].xcom_pull(key="return_value")
    if isinstance(report, Mapping) and "outcomes" in report:
        return SyncReport.from_dict(report).text()
    return "The task succeeded; its log says more."


def _reason(context: Mapping[str, Any]) -> str:
    """Return the task's own error, whose message includes the report's text; else the report."""
    error = context.get("exception")
    if isinstance(error, AirflowException) and str(error):
        return str(error)
    report = context["ti"].xcom_pull(key="return_value")
    if isinstance(report, Mapping) and "outcomes" in report:
        return SyncReport.from_dict(report).failure_text()
    if error:
        return str(error) or type(error).__name__
    return "The task ended before it could report; its log says more."
