"""The CRM pages inside the Airflow UI, which show the ledger to people; they read and never write."""
