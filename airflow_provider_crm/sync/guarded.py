"""Guardrails in the hands of a task that plans: enforced, and reported on the run's page, also where they stop it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.guardrails.limits import hold
from airflow_provider_crm.report.report import SyncReport

if TYPE_CHECKING:
    from airflow_provider_crm.guardrails.limits import Guardrails
    from airflow_provider_crm.guardrails.measure import ImpactEstimate
    from airflow_provider_crm.report.guardrail_check import GuardrailCheck
    from airflow_provider_crm.sync.run_context import RunContext


def held(guardrails: Guardrails, measured: ImpactEstimate, work: RunContext) -> tuple[GuardrailCheck, ...]:
    """What the run would do, beside limits that it keeps.

    Raises:
        ConfigurationError: It would break one. The ledger has a report that says so, of no row: none was written.
    """
    measurements = guardrails.measurements(measured)
    try:
        hold(measurements)
    except ConfigurationError as err:
        if work.ledger is not None:
            report = SyncReport(
                run_key=work.run_key,
                vendor=work.session.account.vendor.name,
                account=work.account,
                rows=0,
                calls=work.session.calls,
                seconds=time.monotonic() - work.began,
                outcomes={},
                guardrails=measurements,
                warnings=tuple(work.warnings),
                ended_early=str(err),
            )
            work.ledger.close(report.to_dict())
        raise
    return measurements
