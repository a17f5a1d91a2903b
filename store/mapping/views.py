"""The live views that `keys()`, `values()` and `items()` give: set-like, as those of `dict`."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from store.mapping.store import Store

V = TypeVar("V")


class Names(KeysView[str]):
    """The names of a store, in order of insertion."""

    _mapping: Store[Any]

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._mapping)


class Values(ValuesView[V]):
    """The values of a store, read page by page and decoded one by one."""

    _mapping: Store[V]

    def __iter__(self) -> Iterator[V]:
        for _, value in self._mapping._pairs():
            yield value

    def __reversed__(self) -> Iterator[V]:
        for _, value in self._mapping._pairs(reverse=True):
            yield value

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class Items(ItemsView[str, V]):
    """The pairs of name and value of a store, read page by page and decoded one by one."""

    _mapping: Store[V]

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping._pairs()

    def __reversed__(self) -> Iterator[tuple[str, V]]:
        return self._mapping._pairs(reverse=True)

    def __contains__(self, item: object) -> bool:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
            return False
        found = self._mapping._find(item[0])
        if found is None:
            return False
        value = self._mapping._value(found)
        return value is item[1] or bool(value == item[1])
