"""Large values of the PostgreSQL engine, as parts in chunks: the contract `Blobs`.

The life of a part: written in commits of its own, or in the transaction that is open; claimed by the transaction that
puts the row which names it; removed by a trigger in the commit after which the record names it no more. The server
keeps what an open statement reads, so a reader reads its part to the end; one that comes too late reads the record
again. A part that was written for no row is removed by `discard`, or by `compact` when its writer was killed.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, Protocol, TypeVar

from store.engines.postgres import parts as chunked
from store.engines.postgres.connection import Connection
from store.engines.postgres.handle import Handle
from store.engines.postgres.part_statements import PartStatements
from store.engines.postgres.place import ThreadPlace
from store.engines.reentry import refuse
from store.errors import Corrupt, StorageError, StoreError
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part

T = TypeVar("T")


class Ending(Protocol):
    """A transaction, whose end decides whether parts are kept."""

    def on_rollback(self, undo: Callable[[], None]) -> None: ...

    def on_commit(self, done: Callable[[], None]) -> None: ...


class Pending:
    """The parts of a row that was not committed yet."""

    def __init__(self, files: list[str]) -> None:
        self.files = files
        self.is_claimed = False  # whether a row that names them was put, perhaps not committed


class PostgresBlobs:
    """The contract `Blobs`, for all handles that were shared from one. Safe across threads."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._statements = PartStatements(handle.sessions.location, handle.sessions.same)
        self._pending: dict[str, Pending] = {}  # by the text `spill` of their row

    # -- writing

    def write(self, namespace: str, name: str, contents: Sequence[Any], timeout: float) -> str:
        prefix = self.prefix(namespace, name)
        new = [chunked.content_of(spilled.new_file(prefix), content) for content in contents]
        text = spilled.text_of([Part(part.file, len(part.view), part.checksum) for part in new])
        self._write(namespace, name, text, new, [])
        return text

    def restore(
        self, namespace: str, name: str, parts: Sequence[Part], contents: Sequence[Any], timeout: float
    ) -> str:
        new, kept = [], []
        for part, content in zip(parts, contents, strict=True):
            if content is None:
                continue
            problem = self.problem(part, content=True)
            if problem is None:
                kept.append(part.file)
            elif self._is_there(part):
                raise StorageError(
                    f"{self._handle.location}: the part {part.file} is there already, and is another one",
                    errno=errno.EEXIST,
                    path=self._handle.location,
                )
            else:
                new.append(chunked.content_of(part.file, content))
        text = spilled.text_of(parts)
        self._write(namespace, name, text, new, kept)
        return text

    def _write(self, namespace: str, name: str, text: str, new: Sequence[chunked.Content], kept: list[str]) -> None:
        """Write parts, and expect them and those that are there already to be claimed."""
        self._refuse_writing()
        files = [part.file for part in new]
        attempts = 0

        def upload(conn: Connection, place: ThreadPlace | None) -> None:
            nonlocal attempts
            attempts += 1
            if attempts > 1:  # the connection was lost, with an unknown share of them written
                conn.execute(self._statements.remove, (files,))
            for part in new:
                chunked.write(conn, self._statements, namespace, name, part)
            if place is None:
                conn.take_unconfirmed()  # the commit of the row, which comes after these, waits for the standbys too

        pending = Pending([*files, *kept])
        transaction = self._handle.server.visitors.current().live_transaction()
        self._pending[text] = pending
        try:
            self._handle.read(upload)  # nothing that can be seen is written, so it may begin again
        except BaseException:
            self.discard(text)
            raise
        if transaction is not None:  # they end with it
            transaction.on_rollback(lambda: self._forget(text))
            transaction.on_commit(lambda: self._forget(text))

    def claim(self, row: Row, transaction: Ending) -> None:
        """Bind the parts to the transaction that has put the row which names them.

        Raises:
            StorageError: they were removed since; the row must not be committed.
        """
        text = row.spill or ""
        pending = self._pending.get(text)
        if pending is None:
            return
        values = (pending.files, row.namespace, row.name)
        if self._one(self._statements.claim, values)[0] != len(pending.files):
            raise StorageError(
                f"{self._handle.location}: the parts of a value were removed before its row was written, since that "
                "took too long; write it again",
                path=self._handle.location,
            )
        pending.is_claimed = True
        self._end_with(transaction, text, pending)

    def is_pending(self, text: str) -> bool:
        """Whether parts were written for a row with that text, and the row is not committed yet."""
        return text in self._pending

    def discard(self, text: str) -> None:
        pending = self._pending.get(text)
        if pending is None or pending.is_claimed:  # its transaction decides
            return
        self._pending.pop(text, None)
        with suppress(StoreError):  # an orphan does no harm
            self._handle.read(lambda conn, place: conn.execute(self._statements.discard, (pending.files,)))

    def _end_with(self, transaction: Ending, text: str, pending: Pending) -> None:
        def undo() -> None:
            pending.is_claimed = False

        transaction.on_rollback(undo)
        transaction.on_commit(lambda: self._forget(text))

    def _forget(self, text: str) -> None:
        self._pending.pop(text, None)

    def _refuse_writing(self) -> None:
        handle = self._handle
        handle.check_open(is_writing=True)
        place = handle.server.visitors.current()
        if place.operation is not None or place.transaction is not None:
            refuse(place)

    # -- reading

    def prefix(self, namespace: str, name: str) -> str:
        return spilled.prefix_of(self._handle.sessions.id, namespace, name)

    def body(self, part: Part) -> bytes:
        buffer = io.BytesIO()  # `getvalue` returns its bytes without a copy, if it has exactly their size

        def fill(conn: Connection, place: ThreadPlace | None) -> None:
            chunked.check(conn, self._statements, part)  # before the memory for it is taken
            if part.bytes:
                buffer.seek(part.bytes - 1)
                buffer.write(b"\0")
            with buffer.getbuffer() as view:
                self._fill(conn, part, view)

        self._handle.read(fill)
        return buffer.getvalue()

    def buffer(self, part: Part, *, mapped: bool, verify: bool) -> memoryview:
        def copied(conn: Connection, place: ThreadPlace | None) -> memoryview:
            chunked.check(conn, self._statements, part)
            view = memoryview(bytearray(part.bytes))
            self._fill(conn, part, view)
            return view

        view = self._handle.read(copied)
        return view.toreadonly() if mapped else view

    def _fill(self, conn: Connection, part: Part, view: memoryview) -> None:
        done = 0
        for chunk in chunked.chunks(conn, self._statements, part):
            if done + len(chunk) > len(view):
                raise chunked.corrupt(part, "is longer than it was written")
            view[done : done + len(chunk)] = chunk
            done += len(chunk)

    def problem(self, part: Part, *, content: bool) -> str | None:
        def look(conn: Connection, place: ThreadPlace | None) -> None:
            if not content:
                chunked.check(conn, self._statements, part)
                return
            for _ in chunked.chunks(conn, self._statements, part):
                pass

        try:
            self._handle.read(look)
        except Corrupt as exc:
            return exc.message
        return None

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        """Refuses nothing: no compression of the server makes a chunk smaller than a 256th of its size.

        Before memory for a part is taken, its size is compared with that of its chunks.
        """

    def contents(self, part: Part) -> bytes | None:
        def joined(conn: Connection, place: ThreadPlace | None) -> bytes:
            buffer = io.BytesIO()
            with closing(chunked.rows(conn, self._statements, part)) as rows:
                for _, data in rows:
                    buffer.write(data)
            return buffer.getvalue()

        return self._handle.read(joined) if self._is_there(part) else None

    # -- orphans

    def orphans(self) -> list[str]:
        """The parts that no record names, and that were not written to for an hour."""
        found = self._handle.read(lambda conn, place: conn.execute(self._statements.orphans).fetchall())
        return [file for (file,) in found]

    def remove_orphans(self, files: Sequence[str]) -> tuple[int, int]:
        """Remove those of these parts that still are orphans; returns how many, and their bytes."""
        self._refuse_writing()
        count, size = self._one(self._statements.remove_orphans, (list(files),))
        return int(count), int(size)

    def _is_there(self, part: Part) -> bool:
        return self._one(self._statements.header, (part.file,)) is not None

    def _one(self, statement: str, values: Sequence[Any]) -> Any:
        return self._handle.one(statement, values)
