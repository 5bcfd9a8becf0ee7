"""Limit what a run may change, and measure the change."""

from airflow_provider_crm.guardrails.limits import Guardrails

__all__ = ["Guardrails"]
