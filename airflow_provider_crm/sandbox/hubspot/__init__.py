"""A local HubSpot."""
