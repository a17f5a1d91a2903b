"""The exceptions and warnings of diskcache."""

from __future__ import annotations


class Timeout(Exception):
    """Another process kept the cache locked for `timeout` seconds; `retry=True` waits on."""


class UnknownFileWarning(UserWarning):
    """`check` found a file in the folder that is not of the cache."""


class EmptyDirWarning(UserWarning):
    """`check` found an empty folder."""
