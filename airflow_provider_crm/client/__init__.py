"""Authenticated HTTP to one account of a CRM."""
