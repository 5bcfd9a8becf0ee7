"""Hooks of Airflow: one for each vendor."""
