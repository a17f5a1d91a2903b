"""A value as text, in bounded time and memory, whatever the value is made of.

A list that holds the same list twice, which holds another one twice, and so on 40 times over, is a few hundred bytes
in memory and in a file, and a terabyte as text. So a value is measured before its `repr` is asked for: by identity,
which takes as long as the value is large, and not as long as its text would be.
"""

from __future__ import annotations

import gc
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

MOST_TEXT = 10_000_000  # characters that any value may take; more only where so much is in it
MOST_TIMES = 8  # how much longer than what is in a value its text may be: a string of its own is often there twice
MOST_DEEP = 6  # containers in containers of what is too large to be shown
MOST_PATHS = 200_000  # ways through a value that holds itself: its text is written along each of them
MOST_DIGITS = 4300  # Python's own limit: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
_MOST = 1 << 62  # counts end here: those of a tower of a million lists would be numbers of a million bits
_EDGE = 16  # characters for each part of a container: a comma, a bracket, the name of an attribute
_SMALL = 100_000  # characters
_SHORT = 64  # characters of a str that counts wherever it is: it is hardly longer than the way to it
_WORD = 1 << 60
_FIXED: frozenset[Any] = frozenset({type(None), bool, float, type(...)})
_INERT = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, FrameType, TracebackType)
_BYTES = (bytes, bytearray, memoryview)
_BRACKETS: dict[Any, str] = {list: "[]", tuple: "()", dict: "{}", set: "{}"}
_SCALARS = (type(None), bool, float, complex)


@dataclass(frozen=True, slots=True)
class Size:
    """What a value comes to.

    `items` are the objects in it and `text` the characters of its text, those counted that are in several places in
    it as often as they are; `held` is what its text would be if each were in one place.
    """

    items: int
    text: int
    held: int

    @property
    def is_too_large(self) -> bool:
        """Whether its text is far longer than what is in it."""
        return self.text > max(MOST_TEXT, MOST_TIMES * self.held)


def size_of(value: Any) -> Size:
    """How much text a value takes, found in a time that depends on the objects in it alone."""
    walk = _Walk()
    items, text = walk.measure(value)
    if walk.has_cycles and text <= max(MOST_TEXT, MOST_TIMES * walk.held):
        items, text = _paths(value, items, text)
    return Size(items, text, walk.held)


def too_large(value: Any) -> str:
    """How many items its text would have, as `1,099,511,627,775 items`; empty where the text is not too large."""
    if _is_small(value):
        return ""
    size = size_of(value)
    if not size.is_too_large:
        return ""
    more = "more than " if size.items >= _MOST else ""
    return f"{more}{size.items:,} items"


def in_full(value: Any) -> str:
    """The `repr` of a value; the beginning of it where that would be far longer than what is in the value.

    Raises: Exception: whatever the `__repr__` of a class raises.
    """
    items = too_large(value)
    return f"{_written(value, 1000, MOST_DEEP)}… (too large to show: {items})" if items else repr(value)


def shown(value: Any, most: int = 60) -> str:
    """A value in a message: its `repr`, of which at most so many characters."""
    if type(value) is str:
        text = repr(value[:most])
        return text if len(text) <= most else text[: most - 3] + "..."
    text = _written(value, most + 1, 3 * MOST_DEEP)
    return text if len(text) <= most else text[: most - 3] + "..."


def message_of(exc: BaseException, most: int = 500) -> str:
    """The text of an exception, which may have been made of any value, and so many characters of it at most."""
    try:
        text = shown(exc.args, most) if too_large(exc) else str(exc)
    except Exception:  # it is the class's own code
        text = "an error without a message"
    return text if len(text) <= most else text[: most - 3] + "..."


# -- how large


def _is_small(value: Any) -> bool:
    """Whether it is plain data that is short in any case: most values are, and are not to be walked twice."""
    left, todo = _SMALL, [value]
    while todo:
        part = todo.pop()
        kind = type(part)
        if kind is str:
            left -= len(part)
        elif kind in _BRACKETS:
            left -= _EDGE * len(part)
            if left < 0:
                return False
            todo += part
            if kind is dict:
                todo += part.values()
        elif kind is int:
            left -= part.bit_length()
        elif kind not in _FIXED:
            return False
        left -= _EDGE
        if left < 0:
            return False
    return True


class _Walk:
    """Measures a value, each object of it once. What is met on the way to itself is `...`, as Python shows it."""

    def __init__(self) -> None:
        self.held = 0
        self.has_cycles = False
        self._known: dict[int, tuple[int, int]] = {}
        self._kept: list[Any] = []  # made for the walk: else another object could get its id

    def measure(self, value: Any) -> tuple[int, int]:
        """The objects in a value and the characters of its text."""
        open_ids: set[int] = set()
        total = [0, 0]
        frames: list[tuple[int, Iterator[Any], list[int]]] = [(0, iter([value]), total)]
        while frames:
            number, parts, sums = frames[-1]
            part = self._next_container(parts, sums, open_ids)
            if part is not None:
                open_ids.add(id(part))
                self.held += _EDGE
                frames.append((id(part), iter(self._parts(part)), [1, _EDGE]))
                continue
            frames.pop()
            if frames:
                open_ids.discard(number)
                self._known[number] = min(sums[0], _MOST), min(sums[1], _MOST)
                frames[-1][2][0] += sums[0]
                frames[-1][2][1] += sums[1]
        return min(total[0], _MOST), min(total[1], _MOST)

    def _next_container(self, parts: Iterator[Any], sums: list[int], open_ids: set[int]) -> Any:
        """The next part that was not met yet; those before it are added to the sums."""
        known, items, text, held = self._known, 0, 0, 0
        found = None
        for part in parts:
            kind = type(part)
            if kind is str and len(part) <= _SHORT:
                size = len(part) + _EDGE
                held += size
            elif kind in _FIXED or (kind is int and -_WORD < part < _WORD):
                size = _EDGE
                held += size
            elif (before := known.get(id(part))) is not None:
                size = before[1]
                items += before[0] - 1
                held += _EDGE
            elif id(part) in open_ids:
                self.has_cycles = True
                size = _EDGE
            elif (one := _text_of(part)) is not None:
                known[id(part)] = 1, one
                size = one
                held += one
            else:
                found = part
                break
            items += 1
            text += size
        sums[0] += items
        sums[1] += text
        self.held += held
        return found

    def _parts(self, container: Any) -> list[Any]:
        if type(container) in _BRACKETS:
            return gc.get_referents(container)
        found = _parts(container)
        self._kept.append(found)
        return found


