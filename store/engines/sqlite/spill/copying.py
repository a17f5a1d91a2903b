"""Copying the files of a store beside a copy of it: none is shared with the original, nor is its damage."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.walks import by_id
from store.engines.sqlite.spill import reading as spill_reading
from store.engines.sqlite.spill.folder import Folder, lock_exclusively, unwritable
from store.errors import Corrupt, ReadOnly, RecordError, StorageError
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part
from store.system.descriptors import Descriptor
from store.system.rights import give_rights
from store.system.syncing import sync_named

NO_WAIT = 0.0  # seconds
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Tell = Callable[[int], object]
Check = Callable[[Row], bool]
"""Whether a key of ours sealed a row; raises a RecordError where it is not whole."""


class FileCopies:
    """The files that a copy of a database names, put into its folder before it is in its place.

    Until `close` they are not taken for orphans; `undo` removes those that were not there before. A file that is
    there and whole stays as it is: what has a name is never written again.
    """

    def __init__(self, source: Folder, target: Folder, timeout: float) -> None:
        self._source, self._target, self._timeout = source, target, timeout
        self._held: Descriptor | None = None
        self._made: list[str] = []

    def copy(self, part: Part, tell: Tell) -> None:
        """Copies one file, checked against its checksum; `tell` gets the bytes of each piece.

        Raises:
            Corrupt: it is missing, truncated or altered. StorageError, ReadOnly, LockTimeout.
        """
        if self._held is None:
            self._held = self._target.hold(self._timeout)
        folder = self._held.number
        try:
            try:
                self._write(folder, part, tell)
            except FileExistsError:
                if spill_reading.problem_of(self._target, part) is None:
                    sync_named(part.file, folder)  # whoever left it may have been killed before
                    tell(part.bytes)
                    return
                self._target.remove([part.file])
                self._write(folder, part, tell)
        except (StorageError, ReadOnly):
            raise
        except OSError as exc:
            raise unwritable(exc, self._target.path) from exc

    def complete(self, parts: Iterable[Part]) -> None:
        """Copies those that are gone again: what was there already may have been garbage. Raises: as `copy`."""
        for part in parts:
            try:
                os.stat(part.file, dir_fd=None if self._held is None else self._held.number, follow_symlinks=False)
            except FileNotFoundError:
                self.copy(part, _nobody)
        self.sync()

    def sync(self) -> None:
        """After the last one: the folder names them all, whatever happens. Raises: StorageError."""
        if self._held is not None:
            try:
                os.fsync(self._held.number)
            except OSError as exc:
                raise unwritable(exc, self._target.path) from exc

    def undo(self) -> None:
        """The copy will not be: what was made for it goes, the folder included."""
        with suppress(OSError):
            self._target.remove(self._made)
        self._made.clear()
        self.close()  # its lock would keep the folder
        self._target.remove_if_made()

    def close(self) -> None:
        """The copy is in its place, or given up."""
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _write(self, folder: int, part: Part, tell: Tell) -> None:
        with Descriptor(part.file, _NEW, 0o600, dir_fd=folder) as descriptor:
            self._made.append(part.file)
            rights = self._target.rights()
            give_rights(descriptor, rights, rights.st_mode & 0o666)
            for chunk in spill_reading.chunks(self._source, part):
                _write_all(descriptor, chunk)
                tell(len(chunk))
            os.fsync(descriptor)


def parts_to_copy(engine: Engine, conn: sqlite3.Connection, check: Check) -> list[tuple[str, str, Part]]:
    """The files that rows name, each with namespace and name. Raises: Corrupt: a row names something else."""
    found: list[tuple[str, str, Part]] = []
    for namespace, name, text, id_ in by_id(conn.execute(sql.EVERY_SPILL), engine.path):
        prefix = spilled.prefix_of(engine.store_id, str(namespace), str(name))
        try:
            parts = spilled.parts_of(text, prefix)
            _refuse_hollow(engine, conn, id_, parts, check)
        except RecordError as exc:
            raise exc.about(name, namespace) from None
        found += [(namespace, name, part) for part in parts]
    return found


def _refuse_hollow(engine: Engine, conn: sqlite3.Connection, id_: int, parts: list[Part], check: Check) -> None:
    """Raises: Corrupt: files of somebody else would take far more than they do where they are."""
    try:
        engine.spill.refuse_hollow(parts)
    except Corrupt:
        if not check(Row._make(conn.execute(sql.BY_ID, (id_,)).fetchone())):
            raise


def remove_others(folder: Folder, named: Iterable[str]) -> None:
    """Removes the files of a folder that are not among these, unless somebody is writing some just now."""
    try:
        with folder.opened() as descriptor:
            if lock_exclusively(descriptor, NO_WAIT):
                folder.remove(folder.files(descriptor).difference(named))
                fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:  # StorageError too: they do no harm, and the next one tries again
        pass


def _nobody(size: int) -> None:
    """Is told nothing."""


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
