"""The live views that `keys()`, `values()` and `items()` return: set-like, as those of `dict`."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

from store.opened import reading
from store.opened.namespace import Namespace

V = TypeVar("V")


class Names(KeysView[str]):
    """The names of a store, in order of insertion."""

    def __init__(self, store: Mapping[str, Any], ns: Namespace) -> None:
        super().__init__(store)
        self._ns = ns

    def __reversed__(self) -> Iterator[str]:
        return reading.each_name(self._ns, reverse=True)


class Values(ValuesView[V]):
    """The values of a store, read page by page and decoded one by one."""

    def __init__(self, store: Mapping[str, V], ns: Namespace) -> None:
        super().__init__(store)
        self._ns = ns

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in reading.each_pair(self._ns))

    def __reversed__(self) -> Iterator[V]:
        return (value for _, value in reading.each_pair(self._ns, reverse=True))

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class Items(ItemsView[str, V]):
    """The pairs of name and value of a store, read page by page and decoded one by one."""

    def __init__(self, store: Mapping[str, V], ns: Namespace) -> None:
        super().__init__(store)
        self._ns = ns

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return reading.each_pair(self._ns)

    def __reversed__(self) -> Iterator[tuple[str, V]]:
        return reading.each_pair(self._ns, reverse=True)

    def __contains__(self, item: object) -> bool:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
            return False
        row = self._ns.find(item[0])
        if row is None:
            return False
        value = self._ns.value_of(row)
        return value is item[1] or bool(value == item[1])
