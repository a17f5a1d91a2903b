"""Rows out of a damaged file, without SQLite."""
