"""Reads the committed rows of the server: the contract `Reads`."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from store.engines.bodies import LEAST_BYTES, Bodies, Body
from store.engines.contract import PAGE_ROWS, Cursor, Fields, Order, Page, successor
from store.engines.redis.causes import DRIVER_ERRORS
from store.engines.redis.errors import disordered
from store.engines.redis.packing import LISTED_BYTES, MAX_BYTES, unpack, unpack_sealed
from store.engines.redis.scripts.reading import BYTES, COUNT, GET, GET_CHANGED, SCAN
from store.engines.redis.scripts.script import MAX_RECORDS, Script
from store.engines.redis.server import Server
from store.engines.redis.writing_steps import decoded, encoded, expiry_text, too_many
from store.rows.row import Header, Total, has_expired

PAGE_BYTES = 4 * 2**20  # of rows in one page, which the client holds at once
PAGE_SPACES = 8  # namespaces that one page looks at, each a round trip
SUMMED_SPACES = 100  # namespaces that one script reads the size of
NO_BODY = -1
_SHOWN = {Fields.ROW: 0, Fields.SEALED: 0, Fields.HEADER: NO_BODY, Fields.MARK: NO_BODY, Fields.LISTED: LISTED_BYTES}
_INDEX = {Order.INSERTED: 1, Order.NAME: 2, Order.EXPIRY: 3}  # which of the keys


Run = Callable[[Script, tuple[bytes, ...], Sequence[Any]], Any]
"""Runs a script with its keys and arguments, and returns its answer."""


class Reading:
    """The contract `Reads`, outside of any transaction.

    `run`: instead of `Server.run`, which waits and repeats. `bodies`: those that were read before, which the server
    sends again only if they changed.
    """

    def __init__(self, server: Server, run: Run | None = None, bodies: Bodies | None = None) -> None:
        self._server = server
        self._run = run or server.run
        self._bodies = bodies or Bodies()

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        if not names:
            return {}
        if len(names) > MAX_RECORDS:
            raise too_many(len(names))
        server, bodies = self._server, self._bodies
        keys = server.keys(namespace)
        if fields is Fields.SEALED and bodies.limit:
            kept = {name: body for name in names if (body := bodies.get(namespace, name)) is not None}
            if kept:
                return self._get_if_changed(namespace, names, kept)
        found = self._run(GET, (keys.rows, keys.meta), (server.id, _SHOWN[fields], MAX_BYTES, *map(encoded, names)))
        there = [(name, packed) for name, packed in zip(names, found, strict=True) if packed is not None]
        if fields is not Fields.SEALED:
            return {name: unpack(packed, namespace, name, fields) for name, packed in there}
        rows = unpack_sealed(namespace, there)
        for row in rows:
            if len(row.body) >= LEAST_BYTES:
                bodies.keep(namespace, row.name, row.seal, row.body)
        return {row.name: row for row in rows}

    def _get_if_changed(self, namespace: str, names: Sequence[str], kept: dict[str, Body]) -> dict[str, Any]:
        """Rows by one round trip, which sends none of the kept bodies that has not changed."""
        server, bodies = self._server, self._bodies
        keys = server.keys(namespace)
        given: list[Any] = [server.id, MAX_BYTES]
        for name in names:
            given += (encoded(name), kept[name].seal if name in kept else b"")
        try:
            packed = self._run(GET_CHANGED, (keys.rows, keys.meta), given)
            there = [(name, row) for name, row in zip(names, packed, strict=True) if row is not None]
            found = {row.name: row for row in unpack_sealed(namespace, there)}
        except BaseException:
            for name in kept:
                bodies.forget(namespace, name)
            raise
        for name, row in found.items():
            before = kept.pop(name, None)
            if before is not None and before.seal == row.seal:  # then the server has sent no body
                found[name] = row._replace(body=before.body)
            elif before is not None or len(row.body) >= LEAST_BYTES:
                bodies.keep(namespace, name, row.seal, row.body)
        for name in kept:
            bodies.forget(namespace, name)
        return found

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
        if namespace is None:
            return self._scan_all(order, after, until, limit, fields)
        keys = self._server.keys(namespace)
        how = order.value, _SHOWN[fields], min(limit, MAX_RECORDS), PAGE_BYTES, int(reverse)
        bounds = _bounds(order, after, until, prefix, reverse)
        before = None
        while True:
            more, position, number, *found = self._run(
                SCAN, (keys.rows, keys[_INDEX[order]], keys.meta), (self._server.id, *how, *bounds)
            )
            items = _unpacked(found, namespace, fields)
            if not more or order is not Order.NAME:
                return Page(items, _cursor(order, position, number) if more else None)
            # A name that no client of ours wrote is no cursor, and the server may not have them in their order.
            last = encoded(items[-1].name) if items else position
            before = encoded(after) if before is None and after is not None else before
            if before is not None and (last >= before if reverse else last <= before):
                raise disordered(keys.names, self._server.shown)
            if items:
                return Page(items, items[-1].name)
            before = last
            bounds = (bounds[0], b"(" + last) if reverse else (b"(" + last, bounds[1])

    def _scan_all(self, order: Order, after: Any, until: Any, limit: int, fields: Fields) -> Page:
        """A page of the first namespace that has one; the cursor is that namespace and a cursor there.

        A page without rows ends after some namespaces: a write that looks for what has expired must not ask them all.
        In order of insertion `until` is what `end` returns: the last id of each namespace that existed.
        """
        first, within = (None, None) if after is None else after
        spaces = [name for name in self.spaces() if first is None or name >= first]
        for place, space in enumerate(spaces):
            if place == PAGE_SPACES:
                return Page([], (space, None))
            bound = until
            if order is Order.INSERTED and until is not None:
                bound = dict(until).get(space)
                if bound is None:
                    continue
            page = self.scan(
                space, order, after=within if space == first else None, until=bound, limit=limit, fields=fields
            )
            if page.next is not None:
                return Page(page.items, (space, page.next))
            if page.items:
                following = spaces[place + 1 : place + 2]
                return Page(page.items, (following[0], None) if following else None)
        return Page([], None)

    def end(self, namespace: str | None) -> Cursor:
        if namespace is None:
            return tuple((space, self.end(space)) for space in self.spaces())
        server = self._server
        return server.number(namespace, "next")

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        server = self._server
        keys = server.keys(namespace)
        number, until = self._run(COUNT, (keys.rows, keys.expiry, keys.meta), (server.id, expiry_text(now)))
        return max(number, 0), math.inf if until is None else float(until)

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        found: list[str] = []
        for space in self.spaces():
            if (after is None or space > after) and self.count(space, now)[0]:
                found.append(space)
                if len(found) == limit:
                    break
        return found

    def spaces(self) -> list[str]:
        """All namespaces that ever had records, in order."""
        found: list[str] = []
        for name in self._server.spaces():
            with suppress(UnicodeDecodeError):  # no name of ours
                found.append(decoded(name))
        return sorted(found)

    def stored_bytes(self) -> int:
        """The bytes of all names and rows; the server takes more, for its own structures.

        Raises: StorageError.
        """
        server, spaces = self._server, self.spaces()
        at_once = 1 if server.is_cluster else SUMMED_SPACES  # the keys of one script are in one slot
        metas = [server.keys(space).meta for space in spaces]
        with suppress(*DRIVER_ERRORS, ValueError):
            groups = [tuple(metas[start : start + at_once]) for start in range(0, len(metas), at_once)]
            found = [one for answers in server.client.run_all(BYTES, groups) for one in answers]
            if all(store_id in (None, server.id) for store_id, _ in found):
                return sum(int(number or 0) for _, number in found)
        # One by one: that waits for a node that is away, and tells which namespace is damaged.
        return sum(server.number(space, "bytes") for space in spaces)

    def totals(self, namespace: str, now: float) -> list[Total]:
        """As `Engine.totals`; it reads all headers."""
        found: dict[tuple[str, int], Total] = {}
        after = None
        while True:
            page = self.scan(namespace, Order.INSERTED, after=after, limit=MAX_RECORDS, fields=Fields.HEADER)
            _add(found, page.items, now)
            after = page.next
            if after is None:
                return [found[key] for key in sorted(found)]


def _add(found: dict[tuple[str, int], Total], headers: Iterable[Header], now: float) -> None:
    for header in headers:
        if not has_expired(header, now):
            key = header.codec, header.protocol
            before = found.get(key, Total(*key, 0, 0, 0, 0))
            found[key] = before._replace(records=before.records + 1, bytes=before.bytes + header.size)


def _cursor(order: Order, position: bytes, number: bytes) -> Cursor | None:
    """The cursor behind an entry of the index by id or by expiry; None: it was empty.

    It is that of `cursor_of` for a sound row. A row that says something else would lead back, and round for ever.
    """
    if not position:
        return None
    if order is Order.EXPIRY:
        return float(position), int.from_bytes(number.ljust(8, b"\0"), "big")
    return inserted_after(position)


def inserted_after(score: bytes) -> Cursor:
    """The cursor behind an entry of the index by id: an int, but for a score that another program gave it."""
    found = float(score)
    return int(found) if found.is_integer() else found


def _unpacked(found: Sequence[bytes], namespace: str, fields: Fields) -> list[Any]:
    """The items of what SCAN returns."""
    if fields is Fields.SEALED:
        return unpack_sealed(namespace, _named(found))
    return [unpack(packed, namespace, name, fields) for name, packed in _named(found)]


def _named(found: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Names and rows of what SCAN returns."""
    for name, packed in zip(found[::2], found[1::2], strict=True):
        try:
            yield decoded(name), packed
        except UnicodeDecodeError:
            continue  # no name of ours; the contract leaves such names out of lists


