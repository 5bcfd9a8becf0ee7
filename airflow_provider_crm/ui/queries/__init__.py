"""What reads the tables, and Airflow's own, for the pages."""
