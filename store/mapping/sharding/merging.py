"""What several namespaces hold, merged: names in order, and everything in order of insertion, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import replace
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from store.opened import reading
from store.opened.decoding import decoded
from store.opened.namespace import Namespace
from store.rows.row import Row

if TYPE_CHECKING:
    from store.care.stats import Stats

V = TypeVar("V")
_FIRST = itemgetter(0)
_SUMMED = ("records", "bytes", "spill_files", "spill_bytes")


def names_of(
    spaces: Sequence[Namespace], prefix: str, after: str | None, limit: int | None, reverse: bool
) -> Iterator[str]:
    """The names of all, in the order of their code points. `limit`: how many are wanted, for the size of pages."""
    most = reading.PAGE_NAMES
    page = most if limit is None else min(most, limit // len(spaces) + 1)
    return merge(*(_names(ns, prefix, after, page, reverse) for ns in spaces), reverse=reverse)


def _names(ns: Namespace, prefix: str, after: str | None, page: int, reverse: bool) -> Iterator[str]:
    while found := reading.names(ns, prefix, after, page, reverse):
        yield from found
        if len(found) < page:
            return
        after = found[-1]


def each_name(spaces: Sequence[Namespace], *, reverse: bool = False) -> Iterator[str]:
    """The names of all in order of insertion, as `reading.each_name`."""
    found = [_created(ns, reading.each_header(ns, reverse=reverse)) for ns in spaces]
    return (header.name for _, _, header in merge(*found, key=_FIRST, reverse=reverse))


def each_pair(spaces: Sequence[Namespace], *, reverse: bool = False) -> Iterator[tuple[str, Any]]:
    """The names and values of all in order of insertion, as `reading.each_pair`."""
    found = [_created(ns, reading.each_row(ns, reverse=reverse)) for ns in spaces]
    for _, ns, row in merge(*found, key=_FIRST, reverse=reverse):
        yield from decoded(ns, (row,), ns.options.on_unreadable)


def snapshot(spaces: Sequence[Namespace], *, raises: bool = False) -> dict[str, Any]:
    """All of them, each as of one moment. `raises`: a record that cannot be read raises whatever the options say."""
    rows = [list(_created(ns, reading.rows_of(ns))) for ns in spaces]  # all before the first is decoded
    found: dict[str, Any] = {}
    for _, ns, row in merge(*rows, key=_FIRST):
        found.update(decoded(ns, (row,), "raise" if raises else ns.options.on_unreadable))
    return found


def rows_in_order(spaces: Sequence[Namespace]) -> Iterator[tuple[Namespace, Row]]:
    """The rows of all in order of insertion, each with its namespace; some may have expired."""
    found = [_created(ns, reading.each_row(ns)) for ns in spaces]
    return ((ns, row) for _, ns, row in merge(*found, key=_FIRST))


def summed(figures: Sequence[Stats]) -> Stats:
    """The figures of all; those of the file are the same in each."""
    codecs: Counter[str] = Counter()
    protocols: Counter[str] = Counter()
    for one in figures:
        codecs.update(one.codecs)
        protocols.update(one.protocols)
    counted = {field: sum(getattr(one, field) for one in figures) for field in _SUMMED}
    return replace(figures[0], codecs=dict(codecs), protocols=dict(protocols), **counted)


def _created(ns: Namespace, found: Any) -> Iterator[tuple[float, Namespace, Any]]:
    """Each with the time of its insertion: a damaged one, whose time may be of any type, comes next."""
    for one in found:
        yield one.created if isinstance(one.created, float) else float("-inf"), ns, one


class MergedNames(KeysView[str]):
    """The names of all shards, in order of insertion."""

    def __init__(self, store: Mapping[str, Any], spaces: Sequence[Namespace]) -> None:
        super().__init__(store)
        self._spaces = spaces

    def __reversed__(self) -> Iterator[str]:
        return each_name(self._spaces, reverse=True)


class MergedValues(ValuesView[V]):
    """The values of all shards, read page by page and decoded one by one."""

    def __init__(self, store: Mapping[str, V], spaces: Sequence[Namespace]) -> None:
        super().__init__(store)
        self._spaces = spaces

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in each_pair(self._spaces))

    def __reversed__(self) -> Iterator[V]:
        return (value for _, value in each_pair(self._spaces, reverse=True))

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class MergedItems(ItemsView[str, V]):
    """The pairs of name and value of all shards, read page by page and decoded one by one."""

    def __init__(self, store: Mapping[str, V], spaces: Sequence[Namespace]) -> None:
        super().__init__(store)
        self._spaces = spaces

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return each_pair(self._spaces)

    def __reversed__(self) -> Iterator[tuple[str, V]]:
        return each_pair(self._spaces, reverse=True)

    def __contains__(self, item: object) -> bool:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
            return False
        return super().__contains__(item)
