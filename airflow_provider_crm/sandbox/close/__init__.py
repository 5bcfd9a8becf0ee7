"""A local Close."""
