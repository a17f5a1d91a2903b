"""Whether a value came back unchanged: for formats whose writers have quirks, checked before anything is stored."""

from __future__ import annotations

from typing import Any


def same(one: Any, other: Any, *, ordered: bool = True) -> bool:
    """Equal in value and in type all the way down; NaN is NaN, -0.0 is not 0.0. Raises: RecursionError.

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
    return sorted(map(repr, items))  # equal items of different types (1, True, 1.0) have different ones
