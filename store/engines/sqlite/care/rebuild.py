"""Builds a store from existing rows, with their ids, revisions, times and seals unchanged."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from store.engines.sqlite import schema
from store.engines.sqlite import statements as sql
from store.engines.sqlite.errors import SQLITE_ERRORS, translate
from store.engines.sqlite.opening.connection import apart
from store.engines.sqlite.opening.names import COPIED, check_name_length
from store.engines.sqlite.spill.folder import Folder
from store.engines.sqlite.spill.reading import mapped
from store.engines.sqlite.spill.writing import write_as, write_chunks
from store.errors import StorageError, StoreNotFound
from store.rows.row import Row
from store.rows.spilled import FOLDER_SUFFIX, Part, size_of
from store.system.file_status import writing
from store.system.rights import give_rights
from store.system.syncing import sync_folder

ID_BYTES = 8  # of a seal: whose it is


class Rebuild:
    """The store being built; it is in a temporary folder until it is complete."""

    def __init__(self, conn: sqlite3.Connection, path: str) -> None:
        self._conn = conn
        self._folder = Folder(path, path + FOLDER_SUFFIX)
        self._spilled = 0

    def add(self, row: Row) -> None:
        """Adds a row unchanged."""
        self._conn.execute(sql.RESTORE, tuple(row))
        self._spilled += size_of(row.spill)
        self._conn.execute(sql.ADD_SEALER, (row.seal[:ID_BYTES],))

    def count(self) -> None:
        """Notes the bytes of the files of all rows, once they are there."""
        self._conn.execute(sql.SET_SPILLED, (min(self._spilled, sql.LARGEST_SPILLED),))

    def add_file(self, source: Folder, part: Part) -> None:
        """Copies a file of a row. Raises: Corrupt: its content is not the original. StorageError."""
        with memoryview(mapped(source, part, verify=True)) as content:
            holder = self._folder.hold(0.0)
            try:
                with writing(self._folder.path), suppress(FileExistsError):  # another revision may have the same file
                    write_as(self._folder, holder, part.file, content)
            finally:
                holder.close()

    def add_chunks(self, part: Part, chunks: Iterator[bytes]) -> None:
        """Writes a file of a row piece by piece. Raises: StorageError; and as `chunks`."""
        holder = self._folder.hold(0.0)
        try:
            with writing(self._folder.path):
                write_chunks(self._folder, holder, part.file, chunks)
        finally:
            holder.close()


@contextmanager
def rebuilt(target: str, store_id: bytes, rights: os.stat_result) -> Iterator[Rebuild]:
    """A store to fill, which is moved to `target` when the block ends; nothing is there if it fails.

    `rights`: the status of the file whose mode and owner it gets.

    Raises:
        StorageError: something is at `target` already (EEXIST), or it cannot be written. StoreNotFound: no directory.
    """
    check_target(target)
    above = os.path.dirname(target)
    work = tempfile.mkdtemp(prefix=f".{os.path.basename(target)[:80]}-", dir=above)
    try:
        path = os.path.join(work, "store.db")
        try:
            with apart(path, "mode=rwc") as conn:
                give_rights(path, rights, rights.st_mode & 0o666 | 0o600)
                schema.migrate(conn, path)
                conn.execute("BEGIN IMMEDIATE")
                conn.execute(sql.SET_STORE_ID, (store_id,))
                made = Rebuild(conn, path)
                yield made
                made.count()
                conn.execute("COMMIT")
                conn.execute("PRAGMA journal_mode = WAL").fetchone()
        except SQLITE_ERRORS as exc:
            raise translate(exc, target) from exc
        _put_in_place(path, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(target: str) -> None:
    """Raises: as `rebuilt`."""
    above = os.path.dirname(target)
    if not os.path.isdir(above):
        raise StoreNotFound(
            f"there is no directory {above} to keep the store in; make it first", errno=errno.ENOENT, path=target
        )
    check_name_length(target, COPIED)
    for path in (target, target + FOLDER_SUFFIX, target + "-wal", target + "-journal"):
        if os.path.lexists(path):
            raise StorageError(
                f"{path} is there already, and was not touched; name a file that does not exist yet",
                errno=errno.EEXIST,
                path=path,
            )


def _put_in_place(path: str, target: str) -> None:
    """Move the files first, so that no process sees a store whose files are missing."""
    files, moved = target + FOLDER_SUFFIX, False
    try:
        if os.path.isdir(path + FOLDER_SUFFIX):
            os.rename(path + FOLDER_SUFFIX, files)
            moved = True
        try:
            os.link(path, target)  # which replaces no existing file
        except OSError as exc:
            if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            os.rename(path, target)
        sync_folder(os.path.dirname(target))
    except OSError as exc:
        if moved and not os.path.lexists(target):
            shutil.rmtree(files, ignore_errors=True)
        raise StorageError(f"{target} cannot be written: {exc.strerror}", errno=exc.errno, path=target) from exc
