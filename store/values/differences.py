"""How a value that was read back differs from the one that was written, as far as its classes tell.

The program's own `==` is never asked: it may be an array's, or compare nothing but identity.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from store.values.culprit.parts import reduces_itself

MOST_COMPARED = 10_000  # parts of one value
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement made it
_PLAIN = (str, bytes, int, float, bool, type(None))
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
Pair = tuple[Any, Any]


def difference(value: Any, found: Any) -> str | None:
    """What would be lost, of the value itself or of a part of plain containers in it; None where nothing is."""
    pairs: list[Pair] = [(value, found)]
    for _ in range(MOST_COMPARED):
        if not pairs:
            return None
        one, other = pairs.pop()
        different = _difference_of(one, other)
        if different is not None:
            return different
        pairs += islice(_parts(one, other), MOST_COMPARED)
    return None


def _difference_of(value: Any, found: Any) -> str | None:
    cls, now = type(value), type(found)
    if not cls.__flags__ & _HEAP_TYPE or reduces_itself(cls):
        return None
    if _name(cls) != _name(now):  # not `is`: a codec that stores classes by value makes them anew
        # A base in its place: the __reduce__ of that was inherited. What else one may make is meant to be.
        return f"would come back as {_name(now)}" if now is not object and issubclass(cls, now) else None
    if issubclass(cls, BaseException) and issubclass(now, BaseException):
        return None if _have_same_args(value, found) else "would come back with other args"
    for base in _CONTAINERS:
        if issubclass(cls, base) and issubclass(now, base):
            had, has = base.__len__(value), base.__len__(found)
            return f"would come back with {has} items instead of {had}" if has != had else None
    return None


def _have_same_args(value: BaseException, found: BaseException) -> bool:
    had, has = _args(value), _args(found)
    return len(had) == len(has) and all(map(_is_same, had, has))


def _is_same(one: Any, other: Any) -> bool:
    if type(one) not in _PLAIN:
        return True
    return type(one) is type(other) and (one == other or one != one)


def _args(error: BaseException) -> tuple[Any, ...]:
    found: tuple[Any, ...] = vars(BaseException)["args"].__get__(error)
    return found


def _parts(value: Any, found: Any) -> Iterable[Pair]:
    """What two plain containers of a kind hold, pair by pair, less what is plain data."""
    if type(value) is not type(found) or type(value) not in (list, tuple, dict) or len(value) != len(found):
        return ()
    both = zip(value.items(), found.items(), strict=True) if type(value) is dict else ((value, found),)
    return (pair for had, has in both for pair in zip(had, has, strict=True) if type(pair[0]) not in _PLAIN)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
