"""The names of diskcache that stand for no value: `ENOVAL` and `UNKNOWN`."""

from __future__ import annotations


class Constant:
    """A value that is only equal to itself, also in another process: it is pickled by its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name


ENOVAL = Constant("ENOVAL")
"""The default that no value is equal to: `cache.get(key, default=ENOVAL)`."""
UNKNOWN = Constant("UNKNOWN")
"""A key that is not known yet."""
CONSTANTS = {constant.name: constant for constant in (ENOVAL, UNKNOWN)}
