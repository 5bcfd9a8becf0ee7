"""Read the ledger's tables, and those of Airflow, for the pages."""
