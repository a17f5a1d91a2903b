"""Copies a store as of one moment, checked and synced, to a file that the caller then puts in its place.

The copy is made in a file beside the target, `<target>-partial`, and the large values go straight into the folder
beside the target: their names are random, so nothing there refers to them before the copy is in place. A snapshot is
held while the files are copied. It keeps checkpoints from removing files that are dropped meanwhile (see
`spill.files`) and from restarting the log, but blocks no writer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from store.engines.sqlite import statements as sql
from store.engines.sqlite.care.progress import Report
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.errors import CORRUPT, NOTADB, SQLITE_ERRORS, code_of, translate
from store.engines.sqlite.opening.connection import apart
from store.engines.sqlite.opening.names import COPIED, check_name_length
from store.engines.sqlite.spill.copying import Check, FileCopies, Tell, parts_to_copy
from store.engines.sqlite.spill.folder import Folder
from store.errors import Corrupt, ReadOnly, RecordError
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part
from store.system.descriptors import NEW, NO_FOLLOW, Descriptor, read_at, write_at
from store.system.file_status import writing
from store.system.locking import locked
from store.system.rights import give_rights
from store.system.step_budget import watched
from store.system.syncing import sync_closed

PARTIAL = "-partial"  # behind the name of the target
STEP_PAGES = 256  # copied between two reports: 1 MiB
PRIVATE = 0o600

_SUFFIXES = ("", "-journal", "-wal", "-shm")
_VERSIONS_AT, _LOGGED, _UNLOGGED = 18, b"\2\2", b"\1\1"  # https://www.sqlite.org/fileformat2.html#the_database_header
_READ_ERRORS = (266, 522)  # SQLITE_IOERR_READ and _SHORT_READ: of the source, as a copy is only written


@dataclass(slots=True)
class Copied:
    """The contents of a copy: the number of records, the files of large values by name, and bytes."""

    records: int = 0
    database_bytes: int = 0
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def file_bytes(self) -> int:
        """The bytes of all files."""
        return sum(part.bytes for part in self.parts.values())


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Translates errors of SQLite and the system in the block to ones that name the path. Raises: StoreError."""
    with writing(path):
        try:
            yield
        except SQLITE_ERRORS as exc:
            raise translate(exc, path) from exc


@contextmanager
def partial_beside(target: str, timeout: float) -> Iterator[str]:
    """The path for a copy, for one process at a time; leftovers of a killed one are removed, before and after.

    Raises:
        ReadOnly: the directory may not be written. LockTimeout: another process makes a copy.
        StorageError: the name is too long, say.
    """
    check_name_length(target, COPIED)
    partial = target + PARTIAL
    if not os.access(os.path.dirname(target), os.W_OK):
        raise ReadOnly(f"{os.path.dirname(target)} may not be written by this user; choose another", path=target)
    with locked(partial + ".lock", timeout, remove=True):
        _remove(partial)
        try:
            yield partial
        finally:
            with suppress(OSError):
                _remove(partial)


def copy_state(
    engine: Engine, partial: str, files: FileCopies, check: Check, report: Report, timeout: float
) -> Copied:
    """Makes `partial` a copy of the store as of now, in one file, and its large values by `files`.

    `check` gets each row of the copy, and raises a RecordError for a damaged one.

    Raises:
        Corrupt, RecordError: the store is damaged; the second if the record is known. StorageError, ReadOnly.
    """
    engine.file.check_in_place()
    with translated(partial):
        _make(partial, os.stat(engine.path))
    connection = engine.pool.open_extra()
    connection.owner = 0  # no thread's: a progress function may fork, which must not end the snapshot
    try:
        copied = connection.run(
            "BEGIN", (), lambda cursor: _snapshot(engine, cursor, partial, files, check, report), timeout
        )
    finally:
        engine.pool.close_extra(connection)
    with translated(partial):
        _finish(engine.path, partial, copied, check)
    return copied


def _make(partial: str, source: os.stat_result) -> None:
    """Create an empty file with the rights of the source, before it has any contents.

    Its owner may write it: a user may copy a store that is read-only for them.
    """
    with Descriptor(partial, NEW, PRIVATE) as descriptor:
        give_rights(descriptor, source, source.st_mode & 0o666 | PRIVATE)


