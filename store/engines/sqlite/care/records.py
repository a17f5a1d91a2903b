"""Maintenance of a database and of all its records at once: the contract `Care`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from store.engines.capabilities import Freed
from store.engines.contract import Order
from store.engines.sqlite import statements as sql
from store.engines.sqlite.care.backup import backup
from store.engines.sqlite.care.check import damage, unread_commits
from store.engines.sqlite.care.compact import Progress, compact
from store.engines.sqlite.care.copy import Copied
from store.engines.sqlite.care.progress import Progress as BytesDone
from store.engines.sqlite.engine.fetching import bad_index, until_repeated
from store.engines.sqlite.handle import Handle
from store.engines.sqlite.reading import Reading
from store.engines.sqlite.spill.copying import Check
from store.errors import Corrupt, StorageError
from store.rows.row import Row


class SqliteCare:
    """The contract `Care` of one handle."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def damage(self, *, quick: bool) -> list[str]:
        return damage(self._handle.engine, self._handle.timeout, quick=quick)

    def unread_commits(self) -> int:
        return unread_commits(self._handle.engine)

    def rows(self, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        """Read the table; after damage in it, read each row by its id from the index of names."""
        reading = Reading(self._handle)
        last, page = 0, None
        try:
            until = reading.end(None)
            while page is None or page.next is not None:
                page = reading.scan(None, Order.INSERTED, after=last, until=until)
                for row in page.items:
                    last = row.id
                    yield row
        except (Corrupt, StorageError) as exc:
            damage.append(str(exc))
            yield from self._behind(last)

    def _behind(self, last: int) -> Iterator[Row | tuple[str, str]]:
        for id_, namespace, name in self._listed():
            if isinstance(id_, int) and id_ > last:
                try:
                    row = self._handle.one(sql.BY_ID, (id_,))
                except (Corrupt, StorageError):
                    row = None
                yield (str(namespace), str(name)) if row is None else Row._make(row)

    def unfound(self, damage: list[str]) -> Iterator[tuple[str, str]]:
        listed: dict[Any, tuple[Any, Any]] = {}
        until = Reading(self._handle).end(None)  # what is written from now on is in no list yet
        try:
            for id_, namespace, name in self._listed():
                listed[id_] = namespace, name
        except (Corrupt, StorageError) as exc:
            damage.append(str(exc))
        for id_, namespace, name in self._handle.all(sql.EVERY_NAME, (until,)):
            if listed.get(id_) != (namespace, name):
                yield str(namespace), str(name)

    def _listed(self) -> Iterator[tuple[Any, Any, Any]]:
        """Id, namespace and name of every record in the index of names.

        Raises: Corrupt: at the end, if the index forms a circle.
        """
        handle = self._handle
        found, ends = handle.engine.read(sql.NAMES_BY_INDEX, (), until_repeated, 0.0, handle.timeout)
        yield from found
        if not ends:
            raise bad_index(handle.location)

    def row_count(self) -> int:
        count: int = self._handle.one(sql.ROW_COUNT, ())[0]
        return count

    def count_by_key(self) -> dict[bytes, int]:
        counts = self._handle.all(sql.COUNT_BY_KEY, ())
        return {key_id: count for key_id, count in counts if isinstance(key_id, bytes)}

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        handle, after = self._handle, b""
        while page := [key_id for (key_id,) in handle.all(sql.SEALERS_AFTER, (after, sql.MOST_SEALERS))]:
            if page[-1] <= after:
                raise Corrupt(f"{handle.location}: its list of keys leads back to its beginning; recover the store")
            after = page[-1]
            forgotten = [(key_id,) for key_id in page if key_id not in key_ids]
            if forgotten:
                with handle.transaction():  # in steps, between which other writers get their turn
                    handle.engine.write_many(sql.FORGET_SEALER, forgotten, (), 0)
        handle.engine.known_sealers &= key_ids

    def reseal(self, row: Row, before: bytes) -> bool:
        values = (row.seal, row.crc, row.id, row.namespace, row.name, before)
        return self._handle.write(sql.RESEAL, values, ((row.namespace, row.name),)) > 0

    def orphans(self) -> list[str]:
        return self._handle.engine.spill.orphans(self._handle.timeout)

    def compact(self, progress: Progress | None) -> Freed:
        self._handle.check_writable()
        return compact(self._handle.engine, self._handle.timeout, progress)

    def backup(self, path: str, check: Check, progress: BytesDone | None) -> Copied:
        return backup(self._handle.engine, path, check, progress, self._handle.timeout)
