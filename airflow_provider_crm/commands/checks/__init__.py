"""The checks of `airflow crm doctor`, a module for each part of a set-up."""
