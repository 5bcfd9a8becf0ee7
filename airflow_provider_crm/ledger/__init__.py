"""What the CRM acknowledged, and who is writing which record."""