def _bounds(order: Order, after: Any, until: Any, prefix: str, reverse: bool) -> tuple[bytes, ...]:
    """The last arguments of SCAN."""
    if order is Order.EXPIRY:
        time, number = (None, 0) if after is None else after
        return expiry_text(time), struct.pack(">Q", number), b"+inf" if until is None else expiry_text(until)
    if order is Order.NAME:
        return _between(after, until, prefix, reverse)
    if not reverse:
        return b"-inf" if after is None else b"(%r" % after, b"+inf" if until is None else b"%r" % until
    if after is not None and (until is None or after <= until):
        return b"-inf", b"(%r" % after
    return b"-inf", b"+inf" if until is None else b"%r" % until


def _between(after: str | None, until: str | None, prefix: str, reverse: bool) -> tuple[bytes, bytes]:
    """The names from and to which a scan goes, as the server writes bounds: `[` with them, `(` without."""
    end = successor(prefix) if prefix else None
    low = b"[" + encoded(prefix) if prefix else b"-"
    high = b"+" if end is None else b"(" + encoded(end)
    if until is not None and (end is None or until < end):
        high = b"[" + encoded(until)
    if after is not None and reverse and after <= (until or after) and (end is None or after < end):
        high = b"(" + encoded(after)
    if after is not None and not reverse and after >= prefix:
        low = b"(" + encoded(after)
    return low, high
