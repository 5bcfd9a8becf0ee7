"""What users test their Dags with."""
