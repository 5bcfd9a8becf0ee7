"""Hooks: one for each vendor."""
