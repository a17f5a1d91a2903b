"""The names of all items, in either order, and their number: with those that have expired and are still there.

diskcache counts and lists expired items until something deletes them, and so does this; `get`, `in` and queues do not
find them. The store's own views leave them out, so these ask the engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from store.cache import Cache as Bounded
from store.engines.contract import Cursor, Fields, Order

PAGE = 100  # names of one look


def names(records: Bounded[Any], *, by_name: bool = False, reverse: bool = False) -> Iterator[str]:
    """The names in their own order or in that of insertion: those there are now, less what is deleted meanwhile."""
    ns = records.opened
    order, until = (Order.NAME, None) if by_name else (Order.INSERTED, ns.engine.end(ns.name))
    return _from(records, order, until, reverse)


def _from(records: Bounded[Any], order: Order, until: Cursor | None, reverse: bool) -> Iterator[str]:
    ns, after = records.opened, None
    while True:
        page = ns.engine.scan(
            ns.name, order, after=after, until=until, limit=PAGE, reverse=reverse, fields=Fields.LISTED
        )
        yield from (item.name for item in page.items)
        if page.next is None:
            return
        after = page.next


def count(records: Bounded[Any]) -> int:
    """The number of items, with those that have expired."""
    ns = records.opened
    number, _ = ns.engine.count(ns.name, -math.inf)
    return number
