"""What users test their own DAGs with. Imports nothing: every pytest run loads the plugin in here."""
