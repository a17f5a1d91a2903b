"""A value in one line, cut at a number of characters: for cells, keys and previews. No code of its class runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from store.web.values.class_names import entry_of, is_a, short_name
from store.web.values.parts import Key, Parts, parts_of
from store.web.values.scalars import scalar_of

MOST_LINE = 80
MOST_PIECES = 60  # parts that one line looks at, however short each is
_DEEP = 4
_BRACKETS: dict[type, Sequence[str]] = {list: "[]", tuple: "()", dict: "{}", set: "{}"}
_INNER: dict[type, Sequence[str]] = {list: "[]", deque: "[]", dict: "{}", set: "{}", frozenset: "{}"}
_BYTES: tuple[Any, ...] = (bytes, bytearray, memoryview)


def line_of(value: Any, most: int = MOST_LINE) -> str:
    """A value as text without line breaks, of at most `most` characters."""
    line = _Line(most)
    line.write(value, ())
    text = "".join(line.pieces)
    return text if len(text) <= most else text[: most - 1] + "…"


def beginning(value: Any, most: int) -> bytes:
    """The first bytes of a `bytes`, `bytearray` or `memoryview`."""
    if is_a(value, memoryview):
        return memoryview.tobytes(value)[:most]
    base: Any = bytes if is_a(value, bytes) else bytearray
    return bytes(base.__getitem__(value, slice(0, most)))


def is_bytes(value: Any) -> bool:
    """Whether a value is shown as bytes."""
    return is_a(value, *_BYTES)


def byte_count(value: Any) -> int:
    """The number of its bytes."""
    if is_a(value, memoryview):
        return int(value.nbytes)
    return bytes.__len__(value) if is_a(value, bytes) else bytearray.__len__(value)


def _named_brackets(value: Any) -> tuple[str, str]:
    """What is around the parts of a subclass, as its `repr` would have it: `deque([` and `])`."""
    inner = next((pair for base, pair in _INNER.items() if is_a(value, base)), ("", ""))
    return f"{short_name(type(value))}({inner[0]}", f"{inner[1]})"


class _Line:
    """The pieces of a line, until there are enough."""

    def __init__(self, most: int) -> None:
        self.pieces: list[str] = []
        self._left = most + 1
        self._parts = MOST_PIECES

    def write(self, value: Any, inside: tuple[int, ...]) -> None:
        """Adds a value that is in the containers of these ids."""
        self._parts -= 1
        scalar = scalar_of(value, max(self._left, 0))
        if scalar is not None:
            self._add(scalar.text)
        elif is_bytes(value):
            self._add(repr(beginning(value, max(self._left, 0))))
        elif id(value) in inside or len(inside) >= _DEEP:
            self._add("…")
        else:
            self._write_parts(value, parts_of(value), (*inside, id(value)))

    def _write_parts(self, value: Any, found: Parts | None, inside: tuple[int, ...]) -> None:
        cls = type(value)
        if found is None:
            self._add(f"<{short_name(cls)}>")
            return
        brackets = entry_of(cls, _BRACKETS) or _named_brackets(value)
        self._add(brackets[0])
        for number, (key, part) in enumerate(found.parts):
            if self._left <= 0 or self._parts <= 0:
                self._add("…")
                break
            if number:
                self._add(", ")
            self._write_key(key, inside)
            self.write(part, inside)
        self._add(",)" if cls is tuple and found.number == 1 else brackets[1])

    def _write_key(self, key: Key, inside: tuple[int, ...]) -> None:
        if key.how == "key":
            self.write(key.content, inside)
            self._add(": ")
        elif key.how == "name":
            self._add(f"{key.content[: max(self._left, 0)]}=")

    def _add(self, piece: str) -> None:
        self.pieces.append(piece)
        self._left -= len(piece)
