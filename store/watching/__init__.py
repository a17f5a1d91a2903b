"""Watching for changes of records."""

INTERVAL_SECONDS = 0.05
"""Between two looks for changes."""