def _snapshot(
    engine: Engine, cursor: sqlite3.Cursor, partial: str, files: FileCopies, check: Check, report: Report
) -> Copied:
    """Copies everything as of one moment, that of the first read."""
    conn = cursor.connection
    try:
        size = conn.execute("PRAGMA page_count").fetchone()[0] * conn.execute("PRAGMA page_size").fetchone()[0]
        parts = parts_to_copy(engine.path, engine.spill, conn, check)
        copied = Copied(database_bytes=size, parts={part.file: part for _, _, part in parts})
        report.begin(size + copied.file_bytes)
        for namespace, name, part in parts:
            try:
                files.copy(part, report.add)
            except Corrupt as exc:
                raise exc.about(name, namespace) from None
        files.sync()
        _copy_pages(conn, partial, engine.path, report.add)
        return copied
    finally:
        conn.rollback()


def _copy_pages(source: sqlite3.Connection, partial: str, path: str, tell: Tell) -> None:
    """Copy by SQLite's backup; because of the snapshot it does not restart when others write.

    Raises:
        StoreError: SQLite's error, translated, and attributed to the source at `path` if possible; errors of `tell`.
    """
    with translated(partial), apart(partial) as target:
        target.execute("PRAGMA journal_mode = MEMORY").fetchone()  # an unfinished copy is discarded
        target.execute("PRAGMA synchronous = OFF")  # it is synced once, when it is whole
        left: list[int] = []

        def told(status: int, remaining: int, total: int) -> None:
            done = (left[-1] if left else total) - remaining
            left.append(remaining)
            tell(done * page_bytes)

        page_bytes: int = source.execute("PRAGMA page_size").fetchone()[0]
        try:
            source.backup(target, pages=STEP_PAGES, progress=told)
        except SQLITE_ERRORS as exc:
            of_source = code_of(exc) in (CORRUPT, NOTADB) or getattr(exc, "sqlite_errorcode", 0) in _READ_ERRORS
            raise translate(exc, path if of_source else partial) from exc


def _finish(path: str, partial: str, copied: Copied, check: Check) -> None:
    """Makes the copy a single file without a log, and checks each row of it.

    A log in the header would need a log file, which a read-only place lacks; the copy has a rollback journal until it
    is opened for writing.
    """
    _give_up_log(partial)
    with apart(partial) as conn:
        conn.execute("PRAGMA journal_mode = MEMORY").fetchone()
        watched(conn, partial)
        _check_database(conn, path)  # before anything is deleted: that follows the pages wherever they lead
        conn.execute(sql.CLEAR_GARBAGE)  # those files were not copied
        for values in conn.execute(sql.EVERY_ROW):
            row = Row._make(values)
            try:
                check(row)
            except RecordError as exc:
                raise exc.about(row.name, row.namespace) from None
            copied.records += 1
    copied.database_bytes = os.stat(partial).st_size
    sync_closed(partial)


def _give_up_log(partial: str) -> None:
    """Set the journal mode in the header: SQLite would look for a journal, which another user may have planted."""
    with Descriptor(partial, os.O_RDWR | NO_FOLLOW) as number:
        if read_at(number, len(_LOGGED), _VERSIONS_AT) == _LOGGED:
            write_at(number, _UNLOGGED, _VERSIONS_AT)


def _check_database(conn: sqlite3.Connection, path: str) -> None:
    """Raises: Corrupt: SQLite's own check finds the database damaged."""
    found = [line for (text,) in conn.execute(sql.INTEGRITY_CHECK) for line in str(text).splitlines()]
    if found != ["ok"]:
        raise Corrupt(
            f"{path} is damaged ({'; '.join(found[:3])}): `store recover` copies what is whole to a new store"
        )


def folder_beside(target: str, partial: str) -> Folder:
    """The folder for the large values of the copy; its files get the rights of the copy."""
    return Folder(partial, target + spilled.FOLDER_SUFFIX)


def _remove(partial: str) -> None:
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            os.unlink(partial + suffix)
