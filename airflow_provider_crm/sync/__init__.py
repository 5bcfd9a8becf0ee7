"""Run one task: from its arguments and Airflow's context to its report."""
