"""The spill files of an SQLite store: writing, keeping and dropping them, and finding orphans.
The life of a file: written and synced; named by a row that commits; named by `garbage` from the commit on that drops
the row; removed after a checkpoint has folded and synced that commit. Removed any earlier, a power cut could take the
commit back and leave the row without its file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakSet, ref

from store.engines.reentry import refuse
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.fetching import Fetch, by_id, fetch_one
from store.engines.sqlite.engine.thread_connection import ThreadConnection
from store.engines.sqlite.engine.usability import Usability
from store.engines.sqlite.opening.strategy import Strategy
from store.engines.sqlite.spill import reading as spill_reading
from store.engines.sqlite.spill import writing as spill_writing
from store.engines.sqlite.spill.folder import Folder
from store.engines.sqlite.spill.garbage import forget_garbage
from store.engines.sqlite.spill.hollow import refuse_hollow
from store.engines.sqlite.spill.pending import Pending, SharedHold
from store.errors import Corrupt, ReadOnly, StorageError, StoreError
from store.rows import spilled
from store.rows.spilled import Part
from store.system import running
from store.system.file_status import writing
from store.system.reentry import is_interrupting

T = TypeVar("T")

NO_WAIT = 0.0  # seconds


class File(Protocol):
    """The database, as its large values use it."""

    def check_in_place(self) -> None: ...


class Host(Protocol):
    """The engine, as its large values use it."""

    path: str
    read_only: bool
    strategy: Strategy
    usability: Usability

    @property
    def file(self) -> File: ...

    @property
    def store_id(self) -> bytes: ...

    def connection(self) -> ThreadConnection: ...

    def read(self, statement: str, params: Sequence[Any], fetch: Fetch[T], now: float, timeout: float) -> T: ...

    def read_together(
        self, statements: Sequence[tuple[str, Sequence[Any]]], now: float, timeout: float, walk: Any
    ) -> list[Any]: ...


class Ending(Protocol):
    """A transaction, whose end decides whether files are kept."""

    def on_rollback(self, undo: Callable[[], None]) -> None: ...

    def on_commit(self, done: Callable[[], None]) -> None: ...


class SqliteSpill:
    """The contract `Blobs` of `store.engines.capabilities`, for all handles on one engine."""

    def __init__(self, engine: Host) -> None:
        self._engine = engine
        self.folder = Folder(engine.path, engine.path + spilled.FOLDER_SUFFIX)
        self._hold = SharedHold(self.folder)
        self._pending: dict[str, Pending] = {}  # by the text `spill` of their row
        self._cleared: WeakSet[Any] = WeakSet()  # transactions that have dropped leftovers, before their first file

    # -- writing

    def write(self, namespace: str, name: str, contents: Sequence[Any], timeout: float) -> str:
        return self._write(namespace, name, timeout, partial(self._new, contents=contents))

    def restore(
        self, namespace: str, name: str, parts: Sequence[Part], contents: Sequence[Any], timeout: float
    ) -> str:
        return self._write(namespace, name, timeout, partial(self._again, parts=parts, contents=contents))

    def _write(self, namespace: str, name: str, timeout: float, write: Any) -> str:
        engine = self._engine
        engine.usability.check()
        if engine.read_only:
            raise ReadOnly(
                f'{engine.path} was opened with mode="r"; open it with mode="w" to write', path=engine.path
            )
        refuse(engine.connection())  # an interrupted operation may hold the lock of the folder, and resume later
        self.drop_leftovers()
        engine.file.check_in_place()  # otherwise the folder would be created beside another file
        pending = Pending(self._hold.take(timeout), namespace, name)
        try:
            with writing(self.folder.path):
                text = spilled.text_of(write(pending))
        except BaseException:
            self._remove(pending)
            raise
        self._pending[text] = pending
        transaction = engine.connection().current()
        if transaction is not None:
            pending.transaction = ref(transaction.outermost())
            self._end_with(transaction, text)
        return text

    def _new(self, pending: Pending, contents: Sequence[Any]) -> list[Part]:
        prefix = self.prefix(pending.namespace, pending.name)
        return spill_writing.write_parts(self.folder, pending.folder, prefix, contents, pending.files)

    def _again(self, pending: Pending, parts: Sequence[Part], contents: Sequence[Any]) -> list[Part]:
        for part, content in zip(parts, contents, strict=True):
            if content is None:
                continue
            try:
                spill_writing.write_as(self.folder, pending.folder, part.file, content)
                pending.files.append(part.file)
            except FileExistsError:
                if spill_reading.problem_of(self.folder, part) is not None:
                    raise
                pending.folder.sync_file(part.file)  # its writer may have been killed before the sync
        return list(parts)

    def claim(self, text: str, transaction: Ending) -> None:
        """Bind the files to the transaction that wrote a row which names them.

        Raises:
            StorageError: the files were not written for it, or dropped since; the row must not be committed.
        """
        pending = self._pending.get(text)
        if pending is None:
            raise StorageError(
                f"{self.folder.path}: the files of a value were given up before its row was written; write it again",
                path=self.folder.path,
            )
        pending.is_stored = True
        self._end_with(transaction, text)

    def discard(self, text: str) -> None:
        pending = self._pending.get(text)
        if pending is not None and not pending.is_stored:  # otherwise its transaction decides
            self._rolled_back(text)

    def _end_with(self, transaction: Ending, text: str) -> None:
        transaction.on_rollback(partial(self._rolled_back, text))
        transaction.on_commit(partial(self._committed, text))

    def _committed(self, text: str) -> None:
        pending = self._pending.pop(text, None)
        if pending is not None and pending.is_stored:
            pending.release()
        elif pending is not None:
            self._remove(pending)

    def _rolled_back(self, text: str) -> None:
        """Remove the files, unless a row or `garbage` names them: an interrupt may have come after the commit."""
        pending = self._pending.pop(text, None)
        if pending is None:
            return
        if self._engine.usability.is_forked or (pending.is_stored and self._may_be_named(pending, text)):
            pending.release()
        else:
            self._remove(pending)

    def _may_be_named(self, pending: Pending, text: str) -> bool:
        try:
            values = (pending.namespace, pending.name, text, pending.files[0] if pending.files else "")
            return self._engine.read(sql.IS_SPILL_NAMED, values, fetch_one, 0.0, NO_WAIT) is not None
        except StoreError:
            return True  # an orphan does no harm

    def _remove(self, pending: Pending) -> None:
        try:
            with suppress(OSError):
                self.folder.remove(pending.files)
        finally:
            pending.release()

    def drop_leftovers(self) -> None:
        """Drop files of this thread that an interrupt left: outside of transactions it packs one value at a time.

        A signal handler or a finalizer drops none, since the interrupted code may be packing another value.
        """
        current = self._engine.connection().current()
        transaction = None if current is None else current.outermost()
        if transaction in self._cleared:  # all files since belong to that transaction
            return
        mine = running.ident()
        for text, pending in list(self._pending.items()):
            if pending.thread == mine and not pending.is_of(transaction) and not is_interrupting():
                self._rolled_back(text)
        if transaction is not None:
            self._cleared.add(transaction)

    def forget(self) -> None:
        """Release all files when the engine closes; they become orphans."""
        while self._pending:
            self._pending.popitem()[1].release()

    def renew(self) -> None:
        """In a forked child: forget the parent's files."""
        self._hold.close()
        self.forget()

    # -- reading

    def prefix(self, namespace: str, name: str) -> str:
        return spilled.prefix_of(self._engine.store_id, namespace, name)

    def body(self, part: Part) -> bytes:
        return spill_reading.copied(self.folder, part)

    def buffer(self, part: Part, *, mapped: bool, verify: bool) -> memoryview:
        if mapped and self._engine.strategy.maps_files:
            return spill_reading.mapped(self.folder, part, verify=verify)
        view = spill_reading.private(self.folder, part, verify=verify)
        return view.toreadonly() if mapped else view

    def problem(self, part: Part, *, content: bool) -> str | None:
        return spill_reading.problem_of(self.folder, part, content=content)

    def refuse_hollow(self, parts: Sequence[Part]) -> None:
        refuse_hollow(self.folder, parts)

    def contents(self, part: Part) -> bytes | None:
        return spill_reading.contents(self.folder, part)

    # -- removing unused files

    def collect(self, conn: sqlite3.Connection, mode: str, limit: int) -> tuple[int, int]:
        """Checkpoint, then remove files whose garbage rows are folded and synced; returns how many, and their bytes.

        Under the writer's lock, so that no other rows are added meanwhile. SQLite syncs the database before it
        reports that all frames are in it (https://sqlite.org/pragma.html#pragma_wal_checkpoint). Without a WAL, for
        which it reports -1, a commit is synced when it returns.
        """
        files = [file for (file,) in conn.execute(sql.GARBAGE, (limit,))]
        busy, frames, folded = conn.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        least = -1 if self._engine.strategy.journal != "WAL" else 0
        if not files or busy or not frames == folded >= least:
            return 0, 0
        try:
            gone, freed = self.folder.remove(files)
        except OSError:  # the next call tries again
            return 0, 0
        forget_garbage(conn, [*gone, *(file for file in files if not spilled.is_file(file))])
        return len(gone), freed

    def orphans(self, timeout: float) -> list[str]:
        with writing(self.folder.path), suppress(FileNotFoundError):
            with self.folder.opened() as folder:
                if not folder.lock_exclusively(NO_WAIT if self._engine.connection().current() else timeout):
                    return []  # files that are being written look like orphans
                listed = folder.files()
                folder.unlock()
                left = self.unnamed(listed) if listed else set()
                return sorted(left & folder.files())  # without garbage that was removed meanwhile
        return []

    def unnamed(self, files: Iterable[str]) -> set[str]:
        """The files that neither a row nor `garbage` names; a damaged row keeps all files with its prefix.

        Empty if the lock of the folder does not show all writers: over a network another machine may be writing them.
        """
        if not self._engine.strategy.knows_writers:
            return set()
        rows = self._engine.read_together([(sql.EVERY_SPILL, ()), (sql.EVERY_GARBAGE, ())], 0.0, NO_WAIT, by_id)
        named: set[str] = set()
        damaged: set[str] = set()
        for row in rows:
            if len(row) == 2:
                named.add(str(row[0]))
                continue
            prefix = self.prefix(str(row[0]), str(row[1]))
            try:
                named.update(part.file for part in spilled.parts_of(row[2], prefix))
            except Corrupt:
                damaged.add(prefix)
        return {file for file in files if file not in named and file.partition("-")[0] not in damaged}
