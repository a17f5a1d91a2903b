"""Canonical forms: bytes that are the same for equal values in every process."""
