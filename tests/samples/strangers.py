"""Records of others: two keys, and values that a decoder with restrictions must not make by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

MINE = b"the key of these tests"
THEIRS = b"the key of somebody else"
FOREIGN_KEY = "ignore:.*sealed with a key"  # the warning at open, which is not what a test is about


class Point:
    """A class that no program allowed."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is Point and other.x == self.x

    __hash__ = None  # type: ignore[assignment]


class Marker:
    """Makes a folder when it is unpickled in full: the sign that code of the record ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)
