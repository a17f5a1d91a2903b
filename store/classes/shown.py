"""Values as text, in bounded time and memory for any value. `size.py` measures a value before its `repr` runs."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from store.classes.size import BRACKETS, MOST_DIGITS, MOST_TEXT, size_of, too_large

MOST_DEEP = 6  # levels of containers shown of a value that is too large
_SCALARS = (type(None), bool, float, complex)


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
            brackets = BRACKETS.get(type(part))
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
        if cls in _SCALARS or cls is int or (cls in BRACKETS and not value):
            return repr(value)
        if inert and issubclass(cls, Enum) and type(value.__dict__.get("_name_")) is str:
            return f"{cls.__qualname__}.{value.__dict__['_name_']}"
        is_shown = not inert and size_of(value).text <= MOST_TEXT
        return repr(value) if is_shown else f"<{cls.__module__}.{cls.__qualname__} object>"
    except Exception:  # it is the class's own code
        return "a value without a repr"
