"""The floor of every read: `pickle.loads` of the same bytes, which lie in memory already."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..session import PROTOCOL
from . import IN_MEMORY, Defaults, Kind, Pairs

LABEL = "pickle.loads"


class Loads(Defaults):
    """`names` of it are the bytes themselves: a look-up by name would be a cost that is not pickle's."""

    get = staticmethod(pickle.loads)

    def __init__(self, folder: Path) -> None:
        self.bodies: list[bytes] = []

    def set(self, name: str, value: Any) -> None:
        raise NotImplementedError

    def bulk(self, pairs: Pairs) -> None:
        self.bodies = [pickle.dumps(value, PROTOCOL) for _, value in pairs]

    transaction = bulk

    def items(self) -> Iterable[tuple[str, Any]]:
        raise NotImplementedError

    def close(self) -> None:
        pass


KINDS = (Kind(LABEL, IN_MEMORY, Loads, only=frozenset({"get"}), note="bytes in memory: the floor"),)
