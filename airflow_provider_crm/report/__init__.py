"""Report the result of a run in plain values."""

from airflow_provider_crm.report.report import SyncReport

__all__ = ["SyncReport"]
