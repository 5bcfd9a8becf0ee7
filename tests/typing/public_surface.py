"""What a type checker says of the code that users write; mypy reads this file, nothing runs it.

An accepted call has its type asserted. A refused one carries `type: ignore` with the error's code: under `--strict`, an
ignore that ignores nothing is an error itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_type

import pandas as pd
import requests
from airflow.sdk import XComArg

from airflow_provider_crm.assets import OPPORTUNITIES, account_of, create_asset
from airflow_provider_crm.exceptions import ConfigurationError, CrmError, RejectedError, TransientError
from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.hooks.close import CloseHook
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.hooks.raze import RazeHook
from airflow_provider_crm.notifications.failure_text import failure_text
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.report import SyncReport
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

FIELDS = {"arr": "deal_value", "won_at": "date_won"}


def operators() -> None:
    """Every operator takes its rows, and the arguments of all."""
    UpdateOpportunityOperator(
        task_id="frame",
        crm_conn_id="close_default",
        data=pd.DataFrame({"id": ["oppo_1"], "arr": [Decimal("17.50")]}),
        id_column="id",
        fields=FIELDS,
        timezone="America/New_York",
        max_rejected=0.01,
        guardrails=Guardrails(max_changed_fraction=0.2, max_total_delta=Decimal(10_000)),
        retries=3,
        outlets=[OPPORTUNITIES],
    )
    UpdateOpportunityOperator(task_id="apply", crm_conn_id="close_default", plan="plan", digest="digest")
    plan = PlanOpportunityUpdatesOperator(
        task_id="plan", crm_conn_id="raze_default", data="s3://bucket/deals.parquet", id_column="id", fields=FIELDS
    )
    assert_type(plan.output, XComArg)
    RevertOpportunityUpdatesOperator(
        task_id="undo", crm_conn_id="close_default", run_key="dag/task/run", plan_only=True
    )
    SqlToOpportunityOperator(
        task_id="sql",
        sql="SELECT id, arr, won_at FROM deals",
        sql_conn_id="warehouse",
        crm_conn_id="close_default",
        id_column="id",
        fields=FIELDS,
        nulls={"arr": "error"},
    )


def hooks() -> None:
    """A hook gives its session, records and frames."""
    hook = CloseHook("close_default")
    assert_type(hook.get_conn(), requests.Session)
    assert_type(hook.base_url, str)
    assert_type(CrmHook.for_connection("close_default"), CrmHook)
    assert_type(hook.test_connection(), tuple[bool, str])
    RazeHook(17)  # type: ignore[arg-type]


def reports(xcom: dict[str, Any]) -> None:
    """A report comes out of XCom and goes into a frame."""
    report = SyncReport.from_dict(xcom)
    assert_type(report, SyncReport)
    assert_type(report.to_frame(), pd.DataFrame)
    assert_type(report.outcomes, dict[str, int])
    report.rows = 2  # type: ignore[misc]
    assert_type(failure_text(xcom), str)


def guardrails() -> None:
    """Limits are keyword arguments of known names."""
    Guardrails(min_rows=1, max_rows=10)
    Guardrails(1)  # type: ignore[call-arg]
    Guardrails(max_row=1)  # type: ignore[call-arg]


def errors() -> None:
    """One error stands for all; each says what a caller needs."""
    try:
        CloseHook().get_conn()
    except RejectedError as err:
        assert_type(err.record_id, str | None)
        assert_type(err.field_errors, dict[str, str])
    except TransientError as err:
        assert_type(err.retry_after, float | None)
    except ConfigurationError as err:
        assert_type(err.code, str)
    except CrmError as err:
        assert_type(err.status, int | None)


def assets() -> None:
    """An asset is named by the account."""
    assert_type(account_of(create_asset(account="close:api.close.com:orga_1").uri), str)


def sandbox() -> None:
    """A sandbox is a context manager that gives connections."""
    with Sandbox() as crm:
        assert_type(crm, Sandbox)
        assert_type(crm.connection_uris(), dict[str, str])
        assert_type(crm.url, str)
