"""Sentinels: arguments that no value of a program can be confused with. As enum members they read well in `help`.

Each is the one member of a class of its own, which annotations name and type checkers narrow by.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Sentinel(Enum):
    """Is shown by its name; survives pickling and copying as itself."""

    def __repr__(self) -> str:
        return self.name


class Missing(Sentinel):
    """No default was given."""

    MISSING = "missing"


class Unset(Sentinel):
    """Left out, so that the store's own applies."""

    UNSET = "unset"


class Absent(Sentinel):
    """What `put` expects where there must be no record of that name."""

    ABSENT = "absent"


MISSING: Final = Missing.MISSING
UNSET: Final = Unset.UNSET
ABSENT: Final = Absent.ABSENT
