"""Tools with which users test their Dags."""
