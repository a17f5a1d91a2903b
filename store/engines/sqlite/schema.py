"""The tables of a store, their creation and migration, and the checks that a file is a store.

A new file is made from the texts of the newest schema. A file of an earlier version is migrated by sqlite-utils,
which is imported only for that: it loads pandas where that is installed (73 MiB instead of 13).

A new version is one more `Step` at the end of `STEPS`, and golden stores of it for the tests. Existing steps and
their results never change, since files of every version are in use.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from store.engines.sqlite import statements as sql
from store.engines.sqlite.errors import SQLITE_ERRORS, is_passing
from store.errors import NotAStore, StorageError
from store.rows.spilled import size_of

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x53746F72  # "Stor"; on disk in every store: never change
DESTROYED_ID = 0x53746F2D  # "Sto-"; of a store whose destruction has begun: never change
FORMAT_VERSION = 1  # what `seal` covers and how; in the table `identity`

IDENTITY = "CREATE TABLE identity (id BLOB NOT NULL, format INTEGER NOT NULL) STRICT"
SEALERS = "CREATE TABLE sealers (key_id BLOB PRIMARY KEY NOT NULL) STRICT"
RECORDS = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    codec TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    type TEXT,
    python TEXT,
    body BLOB NOT NULL,
    spill TEXT,
    seal BLOB NOT NULL,
    crc INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    created REAL NOT NULL,
    modified REAL NOT NULL,
    expires REAL,
    UNIQUE (namespace, name)
) STRICT
"""
RECORDS_BY_NAMESPACE = "CREATE INDEX records_by_namespace ON records (namespace)"
RECORDS_BY_EXPIRY = "CREATE INDEX records_by_expiry ON records (namespace, expires) WHERE expires IS NOT NULL"
GARBAGE = "CREATE TABLE garbage (file TEXT PRIMARY KEY NOT NULL) STRICT"
SPILLED = "CREATE TABLE spilled (bytes INTEGER NOT NULL) STRICT"
# The table in which sqlite-utils notes the steps that a file has had, as that tool makes it.
APPLIED = """
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
)
"""
APPLIED_ONCE = (
    'CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"\n'
    '    ON "_sqlite_migrations" ("migration_set", "name")'
)
NOTE_APPLIED = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)"
MIGRATIONS = "store"  # the name of our set of steps in sqlite-utils; on disk, never to change

_Object = tuple[str, str, str]  # type, name and table, as in `sqlite_schema`
_Structure = dict[_Object, str | None]  # → its text; SQLite keeps none of the indexes it makes itself

_FIRST: _Structure = {
    ("table", "identity", "identity"): IDENTITY,
    ("table", "sealers", "sealers"): SEALERS,
    ("index", "sqlite_autoindex_sealers_1", "sealers"): None,
    ("table", "records", "records"): RECORDS,
    ("index", "sqlite_autoindex_records_1", "records"): None,
    ("index", "records_by_namespace", "records"): RECORDS_BY_NAMESPACE,
    ("index", "records_by_expiry", "records"): RECORDS_BY_EXPIRY,
    ("table", "garbage", "garbage"): GARBAGE,
    ("index", "sqlite_autoindex_garbage_1", "garbage"): None,
}
_SECOND: _Structure = {**_FIRST, ("table", "spilled", "spilled"): SPILLED}
# SQLite reads these columns as C strings: of a blob, or of text with a NUL in it, it uses a name that an ordinary
# comparison does not see. SQLite itself writes neither, so such entries are always refused.
_FIND_STRUCTURE = """
SELECT type, name, tbl_name, sql FROM sqlite_schema
WHERE lower(tbl_name) IN ({})
    OR typeof(tbl_name) <> 'text' OR instr(CAST(tbl_name AS BLOB), x'00')
"""
_FORMAT = "SELECT format FROM identity WHERE typeof(format) = 'integer'"
_SPACES = r"[ \t\n\f\r]+"  # SQLite's own; str.split() would also take a no-break space for one


class Step(NamedTuple):
    """The change from the schema of one version to the next."""

    name: str
    """Its name in the table of sqlite-utils; on disk, never to change."""
    apply: Callable[[Database], None] | None
    """Changes a file of the version before; None for the first version."""
    structure: _Structure
    """All tables and indexes of the library in a file of that version."""


def version_of(conn: sqlite3.Connection, path: str) -> int:
    """The schema version of a store, which this release knows; 0: the file is empty, and can become a store.

    Everything is read in one snapshot: another process may be creating the store.

    Raises:
        NotAStore: it is not a store, or of a later release.
    """
    if conn.in_transaction:
        return _version(conn, path)
    conn.execute("BEGIN")
    try:
        return _version(conn, path)
    finally:
        conn.rollback()


def _version(conn: sqlite3.Connection, path: str) -> int:
    application_id, version = read_mark(conn)
    if not application_id and not version and is_blank(conn):
        return 0
    check_mark(path, application_id, version)
    check_structure(conn, path, version)
    _check_format(conn, path)
    return version


def check_mark(path: str, application_id: int, version: int) -> None:
    """Make sure that a file, known not to be empty, is a store of a schema that this release knows.

    Raises:
        NotAStore: it is not ours, or of a later release.
    """
    if application_id == DESTROYED_ID:
        raise NotAStore(
            f"{path} was a store, and its destruction was interrupted; to finish it call store.destroy({path!r}), "
            "or run `store destroy` with --yes",
            path=path,
        )
    if application_id != APPLICATION_ID:
        raise NotAStore(
            f"{path} is an SQLite database of another program, and was not touched; choose another file",
            path=path,
        )
    if version < 1:  # mark and tables come in one transaction
        raise _altered(path, "it has no schema version")
    if version > SCHEMA_VERSION:
        raise _later(path, "schema", version, SCHEMA_VERSION)


