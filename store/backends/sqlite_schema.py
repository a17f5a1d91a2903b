"""The tables of a store, how they come to be, and how a file is told to be one.

The schema is made by sqlite-utils' migrations, so that the file stays legible to that tool; it is
imported only when there is something to migrate, which costs 250–700 ms once in the life of a file.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from store.errors import NotAStore

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x53746F72  # "Stor"; on disk in every store: never change
SCHEMA_VERSION = 1  # PRAGMA user_version
FORMAT_VERSION = 1  # what `seal` covers and how; in the table `identity`


def check_mark(path: str, application_id: int, version: int) -> bool:
    """Whether the file, known not to be empty, is a store of the current schema; False = to be migrated.

    Raises:
        NotAStore: it is not ours, or of a later release.
    """
    if application_id != APPLICATION_ID:
        raise NotAStore(
            f"{path} is an SQLite database of another program, and was not touched; choose another file",
            path=path,
        )
    if version > SCHEMA_VERSION:
        raise NotAStore(
            f"{path} was written by a later release (schema {version}, this one knows {SCHEMA_VERSION}), "
            "and was not touched; upgrade sealed-store",
            path=path,
        )
    return version == SCHEMA_VERSION


def is_blank(conn: sqlite3.Connection) -> bool:
    """Whether there is nothing in the database at all: an empty file, which becomes a store."""
    return not conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


def read_mark(conn: sqlite3.Connection) -> tuple[int, int]:
    """`PRAGMA application_id` and `user_version`."""
    return (
        conn.execute("PRAGMA application_id").fetchone()[0],
        conn.execute("PRAGMA user_version").fetchone()[0],
    )


def migrate(conn: sqlite3.Connection, path: str) -> None:
    """Bring the file to SCHEMA_VERSION. Under the writer's lock, on a connection that is thrown away.

    One transaction: whoever is killed in it leaves an empty file, or the old schema.

    Raises:
        NotAStore: the file is not ours.
    """
    conn.execute("PRAGMA auto_vacuum = INCREMENTAL")  # works only before the first table
    conn.execute("BEGIN IMMEDIATE")
    try:
        application_id, version = read_mark(conn)
        if (application_id or not is_blank(conn)) and check_mark(path, application_id, version):
            conn.execute("ROLLBACK")
            return
        _apply(conn)
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def _apply(conn: sqlite3.Connection) -> None:
    from sqlite_utils import Database, Migrations

    migrations = Migrations("store")
    migrations(name="0001_records")(_create_tables)
    migrations.apply(Database(conn, execute_plugins=False))


def _create_tables(db: Database) -> None:
    db.execute("CREATE TABLE identity (id BLOB NOT NULL, format INTEGER NOT NULL) STRICT")
    db.execute("INSERT INTO identity VALUES (?, ?)", [os.urandom(16), FORMAT_VERSION])
    db.execute("CREATE TABLE sealers (key_id BLOB PRIMARY KEY NOT NULL) STRICT")
    db.execute(
        """
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
    )
    db.execute("CREATE INDEX records_by_namespace ON records (namespace)")
    db.execute("CREATE INDEX records_by_expiry ON records (namespace, expires) WHERE expires IS NOT NULL")
    db.execute("CREATE TABLE garbage (file TEXT PRIMARY KEY NOT NULL) STRICT")
