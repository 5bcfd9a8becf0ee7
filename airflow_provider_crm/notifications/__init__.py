"""Texts for callbacks and notifiers."""
