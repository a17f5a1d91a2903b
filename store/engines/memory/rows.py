"""The committed rows of a store in memory: dicts, and sorted lists of their keys for each order."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from store.engines.capabilities import Candidate
from store.engines.contract import PAGE_ROWS, Cursor, Fields, Order, Page, cursor_of, of_row
from store.engines.overlay import Buffered, Key, in_order
from store.errors import StoreClosed
from store.rows.row import Row, Total, has_expired
from store.rows.spilled import count_of, size_of

FEW = 16  # changes of a sorted list that are made one by one
LOGGED = 1000  # commits whose names are known


class _Sorted:
    """Keys in order. Changes are applied when the keys are read, so that many of them cost one sort."""

    def __init__(self) -> None:
        self._keys: list[Any] = []
        self._noted: dict[Any, bool] = {}

    def note(self, key: Any, is_there: bool) -> None:
        """Add the key, or remove it."""
        self._noted[key] = is_there

    def keys(self) -> list[Any]:
        """All keys. An interrupt does no harm: the noted changes are applied again."""
        noted, keys = self._noted, self._keys
        if len(noted) > FEW:
            keys = self._keys = sorted(key for key in {*keys, *noted} if noted.get(key, True))
        else:
            for key, is_there in noted.items():
                place = bisect_left(keys, key)
                if is_there and keys[place : place + 1] != [key]:
                    insort(keys, key)
                elif not is_there and keys[place : place + 1] == [key]:
                    del keys[place]
        if noted:
            self._noted = {}
        return keys


class _Rows:
    """Rows by their id, in order of insertion and of expiry."""

    def __init__(self) -> None:
        self.by_id: dict[int, Row] = {}
        self.ids, self.expiries = _Sorted(), _Sorted()

    def replace(self, before: Row | None, row: Row | None) -> None:
        """Replace one row by another. Idempotent."""
        for one, is_there in ((before, False), (row, True)):
            if one is not None:
                self.ids.note(one.id, is_there)
                if one.expires is not None:
                    self.expiries.note(cursor_of(one, Order.EXPIRY), is_there)
                if is_there:
                    self.by_id[one.id or 0] = one
                else:
                    self.by_id.pop(one.id or 0, None)


class _Namespace(_Rows):
    """The rows of one namespace, also by name."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: dict[str, Row] = {}
        self.names = _Sorted()
        self.version = 0
        self.bytes = 0
        """Of names, bodies and large parts."""


