"""The length of a value as text, in bounded time and memory for any value.

A list that holds the same list twice, which holds another one twice, and so on for 40 levels, takes a few hundred
bytes in memory and in a file, and a terabyte as text. A value is measured by identity, so the time depends on its
size in memory, and not on the length of its text.
"""

from __future__ import annotations

import gc
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any, NamedTuple

MOST_TEXT = 10_000_000  # characters that any value may take; more only in proportion to its content
MOST_TIMES = 8  # how much longer than its content the text may be: a string often occurs twice
MOST_PATHS = 200_000  # paths through a value that holds itself: `repr` follows each of them
MOST_DIGITS = 4300  # Python's own limit: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
_MOST = 1 << 62  # upper bound of counts: a million nested lists would need numbers of a million bits
_EDGE = 16  # characters for each part of a container: a comma, a bracket, the name of an attribute
_SMALL = 100_000  # characters
_SHORT = 64  # characters of a str that counts each time it occurs: it is not much longer than the reference
_WORD = 1 << 60
_FIXED: frozenset[Any] = frozenset({type(None), bool, float, type(...)})
_INERT = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, FrameType, TracebackType)
_BYTES = (bytes, bytearray, memoryview)
BRACKETS: dict[Any, str] = {list: "[]", tuple: "()", dict: "{}", set: "{}"}
_HOLDING = (list, tuple, dict, set, frozenset, deque, slice, BaseException)


class Size(NamedTuple):
    """The size of a value as text.

    `items` is the number of objects and `text` the number of characters of its text; an object in several places
    counts each time. `held` is the number of characters if each object counts once.
    """

    items: int
    text: int
    held: int

    @property
    def is_too_large(self) -> bool:
        """Whether its text is far longer than its content."""
        return self.text > max(MOST_TEXT, MOST_TIMES * self.held)


def size_of(value: Any, *, through_objects: bool = True) -> Size:
    """The size of a value as text, in time proportional to the number of distinct objects in it.

    With `through_objects=False` instances count as one object, except containers and exceptions.
    """
    walk = _Walk(through_objects)
    items, text = walk.measure(value)
    if walk.has_cycles and text < _MOST:
        items, text = _paths(walk, value, text)
    return Size(items, text, walk.held)


def too_large(value: Any) -> str:
    """The number of items in its text, as `1,099,511,627,775 items`; empty if the text is not too large."""
    if _is_small(value):
        return ""
    size = size_of(value)
    if not size.is_too_large:
        return ""
    more = "more than " if size.items >= _MOST else ""
    return f"{more}{size.items:,} items"


def _is_small(value: Any) -> bool:
    """Whether it is plain data that is certainly short: most values are, and need not be measured."""
    left, todo = _SMALL, [value]
    while todo:
        part = todo.pop()
        kind = type(part)
        if kind is str:
            left -= len(part)
        elif kind in BRACKETS:
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
    """Measures a value, visiting each object once. A reference to an enclosing container counts as `...`."""

    def __init__(self, through_objects: bool) -> None:
        self.through_objects = through_objects
        self.held = 0
        self.has_cycles = False
        self._known: dict[int, tuple[int, int]] = {}
        self._kept: list[Any] = []  # lists made for the walk; keeping them prevents reuse of their ids

    def measure(self, value: Any) -> tuple[int, int]:
        """(objects in a value, characters of its text)."""
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
        """The next part that was not visited yet; the parts before it are added to the sums."""
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
            elif (one := self.text_of(part)) is not None:
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
        if type(container) in BRACKETS:
            return gc.get_referents(container)
        found = _parts(container)
        self._kept.append(found)
        return found

    def text_of(self, value: Any) -> int | None:
        """As `_text_of`, honouring `through_objects`."""
        if not self.through_objects and not isinstance(value, _HOLDING) and type(value).__module__ != "builtins":
            return _text_of(value) or _EDGE
        return _text_of(value)


def _text_of(value: Any) -> int | None:
    """The characters of an object without parts; None if it has parts."""
    cls: Any = type(value)
    if issubclass(cls, str):
        return str.__len__(value) + _EDGE
    if issubclass(cls, int):
        digits = int.bit_length(value) // 3
        return digits * (1 + digits // MOST_DIGITS) + _EDGE  # converting a long int takes quadratic time
    if issubclass(cls, _BYTES):
        return 4 * len(value) + _EDGE
    if issubclass(cls, _INERT):
        return _EDGE + 60
    if cls.__repr__ is object.__repr__:  # this repr does not show the content
        return len(cls.__qualname__) + 60
    if issubclass(cls, array):
        return 8 * len(value) + _EDGE
    return None


def _parts(value: Any) -> list[Any]:
    """The objects that a value refers to, found without running code of its class."""
    if type(value).__module__ == "numpy":
        return _elements(value)
    found = [part for part in gc.get_referents(value) if not isinstance(part, _INERT)]
    if not found and not gc.is_tracked(value):
        found.append(" " * min(_bytes_of(value), MOST_TEXT))  # a Decimal, an empty deque, a date
    return found


def _elements(value: Any) -> list[Any]:
    """The elements of an array of objects; the text of other arrays has at most a thousand."""
    dtype = getattr(value, "dtype", None)
    return list(value.flat) if getattr(dtype, "hasobject", False) and hasattr(value, "flat") else [" " * 4096]


def _bytes_of(value: Any) -> int:
    try:
        return sys.getsizeof(value)
    except Exception:  # it is the class's own code
        return _EDGE


def _paths(walk: _Walk, value: Any, text: int) -> tuple[int, int]:
    """(objects, characters) of a value that holds itself, counted along each path as `repr` does."""
    frames: list[tuple[int, Iterator[Any]]] = [(0, iter([value]))]
    on_path: set[int] = set()
    seen = written = 0
    most = MOST_PATHS + 2 * walk.held // _EDGE  # twice the number of parts
    while frames:
        number, parts = frames[-1]
        part = next(parts, frames)
        if part is frames:
            on_path.discard(number)
            frames.pop()
            continue
        seen += 1
        known = _EDGE if type(part) in _FIXED else walk.text_of(part)
        written += known or _EDGE
        if seen > most:
            return seen, _MOST
        if known is None and id(part) not in on_path:
            on_path.add(id(part))
            frames.append((id(part), iter(_parts(part))))
    return seen, max(text, written)
