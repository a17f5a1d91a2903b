"""The exceptions and warnings of diskcache."""

from __future__ import annotations


class Timeout(Exception):
    """Another process kept the cache locked for `timeout` seconds; `retry=True` waits on.

    Where the call had removed some records by then, `args[0]` is their number.
    """


class UnknownFileWarning(UserWarning):
    """`check` found a file in the folder that is not of the cache."""


class EmptyDirWarning(UserWarning):
    """`check` found an empty folder."""
