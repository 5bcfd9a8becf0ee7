"""Operators that write rows of another system."""
