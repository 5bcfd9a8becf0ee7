"""The values that the CRM acknowledged, and the runs that are writing records."""
