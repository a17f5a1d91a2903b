"""The tables of a store, made under an advisory lock, and the id of the store in them."""

from __future__ import annotations

import os
from typing import Any

from store.engines.postgres import structure
from store.engines.postgres.location import Location
from store.errors import NotAStore, StorageError, StoreNotFound
from store.system.digests import blake2b

VERSION = 1
ID_BYTES = 16

# Names are compared by code point, as every engine does. Expiries are float8: the seal covers them bit by bit.
_TABLES = """
CREATE SEQUENCE {ids};
CREATE TABLE {identity} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id bytea NOT NULL CHECK (octet_length(id) = 16),
    version integer NOT NULL
);
CREATE TABLE {sealers} (key_id bytea PRIMARY KEY CHECK (octet_length(key_id) = 8));
CREATE TABLE {records} (
    id bigint PRIMARY KEY,
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    codec text NOT NULL,
    protocol integer NOT NULL,
    type text,
    python text,
    body bytea NOT NULL,
    spill text,
    seal bytea NOT NULL,
    crc bigint NOT NULL,
    revision bigint NOT NULL,
    created float8 NOT NULL,
    modified float8 NOT NULL,
    expires float8,
    UNIQUE (namespace, name)
);
ALTER TABLE {records} ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX ON {records} (namespace, id);
CREATE INDEX ON {records} (namespace, expires, id) WHERE expires IS NOT NULL;
CREATE TABLE {changes} (
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT now(),
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    token uuid NOT NULL
);
CREATE INDEX ON {changes} (namespace, xid);
CREATE INDEX ON {changes} (token);
CREATE INDEX ON {changes} (at);
"""
_NAMES = ("ids", "identity", "sealers", "records", "changes")
_SEQUENCES = ("ids",)


def prepare(conn: Any, location: Location, mode: str) -> bytes:
    """Makes the tables where there are none and the mode creates; returns the id of the store.

    Raises:
        StoreNotFound: there is no store, and the mode does not create one. NotAStore: a later release made it, or
            something of somebody else hangs on its tables.
    """
    if not _exists(conn, location):
        if mode not in ("c", "n"):
            raise StoreNotFound(
                f'there is no store in schema "{location.schema}" of {location.shown}; open it with mode="c" to '
                "make one",
                path=location.shown,
            )
        _create(conn, location)
    structure.check(conn, location, _TABLES, _SEQUENCES)  # before anything is read from them
    return _identity(conn, location)


def _exists(conn: Any, location: Location) -> bool:
    return bool(conn.execute("SELECT to_regclass($1)", (location.table("identity"),)).fetchone()[0])


def _create(conn: Any, location: Location) -> None:
    names = {name: location.table(name) for name in _NAMES}
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock($1::bigint)", (lock_key(location, "schema"),))
        if _exists(conn, location):  # another process was faster
            return
        conn.execute(f'CREATE SCHEMA IF NOT EXISTS "{location.schema}"')
        for statement in _TABLES.format(**names).split(";"):
            if statement.strip():
                conn.execute(statement)
        conn.execute("SELECT set_config('synchronous_commit', 'on', true)")  # the id is lost by no power cut
        conn.execute(
            f"INSERT INTO {names['identity']} (id, version) VALUES ($1, $2)", (os.urandom(ID_BYTES), VERSION)
        )


def _identity(conn: Any, location: Location) -> bytes:
    found = conn.execute(f"SELECT id, version FROM {location.table('identity')}").fetchone()
    if found is None:  # never a new id: every record would be tampered for ever
        raise StorageError(
            f"{location.shown}: the table {location.table('identity')} is empty, so the store has lost its id; "
            "restore that row from a backup",
            path=location.shown,
        )
    store_id, version = found
    if len(store_id) != ID_BYTES:
        raise NotAStore(f"{location.shown}: its id is not one of {ID_BYTES} bytes; restore it", path=location.shown)
    if version > VERSION:
        raise NotAStore(
            f"{location.shown}: a later release of store made it (version {version}, this one knows {VERSION}); "
            "install that release",
            path=location.shown,
        )
    return bytes(store_id)


def lock_key(location: Location, *what: str) -> int:
    """The 64-bit key of an advisory lock of this store, on one of its parts."""
    digest = blake2b(digest_size=8, person=b"store.pg.lock.v1")
    for part in (location.schema, location.prefix, *what):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little", signed=True)
