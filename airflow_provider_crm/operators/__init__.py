"""Operators that write opportunities."""
