"""One task's run: from its arguments and Airflow's context to its report."""
