"""Maintenance of a file: check, copy, backup, restore, compact."""
