"""The plain values that a format can hold; any other value would not round-trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from store.classes.shown import shown
from store.classes.size import too_large
from store.errors import NotSerializable

Problem = Callable[[Any], str | None]
"""Returns why the format cannot hold a value of a type that it supports in general, or None if it can."""


class Plain(NamedTuple):
    """The plain values of a format. Types are exact: a subclass would come back as its base.

    `leaves` and `keys` map each type to its `Problem` function, or None if every value fits; `containers` are those
    of list, dict and set that the format has.
    """

    format: str
    leaves: Mapping[type, Problem | None]
    keys: Mapping[type, Problem | None]
    containers: frozenset[type] = frozenset({list, dict})

    def check(self, value: Any, path: str = "value") -> None:
        """Raises: NotSerializable: the format cannot hold a part of the value. RecursionError."""
        if type(value) in self.containers and (items := too_large(value)):
            raise NotSerializable(
                f"{path}: parts of it are in it many times, and {self.format} would have to write each of those, "
                f"{items}; use the codec 'pickle'",
                path=path,
            )
        self._check(value, path)

    def _check(self, value: Any, path: str) -> None:
        kind = type(value)
        if kind in self.leaves:
            self._check_one(value, self.leaves[kind], path)
        elif kind not in self.containers:
            raise NotSerializable(
                f"{path}: {self.format} has no {kind.__qualname__}, it would not round-trip; convert "
                "it, or use the codec 'pickle'",
                path=path,
            )
        elif kind is dict:
            for key, item in value.items():
                self._check_key(key, path)
                self._check(item, f"{path}[{shown(key, 80)}]")
        else:
            for index, item in enumerate(value):
                self._check(item, f"{path}[{index}]")

    def _check_key(self, key: Any, path: str) -> None:
        if type(key) not in self.keys:
            names = ", ".join(kind.__name__ for kind in self.keys)
            raise NotSerializable(
                f"{path}: {self.format} keys are {names}, not {shown(key, 80)}; use the codec 'pickle'", path=path
            )
        self._check_one(key, self.keys[type(key)], f"{path}, the key {shown(key, 80)}")

    def _check_one(self, value: Any, problem: Problem | None, path: str) -> None:
        found = problem and problem(value)
        if found:
            raise NotSerializable(f"{path}: {self.format} cannot hold it: {found}; use the codec 'pickle'", path=path)


# -- problems of values: the message, or None if nothing is lost


def no_surrogates(value: str) -> str | None:
    """Text must be encodable as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "a surrogate that stands alone has no UTF-8"
    return None


def fixed_offset(value: datetime) -> str | None:
    """A datetime has no time zone or an unnamed offset of whole minutes, and no fold."""
    zone = value.tzinfo
    if value.fold:
        return "it has no fold"
    if zone is None:
        return None
    if type(zone) is not timezone:
        return f"it keeps the offset of a time zone and not its rules, here {type(zone).__qualname__}"
    offset = zone.utcoffset(None)
    if offset % timedelta(minutes=1):
        return "its offsets are whole minutes"
    return None if zone.tzname(None) == timezone(offset).tzname(None) else "its time zones have no names"


def beyond_64_bits(value: int) -> str | None:
    """Some formats limit integers to 64 bits."""
    return None if -(2**63) <= value < 2**63 else "its integers have 64 bits"


# -- comparing a value with its round trip: formats whose writers have quirks do this before anything is stored


def same(one: Any, other: Any, *, ordered: bool = True) -> bool:
    """Whether two values are equal in value and type at every level; NaN equals NaN, -0.0 differs from 0.0.

    Raises: RecursionError.

    `ordered`: whether dicts must have their keys in the same order.
    """
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        return _same_dicts(one, other, ordered)
    if kind is list:
        return len(one) == len(other) and all(same(a, b, ordered=ordered) for a, b in zip(one, other, strict=True))
    if kind is set:
        return len(one) == len(other) and _fingerprints(one) == _fingerprints(other)
    return bool(one == other) if kind in (str, bytes, int, bool) else repr(one) == repr(other)


def _same_dicts(one: dict[Any, Any], other: dict[Any, Any], ordered: bool) -> bool:
    if len(one) != len(other):
        return False
    if not ordered:
        return all(key in other and same(item, other[key], ordered=False) for key, item in one.items())
    pairs = zip(one.items(), other.items(), strict=True)
    return all(same(a, b) and same(item, found) for (a, item), (b, found) in pairs)


def _fingerprints(items: set[Any]) -> list[str]:
    return sorted(map(repr, items))  # equal items of different types (1, True, 1.0) have different keys