def _check_format(conn: sqlite3.Connection, path: str) -> None:
    """Raises: NotAStore: its records are sealed in a format of a later release."""
    for (version,) in conn.execute(_FORMAT):
        if version > FORMAT_VERSION:
            raise _later(path, "record format", version, FORMAT_VERSION)


def _later(path: str, what: str, version: int, known: int) -> NotAStore:
    return NotAStore(
        f"{path} was written by a later release ({what} {version}, this one knows {known}), "
        "and was not touched; upgrade sealed-store",
        path=path,
    )


def check_structure(conn: sqlite3.Connection, path: str, version: int) -> None:
    """Check that our tables are those of that version, with our indexes and nothing else on them.

    It compares the texts of the schema, which SQLite stores unchanged and builds the tables from at each open. None
    of ours contains a quote or a comment, so texts that differ only in white space are equal. An equivalent text in
    other words is refused, to be on the safe side. SQLite itself checks at each open that an entry is listed under
    the name in its text (a trigger on `records` cannot pass for one on another table).

    Raises:
        NotAStore: something is missing, altered or added. Tables of other programs are ignored.
    """
    missing = dict(STEPS[version - 1].structure)
    tables = sorted({table for _, _, table in missing})
    for kind, name, table, text in conn.execute(_FIND_STRUCTURE.format(", ".join("?" * len(tables))), tables):
        if (kind, name, table) not in missing:  # or not any more: it is there twice
            raise _altered(path, f"it has what no store has, {kind!s:.20} {name!r:.80} on {table!r:.80}")
        wanted = missing.pop((kind, name, table))
        if text != wanted and _normal(text) != _normal(wanted):
            raise _altered(path, f"its {kind} {name!r} is not that of a store")
    for kind, name, _ in missing:
        raise _altered(path, f"it lacks the {kind} {name!r}")


def _normal(text: Any) -> Any:
    return re.sub(_SPACES, " ", text).strip(" ") if isinstance(text, str) else text


def _altered(path: str, what: str) -> NotAStore:
    return NotAStore(
        f"{path} is marked as a store, but {what}; it was not touched. If that was your doing, undo it with the "
        "sqlite3 program; if not, take the file for hostile and restore a backup",
        path=path,
    )


def is_blank(conn: sqlite3.Connection) -> bool:
    """Whether the database is empty, so that it can become a store."""
    return not conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


def read_mark(conn: sqlite3.Connection) -> tuple[int, int]:
    """`PRAGMA application_id` and `user_version`."""
    return (
        conn.execute("PRAGMA application_id").fetchone()[0],
        conn.execute("PRAGMA user_version").fetchone()[0],
    )


def migrate(conn: sqlite3.Connection, path: str) -> None:
    """Bring the file to SCHEMA_VERSION. Under the writer's lock, on a connection that is closed afterwards.

    It is one transaction: a process that is killed during it leaves an empty file, or the old schema.

    Raises:
        NotAStore: the file is not ours. StorageError: an old one cannot be migrated, and was not changed.
    """
    if is_blank(conn):  # works only before the first table, and would write to one that has some
        conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
    conn.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(conn, path)
        if version == SCHEMA_VERSION:
            conn.execute("ROLLBACK")
            return
        if version:
            _apply(conn, path, version)
        else:
            _create(conn, path)
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def _create(conn: sqlite3.Connection, path: str) -> None:
    """Create the tables of the newest version in an empty file, and record its steps as applied."""
    for statement in (*filter(None, STEPS[-1].structure.values()), APPLIED, APPLIED_ONCE):
        conn.execute(statement)
    conn.execute("INSERT INTO identity VALUES (?, ?)", [os.urandom(16), FORMAT_VERSION])
    conn.execute(sql.INSERT_SPILLED, [0])
    now = time.strftime("%Y-%m-%d %H:%M:%S+00:00", time.gmtime())
    conn.executemany(NOTE_APPLIED, [(MIGRATIONS, step.name, now) for step in STEPS])
    check_structure(conn, path, SCHEMA_VERSION)


def _apply(conn: sqlite3.Connection, path: str, version: int) -> None:
    """Apply the steps that a file of that version lacks, and check that the result equals a new file."""
    from sqlite_utils import Database, Migrations

    migrations = Migrations(MIGRATIONS)
    for step in STEPS[version:]:
        if step.apply is not None:
            migrations(name=step.name)(step.apply)
    try:
        migrations.apply(Database(conn, execute_plugins=False))
        check_structure(conn, path, SCHEMA_VERSION)
    except Exception as exc:
        if isinstance(exc, SQLITE_ERRORS) and is_passing(exc):
            raise
        raise StorageError(
            f"{path} cannot be brought from schema {version} to {SCHEMA_VERSION} ({type(exc).__name__}: {exc}), and "
            "is unchanged: the release of sealed-store that wrote it can still read it; keep a copy, and report this",
            path=path,
        ) from exc


def _count_spilled(db: Database) -> None:
    """Keep the bytes of the files of all records in a row of its own, so that a cache need not add them up."""
    db.execute(SPILLED)
    spills = db.execute("SELECT CAST(spill AS BLOB) FROM records WHERE spill IS NOT NULL")
    total = sum(size_of(text.decode("utf-8", "replace")) for (text,) in spills)
    db.execute(sql.INSERT_SPILLED, [min(total, sql.LARGEST_SPILLED)])


STEPS: tuple[Step, ...] = (Step("0001_records", None, _FIRST), Step("0002_spilled", _count_spilled, _SECOND))
SCHEMA_VERSION = len(STEPS)  # PRAGMA user_version
