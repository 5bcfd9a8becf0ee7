"""The CRM page inside the Airflow UI: what the ledger knows, for people; it reads and never writes."""
