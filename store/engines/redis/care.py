"""Maintenance of a location and of all its records at once: the contract `Care`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from store.engines.capabilities import Freed
from store.engines.contract import PAGE_ROWS, Cursor, Fields, Order, Reads, in_pages
from store.engines.redis.handle import Handle
from store.engines.redis.reading import PAGE_BYTES, Reading, inserted_after
from store.engines.redis.scripts.leases import SWEEP_LEASES
from store.engines.redis.scripts.reading import SIZES, STRAY, UNLISTED
from store.engines.redis.scripts.script import MAX_RECORDS
from store.engines.redis.writing import Writing
from store.engines.redis.writing_steps import decoded, encoded
from store.engines.reentry import refuse
from store.errors import RecordError, StorageError, StoreError
from store.rows.row import Row

if TYPE_CHECKING:
    from store.engines.capabilities import Copy

KEY_ID_BYTES = 8


class RedisCare:
    """The contract `Care` of one handle. What it reads of a whole store is not of one moment."""

    def __init__(self, handle: Handle, reading: Reading, writing: Writing) -> None:
        self._handle = handle
        self._server = handle.server
        self._reading = reading
        self._writing = writing

    # -- checks

    def damage(self, *, quick: bool) -> list[str]:
        """Records and indexes that do not match, as another program may have left them: ours change them together."""
        try:
            return [problem for space in self._reading.spaces() for problem in self._damage_of(space, quick)]
        except StorageError as exc:
            return [str(exc)]

    def _damage_of(self, space: str, quick: bool) -> Iterator[str]:
        """Each comparison is of one moment, so that others may write meanwhile."""
        keys, server = self._server.keys(space), self._server
        for field in ("next", "version", "bytes"):
            try:
                server.number(space, field)
            except StorageError as exc:
                yield str(exc)
        records, *sizes = server.run(SIZES, (keys.rows, keys.order, keys.names, keys.expiry), ())
        for index, number in zip((keys.order, keys.names, keys.expiry), sizes, strict=True):
            if number > records or (number < records and index != keys.expiry):
                yield f"the namespace {space!r} has {records} records, and {number} in {_text(index)}"
        if quick:
            return
        for *unlisted, misplaced in self._unlisted(space):
            for index, names in zip((keys.order, keys.names), unlisted, strict=True):
                for name in names:
                    yield f"the record {name!r} of the namespace {space!r} is not in {_text(index)}"
            for name in misplaced:
                yield f"the record {name!r} of the namespace {space!r} is not in its place in all of its indexes"
        yield from self._stray(space)

    def _stray(self, space: str) -> Iterator[str]:
        """Expiries without a record."""
        server, keys, cursor = self._server, self._server.keys(space), b"0"
        while True:
            cursor, entries = server.command(keys.expiry, b"ZSCAN", keys.expiry, cursor, b"COUNT", PAGE_ROWS)
            for entry in server.run(STRAY, (keys.rows, keys.expiry), entries[::2]):
                yield f"{entry!r} in {_text(keys.expiry)} has no record of the namespace {space!r}"
            if cursor == b"0":
                return

    def _unlisted(self, space: str) -> Iterator[list[list[bytes]]]:
        """The names of stored rows that the index of order, and that of names, does not have; step by step.

        Then those that an index has in another place.
        """
        server = self._server
        keys, cursor = server.keys(space), b"0"
        while True:
            given = server.id, cursor, MAX_RECORDS, PAGE_BYTES
            cursor, *found = server.run(UNLISTED, (keys.rows, keys.order, keys.names, keys.meta, keys.expiry), given)
            if any(found):
                yield found
            if cursor == b"0":
                return

    def unread_commits(self) -> int:
        return 0

    def rows(self, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        """In order of insertion; then those that the index of that order does not have."""
        spaces = self._handle.read(self._reading, lambda rows: rows.namespaces(-math.inf))
        for space in sorted({*spaces, *self._reading.spaces()}):
            yield from self._in_order(space)
            for names, *_ in self._unlisted(space):
                for name in names:
                    yield from self._row(space, _name(name))

    def _in_order(self, space: str) -> Iterator[Row | tuple[str, str]]:
        """Page by page. A damaged row is an error of its whole page: then they come one by one for a while."""
        after: Cursor = None
        limit = PAGE_ROWS
        while True:
            try:
                page = self._as_seen().scan(space, Order.INSERTED, after=after, limit=limit)
            except RecordError as exc:
                if limit == 1:
                    assert exc.name is not None
                    after = self._place(space, exc.name, after)
                    yield space, exc.name
                limit = 1
                continue
            yield from page.items
            if page.next is None:
                return
            after, limit = page.next, min(2 * limit, PAGE_ROWS)

    def _place(self, space: str, name: str, before: Cursor) -> Cursor:
        """The cursor of a record, by the index of order; `before` if it was deleted meanwhile."""
        index = self._server.keys(space).order
        found = self._server.command(index, b"ZSCORE", index, encoded(name))
        return before if found is None else inserted_after(found)

    def _row(self, space: str, name: str) -> Iterator[Row | tuple[str, str]]:
        try:
            yield from self._as_seen().get(space, (name,)).values()
        except RecordError:
            yield space, name

    def _as_seen(self) -> Reads:
        """The rows as the caller sees them, inside its transaction too."""
        return self._handle.read(self._reading, lambda rows: rows)

    def unfound(self, damage: list[str]) -> Iterator[tuple[str, str]]:
        """None: records are stored by their names."""
        return iter(())

    def row_count(self) -> int:
        spaces = map(self._server.keys, self._reading.spaces())
        return sum(self._server.command(keys.rows, b"HLEN", keys.rows) for keys in spaces)

    # -- keys

    def count_by_key(self) -> dict[bytes, int]:
        found: Counter[bytes] = Counter()
        for space in self._reading.spaces():
            for header in in_pages(self._reading, space, Order.INSERTED, fields=Fields.HEADER):
                found[header.seal[:KEY_ID_BYTES]] += 1
        return dict(found)

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        self._handle.check_open(is_writing=True)
        server = self._server
        gone = set(server.command(server.own.sealers, b"SMEMBERS", server.own.sealers)) - key_ids
        if gone:
            server.command(server.own.sealers, b"SREM", server.own.sealers, *sorted(gone))

    def reseal(self, row: Row, before: bytes) -> bool:
        handle = self._handle
        return handle.write(
            lambda view: view.reseal(row, before), lambda: self._writing.reseal(row, before, handle.timeout)
        )

    # -- space

    def orphans(self) -> list[str]:
        return []

    def compact(self, progress: Callable[[int, int], None] | None) -> Freed:
        """Removes leases of clients that died; the server itself frees the memory of records at once."""
        handle = self._handle
        handle.check_open(is_writing=True)
        refuse(self._server.visitors.current())
        self._refuse_inside("compacted")
        spaces = self._reading.spaces()
        for number, space in enumerate(spaces, 1):
            self._server.run(SWEEP_LEASES, (self._server.keys(space).leases,), ())
            if progress is not None:
                progress(number, len(spaces))
        return Freed()

    # -- copies

    def backup(self, path: str, check: Callable[[Row], bool], progress: Callable[[int, int], object] | None) -> Copy:
        """An SQLite file with all records, each of the moment when it was read."""
        self._handle.check_open()
        self._refuse_inside("backed up")
        from store.engines.sqlite.care.of_rows import backup_of_rows  # only a backup needs that engine

        found = in_pages(self._reading, None, Order.INSERTED, until=self._reading.end(None))
        rows = (row._replace(id=number) for number, row in enumerate(found, 1))  # ids are those of a namespace here
        return backup_of_rows(self._server.id, rows, path, check, progress, self._handle.timeout)

    def _refuse_inside(self, what: str) -> None:
        if self._server.visitors.is_caller_inside():
            raise StoreError(
                f"{self._handle.location} cannot be {what} inside its transaction; leave the block first"
            )


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _name(name: bytes) -> str:
    try:
        return decoded(name)
    except UnicodeDecodeError:
        return _text(name)
