"""The tables of a store, made and migrated under an advisory lock, and the id of the store in them.

One file because what is made, migrated and dropped is one list of tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.errors import DuplicateTable, UniqueViolation

from store.engines.postgres import structure
from store.engines.postgres.features import Features
from store.engines.postgres.identity import Identity
from store.engines.postgres.location import Location
from store.engines.postgres.lock_statements import ADVISORY, NAMES, SPACES
from store.errors import NotAStore, ReadOnly, StorageError, StoreNotFound
from store.system.digests import blake2b

VERSION = 2
ID_BYTES = 16

# Names are compared by code point, as every engine does. Expiries are float8: the seal covers them bit by bit.
# Of the changes of one statement the first has the token (see outcome.py). Rows of no namespace are tokens only.
_TABLES = (
    "CREATE SEQUENCE {ids}",
    """
CREATE TABLE {identity} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id bytea NOT NULL CHECK (octet_length(id) = 16),
    version integer NOT NULL
)""",
    "CREATE TABLE {sealers} (key_id bytea PRIMARY KEY CHECK (octet_length(key_id) = 8))",
    """
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
)""",
    "ALTER TABLE {records} ALTER COLUMN body SET STORAGE EXTERNAL",
    "CREATE INDEX ON {records} (namespace, id)",
    "CREATE INDEX ON {records} (namespace, expires, id) WHERE expires IS NOT NULL",
    """
CREATE TABLE {changes} (
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid {number} NOT NULL DEFAULT {xid},
    at timestamptz NOT NULL DEFAULT now(),
    namespace text COLLATE "C",
    name text COLLATE "C",
    revision bigint,
    token uuid
)""",
    "CREATE INDEX ON {changes} (namespace, xid)",
    "CREATE UNIQUE INDEX ON {changes} (token) WHERE token IS NOT NULL",
    "CREATE INDEX ON {changes} (at)",
    "CREATE TABLE {trimmed} (one boolean PRIMARY KEY DEFAULT true CHECK (one), xid {number} NOT NULL)",
    "INSERT INTO {trimmed} (xid) VALUES ('0')",
    "CREATE TABLE {listeners} (id uuid PRIMARY KEY, until timestamptz NOT NULL)",
    "CREATE SEQUENCE {fences}",
    """
CREATE TABLE {locks} (
    key bytea PRIMARY KEY,
    name text NOT NULL,
    owner uuid,
    until timestamptz NOT NULL,
    fence bigint NOT NULL
)""",
)

# The parts of large values. `digests` has the SHA-256 of the part up to the end of each chunk, so the last one is the
# checksum in the sealed column `spill`. `claimed`: a row that names the part was put; `at`: when the part was last
# written to or claimed. A part that no record names, and that is an hour old, is an orphan.
_PART_TABLES = (
    """
CREATE TABLE {parts} (
    file text COLLATE "C" PRIMARY KEY,
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    digests bytea NOT NULL,
    claimed boolean NOT NULL DEFAULT false,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)""",
    "CREATE INDEX ON {parts} (namespace, name)",
    """
CREATE TABLE {chunks} (
    file text COLLATE "C" NOT NULL REFERENCES {parts} ON DELETE CASCADE,
    number integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (file, number)
)""",
    "ALTER TABLE {chunks} ALTER COLUMN data SET STORAGE EXTERNAL",
    # Removes the parts that a record named and names no more, at the end of the transaction: a record that is deleted
    # and loaded again keeps its parts. A part of another record is never removed, whatever `spill` says.
    """
CREATE FUNCTION {drop_parts}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM {parts} p WHERE p.namespace = OLD.namespace AND p.name = OLD.name AND strpos(OLD.spill, p.file) > 0
        AND NOT EXISTS (SELECT 1 FROM {records} r WHERE r.namespace = p.namespace AND r.name = p.name
            AND strpos(r.spill, p.file) > 0);
    RETURN NULL;
END $$""",
    """
CREATE CONSTRAINT TRIGGER drop_parts_of_deleted AFTER DELETE ON {records} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.spill IS NOT NULL) EXECUTE FUNCTION {drop_parts}()""",
    """
CREATE CONSTRAINT TRIGGER drop_parts_of_replaced AFTER UPDATE OF spill ON {records} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.spill IS NOT NULL AND OLD.spill IS DISTINCT FROM NEW.spill)
    EXECUTE FUNCTION {drop_parts}()""",
)

# What bounded caches note. Lossy, so nothing of it is logged: after a crash of the server it is empty.
_NOTE_TABLES = (
    """
CREATE UNLOGGED TABLE {accesses} (
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    last float8 NOT NULL,
    frequency integer NOT NULL,
    PRIMARY KEY (namespace, name)
)""",
    """
