"""The commands of `airflow crm`, a module each; `cli` declares them, and Airflow imports one when it is run."""