def _text_of(value: Any) -> int | None:
    """The characters that something without parts takes; None for what has parts."""
    cls: Any = type(value)
    if issubclass(cls, str):
        return str.__len__(value) + _EDGE
    if issubclass(cls, int):
        digits = int.bit_length(value) // 3
        return digits * (1 + digits // MOST_DIGITS) + _EDGE  # the text of a long one takes longer than it is long
    if issubclass(cls, _BYTES):
        return 4 * len(value) + _EDGE
    if issubclass(cls, _INERT):
        return _EDGE + 60
    if cls.__repr__ is object.__repr__:  # which tells nothing of what is in it
        return len(cls.__qualname__) + 60
    if issubclass(cls, array):
        return 8 * len(value) + _EDGE
    return None


def _parts(value: Any) -> list[Any]:
    """The objects that a value refers to, with no code of its class run."""
    if type(value).__module__ == "numpy":
        return _elements(value)
    found = [part for part in gc.get_referents(value) if not isinstance(part, _INERT)]
    if not found and not gc.is_tracked(value):
        found.append(" " * min(_bytes_of(value), MOST_TEXT))  # Decimal, deque of nothing, a date
    return found


def _elements(value: Any) -> list[Any]:
    """Those of an array of objects; all others show a thousand at most."""
    dtype = getattr(value, "dtype", None)
    return list(value.flat) if getattr(dtype, "hasobject", False) and hasattr(value, "flat") else [" " * 4096]


def _bytes_of(value: Any) -> int:
    try:
        return sys.getsizeof(value)
    except Exception:  # it is the class's own code
        return _EDGE


def _paths(value: Any, items: int, text: int) -> tuple[int, int]:
    """Objects and characters of a value that holds itself: along each way through it, as its `repr` goes."""
    frames: list[tuple[int, Iterator[Any]]] = [(0, iter([value]))]
    on_path: set[int] = set()
    seen = written = 0
    while frames:
        number, parts = frames[-1]
        part = next(parts, frames)
        if part is frames:
            on_path.discard(number)
            frames.pop()
            continue
        seen += 1
        known = _EDGE if type(part) in _FIXED else _text_of(part)
        written += known or _EDGE
        if seen > MOST_PATHS and seen > 2 * items:
            return seen, _MOST
        if known is None and id(part) not in on_path:
            on_path.add(id(part))
            frames.append((id(part), iter(_parts(part))))
    return seen, max(text, written)


# -- as text


def _written(value: Any, most: int, deep: int) -> str:
    """The beginning of a value's `repr`: a little more than so many characters at most."""
    pieces: list[str] = []
    _Writer(pieces, most).write(value, deep)
    return "".join(pieces)


class _Writer:
    """Writes what `repr` would, until there is enough of it."""

    def __init__(self, pieces: list[str], left: int) -> None:
        self._pieces = pieces
        self._left = left
        self._open: set[int] = set()

    def write(self, value: Any, deep: int) -> None:
        """Adds the text of a value with `deep` levels of containers."""
        brackets = _BRACKETS.get(type(value))
        if brackets is None or not value:
            self._add(_one(value, self._left))
        elif id(value) in self._open or deep <= 0:
            self._add(f"{brackets[0]}...{brackets[1]}")
        else:
            self._open.add(id(value))
            self._add(brackets[0])
            self._write_items(value, deep - 1)
            self._add(",)" if type(value) is tuple and len(value) == 1 else brackets[1])
            self._open.discard(id(value))

    def _write_items(self, value: Any, deep: int) -> None:
        is_dict = type(value) is dict
        for number, item in enumerate(islice(value, max(self._left, 0))):
            if self._left <= 0:
                return
            if number:
                self._add(", ")
            self.write(item, deep)
            if is_dict:
                self._add(": ")
                self.write(value[item], deep)

    def _add(self, piece: str) -> None:
        if self._left > 0:
            self._pieces.append(piece)
        self._left -= len(piece)


def _one(value: Any, most: int) -> str:
    """Something that is no container of Python's own."""
    cls = type(value)
    if cls in (str, bytes):
        return repr(value[: max(most, 0)])
    if cls is int and int.bit_length(value) > 3 * MOST_DIGITS:
        return f"a number of {int.bit_length(value):,} bits"
    try:
        if cls in _SCALARS or cls is int:
            return repr(value)
        size = size_of(value)
        return repr(value) if size.text <= MOST_TEXT else f"<{cls.__module__}.{cls.__qualname__} object>"
    except Exception:  # it is the class's own code
        return "a value without a repr"