CREATE UNLOGGED TABLE {figures} (
    namespace text COLLATE "C" PRIMARY KEY,
    hits bigint NOT NULL,
    misses bigint NOT NULL,
    evictions bigint NOT NULL
)""",
)
NOTES = ("accesses", "figures")  # since version 2

TABLES = (  # in the order in which they can be dropped
    *NOTES, "chunks", "parts", "changes", "trimmed", "listeners", "locks", "records", "sealers", "identity",
)  # fmt: skip
SEQUENCES = ("ids", "fences")
STRIPES = "stripes"  # the table whose rows are locks, in a store that was made where advisory locks were missing
_STRIPES = "CREATE TABLE {stripes} (stripe integer PRIMARY KEY)"
_NAMES = (*TABLES, STRIPES, *SEQUENCES, "drop_parts")

Migration = Callable[[Any, Location], None]


def _add_notes(conn: Any, location: Location) -> None:
    for statement in _NOTE_TABLES:
        conn.execute(statement.format(**{name: location.table(name) for name in NOTES}))


MIGRATIONS: dict[int, Migration] = {1: _add_notes}
"""Version → what turns its tables into those of the next version, inside a transaction under the lock."""


def prepare(
    conn: Any, location: Location, mode: str, features: Features, store_id: bytes | None = None
) -> tuple[Identity, bool]:
    """Makes or migrates the tables where the mode permits it; returns whose they are, and whether they have xids.

    `store_id` is the id of a store that is made; None: a random one.

    Raises:
        StoreNotFound: there is no store, and the mode does not create one. NotAStore: a later release made it, or the
            tables are not ours, or something of somebody else hangs on them. ReadOnly: the user lacks a right; the
            error says which. StorageError.
    """
    try:
        if not exists(conn, location, "identity"):
            if mode not in ("c", "n"):
                raise _not_found(location)
            _create(conn, location, features, store_id or os.urandom(ID_BYTES))
        number = _number_type(conn, location)
        has_notes = exists(conn, location, NOTES[0])
        # Before anything is read.
        structure.check(conn, location, _statements(conn, location, number, has_notes=has_notes), SEQUENCES)
        found = identity(conn, location)
        if found.version < VERSION:
            _migrate(conn, location, mode, features)
        if not has_notes:
            structure.check(conn, location, _statements(conn, location, number), SEQUENCES)
        return found, number == "xid8"
    except psycopg.errors.InsufficientPrivilege as exc:
        raise _not_permitted(conn, location, mode, exc) from exc


def _number_type(conn: Any, location: Location) -> str:
    """The type of ids of transactions, which the server decided where the tables were made."""
    found = conn.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON attrelid = c.oid "
        "WHERE nspname = $1 AND relname = $2 AND attname = 'xid' AND atttypid = 'int8'::regtype",
        (location.schema, location.prefix + "changes"),
    ).fetchone()
    return "xid8" if found is None else "bigint"


def _statements(conn: Any, location: Location, number: str, *, has_notes: bool = True) -> str:
    """The statements that make the tables which are there, for their comparison."""
    made = [*_TABLES, *_PART_TABLES, *(_NOTE_TABLES if has_notes else ())]
    if exists(conn, location, STRIPES):
        made.append(_STRIPES)
    default = "pg_current_xact_id()" if number == "xid8" else "0"
    return ";\n".join([*made, ""]).replace("{number}", number).replace("{xid}", default)


def identity(conn: Any, location: Location) -> Identity:
    """The id of the store, and the version of its tables. Raises: StorageError, NotAStore."""
    found = conn.execute(f"SELECT id, version, tableoid FROM {location.table('identity')}").fetchone()
    if found is None:  # never a new id: every record would be tampered for ever
        raise StorageError(
            f"{location.shown}: the table {location.table('identity')} is empty, so the store has lost its id; "
            "restore that row from a backup",
            path=location.shown,
        )
    store_id, version, table = found
    if len(store_id) != ID_BYTES:
        raise NotAStore(f"{location.shown}: its id is not one of {ID_BYTES} bytes; restore it", path=location.shown)
    if version > VERSION:
        raise NotAStore(
            f"{location.shown}: a later release of store made it (version {version}, this one knows {VERSION}); "
            "install that release",
            path=location.shown,
        )
    return Identity(bytes(store_id), int(version), int(table))


def drop(conn: Any, location: Location) -> None:
    """Drop all that `prepare` made, and the schema if nothing else is in it, in the open transaction."""
    for name in (*TABLES, STRIPES):
        conn.execute(f"DROP TABLE IF EXISTS {location.table(name)}")
    conn.execute(f"DROP FUNCTION IF EXISTS {location.table('drop_parts')}()")
    for name in SEQUENCES:
        conn.execute(f"DROP SEQUENCE IF EXISTS {location.table(name)}")
    left = conn.execute(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid) + "
        "(SELECT count(*) FROM pg_proc WHERE pronamespace = n.oid) + "
        "(SELECT count(*) FROM pg_type WHERE typnamespace = n.oid), pg_has_role(n.nspowner, 'USAGE') "
        "FROM pg_namespace n WHERE nspname = $1",
        (location.schema,),
    ).fetchone()
    if left == (0, True) and location.schema != "public":
        conn.execute(f'DROP SCHEMA "{location.schema}"')


def take_lock(conn: Any, location: Location, features: Features) -> None:
    """Exclude all others that make, migrate or drop tables of ours in the schema, until the transaction ends.

    Where there are no advisory locks, the server notices two that do so when the second one has begun.
    """
    if features.advisory:
        conn.execute(ADVISORY.exclusive, (lock_key(location._replace(prefix=""), "schema"),))


def exists(conn: Any, location: Location, table: str) -> bool:
    """Whether there is one of our tables.

    By the catalog: `to_regclass` looks into a cache that a session renews when a transaction begins, so one that has
    waited for the lock would not see the tables that another one has made.
    """
    found = conn.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = $1 AND relname = $2",
        (location.schema, location.prefix + table),
    ).fetchone()
    return found is not None


def _has_schema(conn: Any, location: Location) -> bool:
    return bool(conn.execute("SELECT 1 FROM pg_namespace WHERE nspname = $1", (location.schema,)).fetchone())


def _create(conn: Any, location: Location, features: Features, store_id: bytes) -> None:
    try:
        with conn.transaction():
            take_lock(conn, location, features)
            if not exists(conn, location, "identity"):  # else another process was faster
                _make(conn, location, features, store_id)
    except (DuplicateTable, UniqueViolation):  # without a lock, the other one was noticed late
        if not exists(conn, location, "identity"):
            raise


def _make(conn: Any, location: Location, features: Features, store_id: bytes) -> None:
    names = {name: location.table(name) for name in _NAMES}
    if exists(conn, location, "records"):
        raise StorageError(
            f"{location.shown}: the table {names['identity']} is missing, so the store has lost its id; restore that "
            "table from a backup",
            path=location.shown,
        )
    if not _has_schema(conn, location):  # IF NOT EXISTS needs the right to make one all the same
        conn.execute(f'CREATE SCHEMA "{location.schema}"')
    number, default = ("xid8", "pg_current_xact_id()") if features.xids else ("bigint", "0")
    for statement in (*_TABLES, *_PART_TABLES, *_NOTE_TABLES):
        conn.execute(statement.format(number=number, xid=default, **names))
    if not features.advisory:
        conn.execute(_STRIPES.format(**names))
        conn.execute(f"INSERT INTO {names[STRIPES]} SELECT generate_series(0, {SPACES + NAMES - 1})")
    conn.execute("SELECT set_config('synchronous_commit', 'on', true)")  # the id is lost by no power cut
    conn.execute(f"INSERT INTO {names['identity']} (id, version) VALUES ($1, $2)", (store_id, VERSION))


def _migrate(conn: Any, location: Location, mode: str, features: Features) -> None:
    """Bring the tables to this version, from version to version, in one transaction."""
    if mode == "r":
        raise ReadOnly(
            f'{location.shown}: an older release of store made it; open it once with mode="w", which migrates it',
            path=location.shown,
        )
    with conn.transaction():
        take_lock(conn, location, features)
        version = identity(conn, location).version
        while version < VERSION:  # another process may have been faster
            MIGRATIONS[version](conn, location)
            version += 1
        conn.execute("SELECT set_config('synchronous_commit', 'on', true)")
        conn.execute(f"UPDATE {location.table('identity')} SET version = $1", (VERSION,))


def _not_found(location: Location) -> StoreNotFound:
    return StoreNotFound(
        f'there is no store in schema "{location.schema}" of {location.shown}; open it with mode="c" to make one',
        path=location.shown,
    )


def _not_permitted(conn: Any, location: Location, mode: str, exc: Exception) -> ReadOnly:
    """The error for a user without rights, with the GRANT that gives them."""
    role, user, database = conn.execute(
        "SELECT current_user, quote_ident(current_user), quote_ident(current_database())"
    ).fetchone()
    schema = f'"{location.schema}"'
    if not _has_schema(conn, location):
        grant = f"GRANT CREATE ON DATABASE {database} TO {user}"
    elif not exists(conn, location, "identity"):
        may_use = conn.execute("SELECT has_schema_privilege($1, 'USAGE')", (location.schema,)).fetchone()[0]
        grant = f"GRANT {'' if may_use else 'USAGE, '}CREATE ON SCHEMA {schema} TO {user}"
    else:
        rights = "SELECT" if mode == "r" else "SELECT, INSERT, UPDATE, DELETE"
        grant = f"GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {user}"
        if mode != "r":
            grant += f"; GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}"
    text = " ".join(str(exc).split())
    return ReadOnly(
        f'{location.shown}: the role "{role}" lacks a right ({text}); an administrator can permit it: {grant}',
        path=location.shown,
    )


def lock_key(location: Location, *what: str) -> int:
    """The 64-bit key of an advisory lock of this store, on one of its parts."""
    digest = blake2b(digest_size=8, person=b"store.pg.lock.v1")
    for part in (location.schema, location.prefix, *what):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little", signed=True)
