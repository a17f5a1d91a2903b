"""Copies the files of large values for a copy of a store; each is checked, and none is shared with the original."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.fetching import by_id
from store.engines.sqlite.spill import reading as spill_reading
from store.engines.sqlite.spill.files import SqliteSpill
from store.engines.sqlite.spill.folder import Folder, OpenFolder
from store.errors import Corrupt, RecordError
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part
from store.system.descriptors import NEW
from store.system.file_status import writing
from store.system.rights import give_rights
from store.system.syncing import sync_file

NO_WAIT = 0.0  # seconds

Tell = Callable[[int], object]
Check = Callable[[Row], bool]
"""Whether a key of ours sealed a row; raises a RecordError if the row is damaged."""


class FileCopies:
    """The files that a copy of a database names, copied into its folder before the copy is in its place.

    Until `close` they are not removed as orphans; `undo` removes the files that were not there before. An existing
    whole file stays unchanged: a file with a name is never written again.
    """

    def __init__(self, source: Folder, target: Folder, timeout: float) -> None:
        self._source, self._target, self._timeout = source, target, timeout
        self._held: OpenFolder | None = None
        self._made: list[str] = []

    def copy(self, part: Part, tell: Tell) -> None:
        """Copies one file, checked against its checksum; `tell` gets the bytes of each piece.

        Raises:
            Corrupt: it is missing, truncated or altered. StorageError, ReadOnly, LockTimeout.
        """
        if self._held is None:
            self._held = self._target.hold(self._timeout)
        with writing(self._target.path):
            try:
                self._write(self._held, part, tell)
            except FileExistsError:
                if spill_reading.problem_of(self._target, part) is None:
                    self._held.sync_file(part.file)  # its writer may have been killed before it was synced
                    tell(part.bytes)
                    return
                self._target.remove([part.file])
                self._write(self._held, part, tell)

    def complete(self, parts: Iterable[Part]) -> None:
        """Copies files again that were removed as garbage meanwhile. Raises: as `copy`."""
        for part in parts:
            try:
                if self._held is not None:
                    self._held.status(part.file)
            except FileNotFoundError:
                self.copy(part, lambda size: None)
        self.sync()

    def sync(self) -> None:
        """Sync the folder after the last file, so that it keeps all names. Raises: StorageError."""
        if self._held is not None:
            with writing(self._target.path):
                self._held.sync()

    def undo(self) -> None:
        """Remove the files of the copy, and the folder if it was created for it."""
        with suppress(OSError):
            self._target.remove(self._made)
        self._made.clear()
        self.close()  # its lock would keep the folder
        self._target.remove_if_made()

    def close(self) -> None:
        """Release the folder, once the copy is in its place or removed."""
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _write(self, folder: OpenFolder, part: Part, tell: Tell) -> None:
        with folder.open(part.file, NEW) as descriptor:
            self._made.append(part.file)
            rights = self._target.rights()
            give_rights(descriptor, rights, rights.st_mode & 0o666)
            with open(descriptor, "wb", closefd=False) as file:
                for chunk in spill_reading.chunks(self._source, part):
                    file.write(chunk)
                    tell(len(chunk))
                sync_file(file)


def parts_to_copy(
    path: str, spill: SqliteSpill, conn: sqlite3.Connection, check: Check
) -> list[tuple[str, str, Part]]:
    """The files that rows name, each with namespace and name. Raises: Corrupt: a row names something else."""
    found: list[tuple[str, str, Part]] = []
    for namespace, name, text, id_ in by_id(conn.execute(sql.EVERY_SPILL), path):
        prefix = spill.prefix(str(namespace), str(name))
        try:
            parts = spilled.parts_of(text, prefix)
            _refuse_hollow(spill, conn, id_, parts, check)
        except RecordError as exc:
            raise exc.about(name, namespace) from None
        found += [(namespace, name, part) for part in parts]
    return found


def _refuse_hollow(spill: SqliteSpill, conn: sqlite3.Connection, id_: int, parts: list[Part], check: Check) -> None:
    """Raises: Corrupt: files of another user would take far more space as copies."""
    try:
        spill.refuse_hollow(parts)
    except Corrupt:
        if not check(Row._make(conn.execute(sql.BY_ID, (id_,)).fetchone())):
            raise


def remove_others(folder: Folder, named: Iterable[str]) -> None:
    """Removes the files of a folder that are not among these, unless files are being written."""
    try:
        with folder.opened() as opened:
            if opened.lock_exclusively(NO_WAIT):
                folder.remove(opened.files().difference(named))
    except OSError:  # StorageError too: the files do no harm, and the next call tries again
        pass
