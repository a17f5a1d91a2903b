"""Maintenance: verify, inspect, backup, compact, recover, upgrade, export raw."""
