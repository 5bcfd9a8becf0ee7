"""Operators that bring rows from elsewhere."""
