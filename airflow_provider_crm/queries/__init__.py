"""Read the ledger's tables, and those of Airflow, for pages and commands; nothing here writes."""
