"""The parts of a value: items of containers, fields and attributes of objects. No code of their classes runs."""

from __future__ import annotations

import array
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from store.classes.attributes import attributes_of, defined
from store.classes.placeholder import Placeholder, StandIn
from store.web.values.class_names import entry_of, is_a

_HIDDEN = frozenset({"__weakref__", "__objclass__", "__suppress_context__"})
_SEQUENCES: tuple[Any, ...] = (list, tuple, deque, array.array)
_SETS: tuple[Any, ...] = (set, frozenset)


class Key(NamedTuple):
    """How a part is reached. `how` is "key" of a dict, "index" of a sequence, "name" of a field, "" in a set."""

    how: str
    content: Any = None


Part = tuple[Key, Any]


class Parts(NamedTuple):
    """The parts of a value: their number, what they are called ("items", "attributes"), and an iterator."""

    number: int
    noun: str
    parts: Iterator[Part]

    def called(self, number: int) -> str:
        """The noun for so many of them: `item`, `items`."""
        return self.noun[:-1] if number == 1 else self.noun


def parts_of(value: Any) -> Parts | None:
    """The parts of a value; None for an object without any that can be seen."""
    if type(type(value)) is StandIn:
        return _attributes(_state_of(value))
    found = _items(value)
    attributes = () if entry_of(type(value), _PLAIN) else tuple(_visible_attributes(value))
    if found is None:
        return _attributes(attributes) if attributes else None
    if not attributes:
        return found
    return Parts(found.number + len(attributes), found.noun, chain(found.parts, _named(attributes)))


def _items(value: Any) -> Parts | None:
    if is_a(value, dict):
        return Parts(dict.__len__(value), "items", ((Key("key", key), item) for key, item in dict.items(value)))
    fields = _fields(value)
    if fields:
        named = zip((Key("name", field) for field in fields), tuple.__iter__(value), strict=False)
        return Parts(tuple.__len__(value), "fields", named)
    if any(type(value) is cls for cls in _records()):
        return _fields_of_record(value)
    for base in _SEQUENCES:
        if is_a(value, base):
            numbered = ((Key("index", at), item) for at, item in enumerate(_iterator(base, value)))
            return Parts(base.__len__(value), "items", numbered)
    for base in _SETS:
        if is_a(value, base):
            return Parts(base.__len__(value), "items", ((Key(""), item) for item in base.__iter__(value)))
    return None


def _records() -> tuple[Any, ...]:
    """The classes of records of NumPy: single elements of an array with fields."""
    numpy = sys.modules.get("numpy")
    found = (getattr(numpy, name, None) for name in ("void", "record"))
    return tuple(cls for cls in found if cls is not None)


def _fields_of_record(value: Any) -> Parts | None:
    names = value.dtype.names
    if names is None:
        return None
    get: Any = _records()[0].__getitem__
    return Parts(
        len(names), "fields", ((Key("name", str.__getitem__(name, slice(None))), get(value, name)) for name in names)
    )


def _iterator(base: Any, value: Any) -> Iterator[Any]:
    found: Iterator[Any] = base.__iter__(value)
    return found


def _fields(value: Any) -> tuple[str, ...]:
    """The names of the fields of a named tuple."""
    found: Any = defined(type(value), "_fields") if is_a(value, tuple) else None
    if type(found) is not tuple or len(found) != tuple.__len__(value) or not all(type(name) is str for name in found):
        return ()
    return found


def _visible_attributes(value: Any) -> Iterator[tuple[str, Any]]:
    if is_a(value, BaseException):
        yield "args", BaseException.args.__get__(value)  # type: ignore[attr-defined]
    if _fields(value):  # they are descriptors, and shown as fields
        return
    for name, content in attributes_of(value):
        if type(name) is str and name not in _HIDDEN:
            yield name, content


def _state_of(value: Placeholder) -> tuple[tuple[str, Any], ...]:
    """The content of a placeholder. Its class is part of this package."""
    shown = ("args", "named_args", "state", "list_items", "dict_items")
    held = object.__getattribute__(value, "__dict__")
    return tuple((name, held[name]) for name in shown if held.get(name))


def _attributes(found: Iterable[tuple[str, Any]]) -> Parts:
    known = tuple(found)
    return Parts(len(known), "attributes", _named(known))


def _named(attributes: Iterable[tuple[str, Any]]) -> Iterator[Part]:
    return ((Key("name", name), content) for name, content in attributes)


_PLAIN: dict[type, bool] = dict.fromkeys((dict, list, tuple, set, frozenset, deque, array.array), True)
