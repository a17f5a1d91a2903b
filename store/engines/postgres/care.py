"""Maintenance of a database and of all its records at once: the contract `Care`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from store.engines.capabilities import Freed
from store.engines.contract import Order
from store.engines.postgres.blobs import PostgresBlobs
from store.engines.postgres.care_statements import CareStatements
from store.engines.postgres.connection import Connection
from store.engines.postgres.handle import Handle
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.reading import Reading
from store.engines.postgres.snapshot import Snapshot
from store.engines.reentry import refuse
from store.errors import StorageError, StoreError
from store.rows.row import Row
from store.system.file_status import writing

if TYPE_CHECKING:
    from store.engines.capabilities import Copy

STEP_PARTS = 16  # removed in one commit

Progress = Callable[[int, int], None]


class PostgresCare:
    """The contract `Care` of one handle."""

    def __init__(self, handle: Handle, blobs: PostgresBlobs) -> None:
        self._handle = handle
        self._blobs = blobs
        self._statements = CareStatements(handle.sessions.location, handle.sessions.same)

    # -- checks

    def damage(self, *, quick: bool) -> list[str]:
        """The server checks pages as it reads them; indexes are compared if the extension `amcheck` is there."""
        handle = self._handle
        try:
            handle.one(self._statements.row_count, ())
        except StorageError as exc:
            return [str(exc)]
        amcheck = None if quick else handle.one(self._statements.amcheck, ())
        return [] if amcheck is None else list(self._index_damage(amcheck[0]))

    def _index_damage(self, amcheck: str) -> Iterator[str]:
        handle, check = self._handle, self._statements.check_index(amcheck)
        for (index,) in handle.all(self._statements.indexes, (self._statements.names,)):
            try:
                handle.one(check, (index,))
            except StorageError as exc:
                yield str(exc)

    def unread_commits(self) -> int:
        return 0

    def rows(self, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        """Read the table in pages; after damage in it, read each row by itself."""
        reading = Reading(self._handle)
        last, page = 0, None
        try:
            until = reading.end(None)
            while page is None or page.next is not None:
                page = reading.scan(None, Order.INSERTED, after=last, until=until)
                for row in page.items:
                    last = row.id
                    yield row
        except StorageError as exc:
            damage.append(str(exc))
            yield from self._behind(last, damage)

    def _behind(self, last: int, damage: list[str]) -> Iterator[Row | tuple[str, str]]:
        for id_, namespace, name in sorted(self._listed(by_index=True)):
            if id_ > last:
                try:
                    values = self._handle.one(self._statements.by_id, (id_,))
                except StorageError as exc:
                    damage.append(str(exc))
                    yield namespace, name
                else:
                    if values is not None:
                        yield Row._make(values)

    def unfound(self, damage: list[str]) -> Iterator[tuple[str, str]]:
        """The rows that a walk along the table finds, and the index of names does not."""
        try:
            listed = set(self._listed(by_index=True))
        except StorageError as exc:
            damage.append(str(exc))
            listed = set()
        for id_, namespace, name in self._listed(by_index=False):
            if (id_, namespace, name) not in listed and self._find(namespace, name) != id_:
                yield namespace, name

    def _find(self, namespace: str, name: str) -> int | None:
        """The id that the index leads to now: a row may have been written since the walk along it."""
        found = Reading(self._handle).get(namespace, (name,)).get(name)
        return None if found is None else found.id

    def _listed(self, *, by_index: bool) -> list[tuple[int, str, str]]:
        with Snapshot(self._handle) as snapshot:
            return snapshot.listed(by_index=by_index)

    def row_count(self) -> int:
        return int(self._handle.one(self._statements.row_count, ())[0])

    # -- keys

    def count_by_key(self) -> dict[bytes, int]:
        return {bytes(key_id): count for key_id, count in self._handle.all(self._statements.count_by_key, ())}

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        handle = self._handle
        handle.write(lambda conn, place: conn.execute(self._statements.forget_sealers_but, (sorted(key_ids),)))
        handle.server.known_sealers &= key_ids

    def reseal(self, row: Row, before: bytes) -> bool:
        lock = self._handle.sessions.lock_of(row.namespace)
        values = (row.namespace, row.name, before, row.seal, row.crc)
        statement = self._handle.sessions.statements.reseal

        def work(conn: Connection, place: ThreadPlace | None, token: UUID | None) -> int:
            done = conn.execute(statement, (lock, token, *values), binary=True).fetchone()
            return 0 if done is None else int(done[0])

        return bool(self._handle.change(work, [row.namespace], len))

    # -- space

    def orphans(self) -> list[str]:
        return self._blobs.orphans()

    def compact(self, progress: Progress | None) -> Freed:
        handle = self._handle
        handle.check_open(is_writing=True)
        refuse(handle.server.visitors.current())
        self._refuse_inside("compacted")
        before = self._bytes()
        files = iter(self.orphans())
        orphans = size = done = 0
        tell = progress or (lambda done, total: None)
        while step := list(islice(files, STEP_PARTS)):
            removed, removed_bytes = self._blobs.remove_orphans(step)
            orphans, size, done = orphans + removed, size + removed_bytes, done + len(step)
            tell(done, done + len(self._statements.vacuum) + 1)
        self._vacuum(lambda step: tell(done + step, done + len(self._statements.vacuum)))
        return Freed(0, orphans, size, max(0, before - self._bytes()))

    def _vacuum(self, tell: Callable[[int], None]) -> None:
        """Free the space of deleted rows, if this user owns the tables; the server does so by itself, later."""
        statements = self._statements
        is_owner = self._handle.one(statements.can_vacuum, (statements.names,))[0]
        for step, statement in enumerate(statements.vacuum, 1):
            if is_owner:
                # By a cursor: `Connection.execute` makes a transaction behind a pooler, in which VACUUM is refused.
                self._handle.write(lambda conn, place, statement=statement: conn.cursor().execute(statement))  # type: ignore[misc]
            tell(step)

    def _bytes(self) -> int:
        return int(self._handle.one(self._statements.bytes, (self._statements.names,))[0])

    # -- copies

    def backup(self, path: str, check: Callable[[Row], bool], progress: Callable[[int, int], object] | None) -> Copy:
        """An SQLite file with all records of one moment, by one snapshot that blocks no writer."""
        self._handle.check_open()
        self._refuse_inside("backed up")
        from store.engines.sqlite.care.of_rows import backup_of_snapshot  # only a backup needs that engine

        handle = self._handle
        with writing(path), Snapshot(handle) as snapshot:
            return backup_of_snapshot(handle.sessions.id, snapshot, path, check, progress, handle.timeout)

    def _refuse_inside(self, what: str) -> None:
        if self._handle.server.visitors.is_caller_inside():
            raise StoreError(
                f"{self._handle.location} cannot be {what} inside its transaction; leave the block first"
            )
