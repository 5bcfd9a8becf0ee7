"""Acme CRM for Apache Airflow."""
