"""Maintenance of a location and of all its records at once: the contract `Care`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from store.engines.capabilities import Freed
from store.engines.contract import Fields, Order, Reads, in_pages
from store.engines.redis.handle import Handle
from store.engines.redis.reading import PAGE_BYTES, Reading
from store.engines.redis.scripts.leases import SWEEP_LEASES
from store.engines.redis.scripts.reading import NAMES, SIZES, STRAY, UNINDEXED
from store.engines.redis.writing import Writing
from store.engines.redis.writing_steps import decoded
from store.engines.reentry import refuse
from store.errors import RecordError, StorageError, StoreError
from store.rows.row import Row

if TYPE_CHECKING:
    from store.engines.capabilities import Copy

KEY_ID_BYTES = 8
SCANNED = 500  # names of a step, at most


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
        indexed = keys.rows, keys.order, keys.names, keys.expiry
        records, *sizes = server.run(SIZES, indexed, ())
        for index, number in zip(indexed[1:], sizes, strict=True):
            if number > records or (number < records and index != keys.expiry):
                yield f"the namespace {space!r} has {records} records, and {number} in {_text(index)}"
        if quick:
            return
        for names in self._stored(space):
            found = server.run(UNINDEXED, indexed, names)
            for name, place in zip(found[::2], found[1::2], strict=True):
                yield f"the record {name!r} of the namespace {space!r} has no place, or another one, in " + _text(
                    indexed[place - 1]
                )
        cursor = b"0"
        while True:
            cursor, entries = server.command(keys.expiry, b"ZSCAN", keys.expiry, cursor, b"COUNT", SCANNED)
            for entry in server.run(STRAY, (keys.rows, keys.expiry), entries[::2]):
                yield f"{entry!r} in {_text(keys.expiry)} has no record of the namespace {space!r}"
            if cursor == b"0":
                return

    def _stored(self, space: str) -> Iterator[list[bytes]]:
        """The names in the hash of rows, in no order; so many at once that their rows are a page."""
        server, keys = self._server, self._server.keys(space)
        records = server.command(keys.rows, b"HLEN", keys.rows)
        size = server.command(keys.meta, b"HGET", keys.meta, b"bytes") or b"0"
        average = max(int(size), 0) // max(records, 1) if size.isdigit() else PAGE_BYTES
        count = max(1, min(SCANNED, PAGE_BYTES // max(average, 1)))
        cursor = b"0"
        while True:
            cursor, *names = server.run(NAMES, (keys.rows,), (cursor, count))
            yield names
            if cursor == b"0":
                return

    def unread_commits(self) -> int:
        return 0

    def rows(self, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        """In order of insertion; then those that the index of that order does not have."""
        spaces = self._handle.read(self._reading, lambda rows: rows.namespaces(-math.inf))
        for space in sorted({*spaces, *self._reading.spaces()}):
            listed: set[str] = set()
            for item in in_pages(self._as_seen(), space, Order.INSERTED, fields=Fields.LISTED):
                listed.add(item.name)
                yield from self._row(space, item.name)
            for names in self._stored(space):
                for name in names:
                    if (text := _name(name)) not in listed:
                        yield from self._row(space, text)

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
