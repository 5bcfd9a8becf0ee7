"""What the CRM acknowledged, and which run is writing which record."""
