"""SQLite databases of other programs, opened so that neither they nor their folder change.

A reader of a database in WAL mode makes `-wal` and `-shm` files beside it, and `immutable=1` would ignore the WAL. So
such a database is copied, with its WAL, into a private folder and read there; any other one is opened read-only where
it is. See https://sqlite.org/wal.html#read_only_databases
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import quote

from store.engines.registry import file_formats
from store.engines.unopened import FileFormat
from store.errors import Corrupt, NotAStore, StorageError
from store.importers.files import SQLITE_MAGIC, header_of, unreadable
from store.importers.names import as_text
from store.system.step_budget import watched

BUSY_SECONDS = 5.0
COPIES = 5  # attempts at a copy during which no other program writes
_FILES = ("", "-wal", "-journal")
_WAL_MODE = 2  # bytes 18 and 19 of the header
_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON")
_COLUMNS = "SELECT name, type FROM pragma_table_info(?) ORDER BY cid"
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'create virtual%' ORDER BY rowid"


def is_sqlite(path: str) -> bool:
    """Whether it is an SQLite database."""
    return header_of(path).startswith(SQLITE_MAGIC)


@contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """A connection that reads the database as of one moment.

    Raises:
        Corrupt: SQLite finds it damaged. StorageError: another program writes to it, or it cannot be read.
    """
    path = os.path.realpath(path)  # SQLite has the WAL beside the file, not beside a link to it
    _files().check_companions(path)
    try:
        with ExitStack() as stack:
            if _needs_copy(path):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="store-"))
                yield stack.enter_context(_connected(_copied(path, folder), "rw"))
            else:
                yield stack.enter_context(_connected(path, "ro"))
    except sqlite3.Error as exc:
        if "locked" in str(exc) or "busy" in str(exc):
            raise StorageError(f"{path} is in use by another program; end that, then import it", path=path) from exc
        raise Corrupt(f"{path} cannot be read on: SQLite says {exc}; the records before that were read") from exc


def tables_of(conn: sqlite3.Connection) -> dict[str, list[tuple[str, str]]]:
    """The real tables, and their columns: (name, declared type)."""
    names = [name for (name,) in conn.execute(_TABLES) if isinstance(name, str)]
    return {name: conn.execute(_COLUMNS, (name,)).fetchall() for name in names}


def looks_so(path: str, columns: list[tuple[str, str]], table: str | None = None) -> bool:
    """Whether a database has a table of those columns, of that name where one is given. Raises: StorageError."""
    if not is_sqlite(path):
        return False
    try:
        with opened(path) as conn:
            found = tables_of(conn)
    except Corrupt:
        return False
    return any(has == columns for name, has in found.items() if table in (None, name))


def has_columns(path: str, names: list[str]) -> bool:
    """Whether a database has a table with exactly those columns, of any type. Raises: StorageError."""
    if not is_sqlite(path):
        return False
    try:
        with opened(path) as conn:
            return bool(_with_columns(conn, names))
    except Corrupt:
        return False


def selections(conn: sqlite3.Connection, path: str, names: list[str], table: str | None) -> Iterator[tuple[str, str]]:
    """For each table with exactly those columns: a statement for its rows, and its name if there are several.

    Raises:
        NotAStore: `table` is not one of them.
    """
    columns = ", ".join(map(quoted, names))
    for each, shown in chosen(_with_columns(conn, names), path, table):
        yield f"SELECT {columns} FROM {quoted(each)} ORDER BY rowid", shown


def chosen(tables: list[str], path: str, table: str | None) -> list[tuple[str, str]]:
    """The tables to read, and the name of each for its records: empty if there is only one.

    Raises:
        NotAStore: `table` is not one of them.
    """
    if table is not None and table not in tables:
        raise NotAStore(f"{path} has no table {table!r}; it has {', '.join(tables)}", path=path)
    if table is not None:
        return [(table, "")]
    return [(each, each if len(tables) > 1 else "") for each in tables]


def _with_columns(conn: sqlite3.Connection, names: list[str]) -> list[str]:
    return [table for table, columns in tables_of(conn).items() if [name for name, _ in columns] == names]


def quoted(name: str) -> str:
    """A table's name for a statement: nothing else can stand in it."""
    return '"' + name.replace('"', '""') + '"'


def _files() -> FileFormat:
    """How the engine that uses SQLite itself looks at its files."""
    found: FileFormat = file_formats.load("sqlite")
    return found


@contextmanager
def _connected(path: str, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"file://{quote(os.fsencode(path))}?mode={mode}"  # with an empty authority
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as conn:
        conn.text_factory = as_text  # one bad record must not end the others
        for pragma in _PRAGMAS:
            conn.execute(f"PRAGMA {pragma}")
        conn.execute("BEGIN")
        yield watched(conn, path)


def _needs_copy(path: str) -> bool:
    header = header_of(path)
    return (
        _WAL_MODE in header[18:20]
        or any(os.path.lexists(path + suffix) for suffix in _FILES[1:])
        or not _files().are_companions_safe(path)
    )


def _copied(path: str, folder: str) -> str:
    """A copy of database and WAL or journal; made again if another program wrote to them meanwhile."""
    copy = os.path.join(folder, "copy.db")
    try:
        for _ in range(COPIES):
            _files().check_companions(path)
            before = _state(path)
            for suffix in _FILES:
                _copy(path + suffix, copy + suffix)
            if _state(path) == before:
                return copy
    except OSError as exc:
        raise unreadable(path, exc) from exc
    raise StorageError(f"{path} is being written to by another program; end that, then import it", path=path)


def _copy(source: str, target: str) -> None:
    try:
        _files().copy_file(source, target)
    except FileNotFoundError:
        if os.path.exists(target):  # of an attempt before
            os.unlink(target)


def _state(path: str) -> list[tuple[int, int] | None]:
    stamps: list[tuple[int, int] | None] = []
    for suffix in _FILES:
        try:
            found = os.stat(path + suffix)
            stamps.append((found.st_mtime_ns, found.st_size))
        except FileNotFoundError:
            stamps.append(None)
    return stamps
