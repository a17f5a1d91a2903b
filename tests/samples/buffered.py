"""A value with a buffer of its own, as an array has one, and no library."""

from __future__ import annotations

import pickle
from typing import Any


class Buffered:
    """Hands out its data beside the pickle at protocol 5, and keeps what it is given back."""

    def __init__(self, data: Any, note: str = "") -> None:
        self.data = data
        self.note = note

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data), self.note)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buffered) and bytes(self.data) == bytes(other.data) and self.note == other.note

    __hash__ = None  # type: ignore[assignment]