class Committed:
    """The committed rows; the base of overlays. Safe across threads: only the holder of the writer's lock writes."""

    def __init__(self) -> None:
        self.version = 0
        self.log: deque[tuple[int, list[Key]]] = deque(maxlen=LOGGED)
        """The last commits: the version of each, and the names that it changed."""
        self._all = _Rows()
        self._namespaces: dict[str, _Namespace] = {}
        self._last_id = 0
        # Committed, and not in the dicts yet; with the bytes of the namespace after each.
        self._unfiled: list[tuple[Key, Row | None, int]] = []
        self._is_closed = False
        self.renew()

    def close(self) -> None:
        """Free all rows now: threads that used the store refer to it until the next garbage collection."""
        with self._mutex:
            self._is_closed = True
            self._all, self._namespaces, self._unfiled = _Rows(), {}, []

    def renew(self) -> None:
        """Replace the lock: in a forked child, one that another thread held would stay locked for ever."""
        self._mutex = threading.RLock()

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        with self._mutex:
            rows = self._filed(namespace).by_name
            return {name: of_row(rows[name], fields) for name in names if name in rows}

    def scan(
        self,
        namespace: str | None,
        order: Order,
        *,
        after: Cursor | None = None,
        until: Cursor | None = None,
        prefix: str = "",
        limit: int = PAGE_ROWS,
        reverse: bool = False,
        fields: Fields = Fields.ROW,
    ) -> Page:
        with self._mutex:
            keys, row_of = self._ordered(namespace, order)
            first, end = 0, len(keys)
            if prefix:
                first = bisect_left(keys, prefix)
                end = bisect_right(keys, prefix, lo=first, key=lambda name: name[: len(prefix)])
            if until is not None:
                end = min(end, bisect_right(keys, (until, math.inf) if order is Order.EXPIRY else until))
            if after is not None and reverse:
                end = min(end, bisect_left(keys, after))
            elif after is not None:
                first = max(first, bisect_right(keys, after))
            chosen = keys[max(first, end - limit) : end][::-1] if reverse else keys[first : min(end, first + limit)]
            items = [of_row(row_of(key), fields) for key in chosen]
            return Page(items, chosen[-1] if 0 < len(chosen) < end - first else None)

    def end(self, namespace: str | None) -> Cursor:
        with self._mutex:
            self._filed(namespace or "")
            return self._last_id

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        with self._mutex:
            rows = self._filed(namespace)
            expiries = rows.expiries.keys()
            expired = bisect_right(expiries, (now, math.inf))
            return len(rows.by_name) - expired, expiries[expired][0] if expired < len(expiries) else math.inf

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        with self._mutex:
            self._filed("")
            found = [
                name for name in self._namespaces if (after is None or name > after) and self.count(name, now)[0]
            ]
            return sorted(found)[:limit]

    def version_of(self, namespace: str) -> int:
        """How often the namespace has changed."""
        with self._mutex:
            return self._filed(namespace).version

    def bytes_of(self, namespace: str) -> int:
        """The bytes of the names, bodies and large parts of a namespace."""
        with self._mutex:
            return self._filed(namespace).bytes

    def sample(self, namespace: str, number: int, random: Any) -> list[Candidate]:
        """See `Eviction.sample`."""
        with self._mutex:
            rows = self._filed(namespace)
            ids = rows.ids.keys()
            chosen = random.sample(range(len(ids)), min(number, len(ids)))
            return [_candidate(rows.by_id[ids[place]]) for place in chosen]

    def write(self, changes: dict[Key, Buffered]) -> None:
        """Commit the changes of an overlay; the writer's lock is held."""
        with self._mutex:
            self._filed("")
            unfiled = self._with_bytes([(key, buffered.row) for key, buffered in in_order(changes)])
            self._last_id = max([self._last_id, *(row.id or 0 for _, row, _ in unfiled if row is not None)])
            self._unfiled = unfiled  # from here on it is committed
            self._filed("")

    def _with_bytes(self, rows: list[tuple[Key, Row | None]]) -> list[tuple[Key, Row | None, int]]:
        """Those rows, each with the bytes of its namespace after it, so that filing it twice changes nothing."""
        totals: dict[str, int] = {}
        found = []
        for (namespace, name), row in rows:
            space = self._namespaces.get(namespace)
            before = None if space is None else space.by_name.get(name)
            total = totals.get(namespace, 0 if space is None else space.bytes) + _bytes_of(row) - _bytes_of(before)
            totals[namespace] = total
            found.append(((namespace, name), row, total))
        return found

    def _filed(self, namespace: str) -> _Namespace:
        """The rows of a namespace, after filing commits that an interrupt left unfiled."""
        if self._is_closed:
            raise StoreClosed("the store on :memory: was closed; open it again")
        if self._unfiled:
            for (space, name), row, total in self._unfiled:
                rows = self._namespaces.setdefault(space, _Namespace())
                before = rows.by_name.get(name)
                self._all.replace(before, row)
                rows.replace(before, row)
                rows.names.note(name, row is not None)
                rows.version += 1
                rows.bytes = total
                if row is None:
                    rows.by_name.pop(name, None)
                else:
                    rows.by_name[name] = row
            self.version += 1
            self.log.append((self.version, [key for key, _, _ in self._unfiled]))
            self._unfiled = []
        return self._namespaces.get(namespace) or _Namespace()

    def _ordered(self, namespace: str | None, order: Order) -> tuple[list[Any], Callable[[Any], Row]]:
        """The keys of an order, which are its cursors, and a function from a key to its row."""
        named = self._filed(namespace or "")
        rows = self._all if namespace is None else named
        if order is Order.NAME:
            return named.names.keys(), named.by_name.__getitem__
        if order is Order.INSERTED:
            return rows.ids.keys(), rows.by_id.__getitem__
        return rows.expiries.keys(), lambda key: rows.by_id[key[1]]


def _bytes_of(row: Row | None) -> int:
    if row is None:
        return 0
    return len(row.name.encode("utf-8", "surrogatepass")) + len(row.body) + size_of(row.spill)


def _candidate(row: Row) -> Candidate:
    return Candidate(row.name, row.stamp, len(row.body) + size_of(row.spill), row.modified, row.expires)


def totals_of(rows: Iterable[Row], now: float) -> list[Total]:
    """See `Engine.totals`."""
    records: Counter[tuple[str, int]] = Counter()
    sizes, files, file_sizes = records.copy(), records.copy(), records.copy()
    for row in rows:
        if not has_expired(row, now):
            kind = row.codec, row.protocol
            records[kind] += 1
            sizes[kind] += len(row.body)
            files[kind] += count_of(row.spill)
            file_sizes[kind] += size_of(row.spill)
    return [
        Total(*kind, records[kind], sizes[kind] + file_sizes[kind], files[kind], file_sizes[kind])
        for kind in sorted(records)
    ]
