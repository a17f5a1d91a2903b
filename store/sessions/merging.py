"""Merging what two requests of one session changed at once."""

from __future__ import annotations

from typing import Any

from store.codecs.pickle import dumps
from store.opened.sentinels import MISSING


def merge(before: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The data that have both changes: `mine` and `theirs` each began as `before`. None of the three is changed.

    - Each key is merged by itself, and so are the keys of a dict in a dict: what only one side changed, that side's
      value has.
    - Of a list that they only added to, what they added stays, in front of what I added.
    - A key that I removed is gone, but for what they added to its list meanwhile: a message that no page has shown.
    - For everything else that both changed, mine replaces theirs: a number that both counted up is off by one. Use
      `Sessions.edit` for those.
    """
    names = [*theirs, *(name for name in mine if name not in theirs)]
    merged = {name: _one(*(side.get(name, MISSING) for side in (before, mine, theirs))) for name in names}
    return {name: value for name, value in merged.items() if value is not MISSING}


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal, in type too; objects of a class without `==` are if their pickles are."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    try:
        return one is other or (one == other) is True or dumps(one) == dumps(other)
    except Exception:  # their `==` or their pickling raises what it likes: they count as changed, and mine is kept
        return False


def _one(before: Any, mine: Any, theirs: Any) -> Any:
    """The value of one key. MISSING: it has none."""
    if is_same(before, mine):
        return theirs
    if is_same(before, theirs):
        return mine
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return merge(before if isinstance(before, dict) else {}, mine, theirs)
    if isinstance(theirs, list) and (mine is MISSING or isinstance(mine, list)):
        return _lists(before if isinstance(before, list) else [], mine, theirs)
    return mine


def _lists(before: list[Any], mine: Any, theirs: list[Any]) -> Any:
    start = len(before)
    if not is_same(theirs[:start], before):
        return mine
    added = theirs[start:]
    if mine is MISSING:  # they were taken out and used up, as messages are: not those that were added since
        return added or MISSING
    if is_same(mine[:start], before):
        return [*theirs, *mine[start:]]
    return [*mine, *added]
