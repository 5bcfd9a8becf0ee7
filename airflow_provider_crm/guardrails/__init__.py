"""Limits of what a run may change, and how the change is measured."""

from airflow_provider_crm.guardrails.limits import Guardrails

__all__ = ["Guardrails"]
