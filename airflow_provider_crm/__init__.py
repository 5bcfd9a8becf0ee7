"""Airflow provider that pushes warehouse values into CRM opportunities."""

__version__ = "0.1.0"
