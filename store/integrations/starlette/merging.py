"""Merging the changes of two requests to one session, key by key."""

from __future__ import annotations

from typing import Any

_ABSENT = object()


def merge(before: dict[str, Any], after: dict[str, Any], into: dict[str, Any]) -> None:
    """Makes the changes from `before` to `after` in `into`, which others may have changed too.

    Keys that only one side changed have its change, also in dicts inside, and lists that both only appended to have
    both additions. Where both sides changed one value otherwise, it is as in `after`.
    """
    for key in [key for key in before if key not in after]:
        into.pop(key, None)
    for key, value in after.items():
        old: Any = before.get(key, _ABSENT)
        there: Any = into.get(key)
        if same(old, value):
            continue
        old = type(value)() if old is _ABSENT and isinstance(value, dict | list) else old
        if all(isinstance(one, dict) for one in (old, value, there)):
            merge(old, value, there)
        elif _appended(old, value) and _appended(old, there):
            there.extend(value[len(old) :])
        else:
            into[key] = value


def _appended(old: Any, new: Any) -> bool:
    return isinstance(old, list) and isinstance(new, list) and same(old, new[: len(old)])


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of equal types all through: 1, 1.0 and True are different."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    try:
        return bool(one == other)
    except ValueError:  # arrays do not say whether they are equal
        return False
