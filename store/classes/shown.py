"""Values as text, in bounded time and memory for any value.

A list that holds the same list twice, which holds another one twice, and so on for 40 levels, takes a few hundred
bytes in memory and in a file, and a terabyte as text. Therefore the text is measured (`size.py`) before `repr` runs.
"""

from __future__ import annotations

import gc
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

MOST_TEXT = 10_000_000  # characters that any value may take; more only in proportion to its content
MOST_TIMES = 8  # how much longer than its content the text may be: a string often occurs twice
MOST_DEEP = 6  # levels of containers shown of a value that is too large
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
_BRACKETS: dict[Any, str] = {list: "[]", tuple: "()", dict: "{}", set: "{}"}
_SCALARS = (type(None), bool, float, complex)
_HOLDING = (list, tuple, dict, set, frozenset, deque, slice, BaseException)


@dataclass(frozen=True, slots=True)
class Size:
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


def in_full(value: Any) -> str:
    """The `repr` of a value, cut if it would be far longer than the content of the value.

    Raises: Exception: any error of a `__repr__`.
    """
    items = too_large(value)
    return f"{_written(value, 1000, MOST_DEEP)}… (too large to show: {items})" if items else repr(value)


def shown(value: Any, most: int = 60, *, deep: int = 3 * MOST_DEEP, inert: bool = False) -> str:
    """A value in a message: the first `most` characters of its `repr`, with `deep` levels of containers.

    `inert`: no code of its classes runs. Objects other than plain data are shown as `<module.Class object>`.
    """
    text = repr(value[:most]) if type(value) is str else _written(value, most + 1, deep, inert)
    return text if len(text) <= most else text[: most - 3] + "..."


def message_of(exc: BaseException, most: int = 500) -> str:
    """The text of an exception, at most `most` characters, even if its arguments are huge."""
    try:
        text = shown(exc.args, most) if too_large(exc) else str(exc)
    except Exception:  # it is the class's own code
        text = "an error without a message"
    return text if len(text) <= most else text[: most - 3] + "..."


def described(exc: BaseException) -> str:
    """The class and the text of an exception, at most 500 characters."""
    return f"{type(exc).__name__}: {message_of(exc)}"[:500]


# -- how large


def _is_small(value: Any) -> bool:
    """Whether it is plain data that is certainly short: most values are, and need not be measured."""
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
        if type(container) in _BRACKETS:
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


# -- as text


def _written(value: Any, most: int, deep: int, inert: bool = False) -> str:
    """The beginning of a value's `repr`, slightly more than `most` characters at most. Does not recurse."""
    pieces: list[str] = []
    length = 0
    inside: set[int] = set()
    open_: list[tuple[int, Iterator[Any]]] = [(0, iter([(value,)]))]
    while open_ and length < most:
        piece = next(open_[-1][1], None)
        if piece is None:
            inside.discard(open_.pop()[0])
            continue
        if type(piece) is tuple:
            (part,) = piece
            brackets = _BRACKETS.get(type(part))
            if brackets is None or not part:
                piece = _one(part, most - length, inert)
            elif id(part) in inside or len(open_) > deep:
                piece = f"{brackets[0]}...{brackets[1]}"
            else:
                inside.add(id(part))
                open_.append((id(part), _pieces(part, brackets)))
                continue
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces)


def _pieces(container: Any, brackets: str) -> Iterator[Any]:
    """The parts of a container's text: str, and values in tuples of one."""
    yield brackets[0]
    for number, item in enumerate(container):
        if number:
            yield ", "
        yield (item,)
        if type(container) is dict:
            yield ": "
            yield (container[item],)
    yield ",)" if type(container) is tuple and len(container) == 1 else brackets[1]


def _one(value: Any, most: int, inert: bool) -> str:
    """The text of an object that is not a builtin container."""
    cls: Any = type(value)
    if cls in (str, bytes):
        return repr(value[: max(most, 0)])
    if cls is int and int.bit_length(value) > 3 * MOST_DIGITS:
        return f"a number of {int.bit_length(value):,} bits"
    try:
        if cls in _SCALARS or cls is int or (cls in _BRACKETS and not value):
            return repr(value)
        if inert and issubclass(cls, Enum) and type(value.__dict__.get("_name_")) is str:
            return f"{cls.__qualname__}.{value.__dict__['_name_']}"
        is_shown = not inert and size_of(value).text <= MOST_TEXT
        return repr(value) if is_shown else f"<{cls.__module__}.{cls.__qualname__} object>"
    except Exception:  # it is the class's own code
        return "a value without a repr"
