"""Every statement that runs on the tables of a store; only values are bound in.

Placeholders have no numbers: Python 3.12.0 to 3.12.3 treats `?1` as a name and warns (gh-117995).
"""

from __future__ import annotations

from typing import Any

from store.engines.contract import Fields, successor

_COLUMNS = (
    "id, namespace, name, codec, protocol, type, python, body, spill, seal, crc, revision, created, modified, expires"
)
# A column costs about 0.1 us of the 4 us that a read takes. `id`, `namespace` and `name` are read from the index.
_OF_NAME = "codec, protocol, expires, spill, body, seal"
_HEADER = (
    "id, namespace, name, codec, protocol, type, python, length(body), "
    "revision, created, modified, expires, seal, spill"
)
_ALIVE = "(expires IS NULL OR expires > ?)"

LARGEST_ID = 2**63 - 1
LARGEST_SPILLED = 2**62

# The layer above compares the expiry, after the seal has shown that it is unaltered.
_NAMED = "FROM records WHERE namespace = ? AND name = ?"
FIND = f"SELECT {_COLUMNS} {_NAMED}"
# The columns of each of `Fields`; LISTED has its own statements.
FIELDS = {
    Fields.ROW: _COLUMNS,
    Fields.SEALED: f"id, namespace, name, {_OF_NAME}",
    Fields.HEADER: _HEADER,
    Fields.MARK: "name, id, created, revision, expires, crc",
}
STAMP_OF = f"SELECT revision, seal, expires {_NAMED}"
FIND_ONE = {
    fields: f"SELECT {columns} {_NAMED}"
    for fields, columns in {**FIELDS, Fields.SEALED: _OF_NAME, Fields.LISTED: "name, expires"}.items()
}
FIND_ALL = {  # {} becomes a list of "?"
    fields: f"SELECT {columns} FROM records WHERE namespace = ? AND name IN ({{}})"
    for fields, columns in {**FIELDS, Fields.LISTED: "name, expires, id"}.items()
}

# Whether the index entries before and after a name that was not found agree with the table (NULL: there is none). A
# search for the name of a damaged entry, or for a name that it hides, ends next to it.
_AGREES = (
    "SELECT t.namespace IS i.namespace AND t.name IS i.name "
    "FROM records i INDEXED BY sqlite_autoindex_records_1 LEFT JOIN records t ON t.id = i.id "
    "WHERE (i.namespace, i.name)"
)
NEIGHBOURS = (
    f"SELECT ({_AGREES} < (?, ?) ORDER BY i.namespace DESC, i.name DESC LIMIT 1), "
    f"({_AGREES} > (?, ?) ORDER BY i.namespace, i.name LIMIT 1)"
)
IS_IN_TABLE = "SELECT 1 FROM records NOT INDEXED WHERE namespace = ? AND name = ?"  # reads all of it

# {} becomes a list of "?": SQLite takes 32,766 of them, we use MANY at a time.
MANY = 500
# A subtraction of two index scans: testing `expires` on each record would read every row.
_COUNT = (
    "SELECT (SELECT count(*) FROM records INDEXED BY records_by_namespace WHERE namespace = ?) - "
    "(SELECT count(*) FROM records INDEXED BY records_by_expiry WHERE namespace = ? AND expires <= ?)"
)
COUNT_UNTIL = (
    f"{_COUNT}, (SELECT min(expires) FROM records INDEXED BY records_by_expiry WHERE namespace = ? AND expires > ?)"
)
LAST_ID = "SELECT max(id) FROM records INDEXED BY records_by_namespace WHERE namespace = ?"

# INDEXED BY, because by the unique index each page would sort the namespace: 129 ms instead of 0.3 ms
# a page in a million records.
_IN_ORDER = "FROM records INDEXED BY records_by_namespace WHERE namespace = ?"
_PAGE = f"{_IN_ORDER} AND id > ? AND id <= ? ORDER BY id"
PAGE = f"SELECT {_COLUMNS} {_PAGE}"
SNAPSHOT = {Fields.ROW: PAGE, Fields.SEALED: f"SELECT {FIELDS[Fields.SEALED]} {_PAGE}"}
_IS_INDEXED = (
    "EXISTS (SELECT 1 FROM records i INDEXED BY sqlite_autoindex_records_1 "
    "WHERE i.namespace = records.namespace AND i.name = records.name AND i.id = records.id)"
)
# Listings of names check no seal, so table and indexes must agree on the name and the expiry of each record;
# otherwise its name is NULL.
_EXPIRY_INDEXED = (
    "({row}.expires IS NULL OR EXISTS (SELECT 1 FROM records e INDEXED BY records_by_expiry "
    "WHERE e.namespace = {row}.namespace AND e.expires = {row}.expires AND e.id = {row}.id))"
)
_IS_SOUND = f"{_IS_INDEXED} AND {_EXPIRY_INDEXED.format(row='records')}"
_LISTED_PAGE = f"SELECT CASE WHEN {_IS_SOUND} THEN name END, expires, id {_PAGE}"
PAGES = {  # (fields, reverse) → a page in order of insertion
    (fields, reverse): f"{text}{' DESC' if reverse else ''} LIMIT ?"
    for reverse in (False, True)
    for fields, text in [
        *((fields, f"SELECT {columns} {_PAGE}") for fields, columns in FIELDS.items()),
        (Fields.LISTED, _LISTED_PAGE),
    ]
}

# By row id, which is the table itself: uses no index, which may be wrong in a damaged file.
LAST_ID_OF_ALL = "SELECT max(id) FROM records"
EVERY_PAGE = f"SELECT {_COLUMNS} FROM records NOT INDEXED WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
EVERY_ROW = f"SELECT {_COLUMNS} FROM records NOT INDEXED ORDER BY id"
QUICK_CHECK = "PRAGMA quick_check"  # of all but the content of the indexes; up to 100 lines
INTEGRITY_CHECK = "PRAGMA integrity_check"
BAD_SEALERS = "SELECT count(*) FROM sealers WHERE typeof(key_id) <> 'blob' OR length(key_id) <> 8"
BY_ID = f"SELECT {_COLUMNS} FROM records NOT INDEXED WHERE id = ?"
# Uses only the index of names, which covers the query: no row is read.
EVERY_NAME = "SELECT id, namespace, name FROM records NOT INDEXED WHERE id <= ? ORDER BY id"
NAMES_BY_INDEX = "SELECT id, namespace, name FROM records INDEXED BY sqlite_autoindex_records_1"

# LEFT: an entry of the index that leads to no record must be detected.
_LISTED_NAMES = (
    "SELECT CASE WHEN t.namespace = i.namespace AND t.name = i.name "
    f"AND {_EXPIRY_INDEXED.format(row='t')} THEN i.name END, t.expires, i.id "
    "FROM records i INDEXED BY sqlite_autoindex_records_1 LEFT JOIN records t ON t.id = i.id "
)
_BY_NAME = "FROM records i INDEXED BY sqlite_autoindex_records_1 "
NAME_PAGES = {  # (fields, is there an upper bound, reverse) → a page in order of names
    (fields, bounded, reverse): f"{text}WHERE i.namespace = ? AND i.name >= CAST(? AS TEXT) "
    f"{'AND i.name < CAST(? AS TEXT) ' if bounded else ''}ORDER BY i.name{' DESC' if reverse else ''} LIMIT ?"
    for bounded in (False, True)
    for reverse in (False, True)
    for fields, text in [
        *((fields, f"SELECT {columns} {_BY_NAME}") for fields, columns in FIELDS.items()),
        (Fields.LISTED, _LISTED_NAMES),
    ]
}

DATA_VERSION = "PRAGMA data_version"

# The row of a name keeps its place (id) and `created`. PUT skips a row that is spilled or has expired: the first has
# files to drop, the second counts as absent and must come back at the end. PUT_OVER follows once that is done. No
# record is modified before it was created, even if the clock was set back since.
_REPLACE = """
ON CONFLICT (namespace, name) DO UPDATE SET
    codec = excluded.codec, protocol = excluded.protocol, type = excluded.type, python = excluded.python,
    body = excluded.body, spill = excluded.spill, seal = excluded.seal, crc = excluded.crc,
    revision = revision + 1, modified = max(created, excluded.modified), expires = excluded.expires
"""
_UNLESS_SPILLED = "WHERE spill IS NULL AND (expires IS NULL OR expires > excluded.modified)"
RESTORE = f"INSERT INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # unchanged
RESTORE_OVER = f"""{RESTORE}
ON CONFLICT (namespace, name) DO UPDATE SET
    codec = excluded.codec, protocol = excluded.protocol, type = excluded.type, python = excluded.python,
    body = excluded.body, spill = excluded.spill, seal = excluded.seal, crc = excluded.crc,
    revision = excluded.revision, created = excluded.created, modified = excluded.modified, expires = excluded.expires
"""
PUT_OVER = f"{RESTORE} {_REPLACE}"
PUT = f"{PUT_OVER} {_UNLESS_SPILLED}"
# PUT for a row that was just packed: what each of these has is part of the statement, because to bind None takes
# Python's module as long as to bind five numbers.
_PUT_NEW = "INSERT INTO records ({}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, 1, ?, ?, {}) {} {}"
PUT_LASTING = _PUT_NEW.format(_COLUMNS, "NULL", _REPLACE, _UNLESS_SPILLED)
PUT_EXPIRING = _PUT_NEW.format(_COLUMNS, "?", _REPLACE, _UNLESS_SPILLED)

DELETE = f"DELETE FROM records WHERE namespace = ? AND name = ? AND {_ALIVE}"
DELETE_UNSPILLED = f"{DELETE} AND spill IS NULL"
DELETE_STAMPED = f"{DELETE_UNSPILLED} AND revision || '-' || lower(hex(substr(seal, 9))) = ?"
DELETE_EXPIRED = "DELETE FROM records WHERE namespace = ? AND name = ? AND expires <= ?"
CLEAR = "DELETE FROM records WHERE namespace = ?"
EXPIRED = (
    f"SELECT {_COLUMNS} FROM records INDEXED BY records_by_expiry "
    "WHERE namespace = ? AND expires <= ? AND (expires, id) > (?, ?) ORDER BY expires, id LIMIT ?"
)

_EXPIRING = "SELECT min(namespace) FROM records INDEXED BY records_by_expiry WHERE expires IS NOT NULL"
_EXPIRING_STEPS = f"""
WITH RECURSIVE step (namespace, number) AS (
    SELECT ({_EXPIRING}{{}}), 1
    UNION ALL
    SELECT ({_EXPIRING} AND namespace > step.namespace), number + 1
    FROM step WHERE step.namespace IS NOT NULL AND number < ?
)
SELECT namespace, EXISTS (
    SELECT 1 FROM records INDEXED BY records_by_expiry WHERE records.namespace = step.namespace AND expires <= ?
) FROM step WHERE namespace IS NOT NULL
"""
FIRST_EXPIRING = _EXPIRING_STEPS.format("")
NEXT_EXPIRING = _EXPIRING_STEPS.format(" AND namespace > CAST(? AS TEXT)")

# Steps from one namespace to the next in the index; DISTINCT would read all of it. UNION, not UNION ALL: in a
# damaged index a step can lead back.
_NAMESPACES = """
WITH RECURSIVE step (namespace) AS (
    SELECT min(namespace) FROM records{first}
    UNION
    SELECT (SELECT min(namespace) FROM records WHERE namespace > step.namespace)
    FROM step WHERE step.namespace IS NOT NULL
)
SELECT namespace FROM step WHERE namespace IS NOT NULL AND EXISTS (
    SELECT 1 FROM records WHERE records.namespace = step.namespace AND (expires IS NULL OR expires > ?)
) LIMIT ?
"""
NAMESPACES = _NAMESPACES.format(first="")  # no step is made behind the limit
NAMESPACES_AFTER = _NAMESPACES.format(first=" WHERE namespace > ?")
TOTALS = f"""
SELECT codec, protocol, count(*), sum(length(body)) FROM records
WHERE namespace = ? AND {_ALIVE} GROUP BY codec, protocol ORDER BY codec, protocol
"""

TOTALS_SPILLED = f"SELECT codec, protocol, spill FROM records WHERE namespace = ? AND {_ALIVE} AND spill IS NOT NULL"

# The files of large values: see spill/files.py.
SPILL = "SELECT namespace, name, spill FROM records WHERE namespace = ? AND name = ? AND spill IS NOT NULL"
SPILLS = f"SELECT namespace, name, spill, id {_IN_ORDER} AND spill IS NOT NULL ORDER BY id"
EVERY_SPILL = "SELECT namespace, name, spill, id FROM records NOT INDEXED WHERE spill IS NOT NULL ORDER BY id"
EVERY_GARBAGE = "SELECT file, rowid FROM garbage NOT INDEXED ORDER BY rowid"
COUNT_GARBAGE = "SELECT count(rowid) FROM garbage"
CLEAR_GARBAGE = "DELETE FROM garbage"
GARBAGE = "SELECT file FROM garbage LIMIT ?"
DROP = "INSERT OR IGNORE INTO garbage (file) VALUES (?)"
CHANGES_NOTHING = "DELETE FROM garbage WHERE 0"  # and needs a connection that may write
FORGET_GARBAGE = "DELETE FROM garbage WHERE file = ?"
IS_SPILL_NAMED = (
    "SELECT 1 FROM records WHERE namespace = ? AND name = ? AND spill = ? UNION SELECT 1 FROM garbage WHERE file = ?"
)
INCREMENTAL_VACUUM = "PRAGMA incremental_vacuum({})"  # at most so many pages
FREE_PAGES = "PRAGMA freelist_count"
TRUNCATE_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"

# Bounded caches. EVERY_FEW_IDS steps through the index, which covers it; by OFFSET no row is read that is passed.
PAGES_IN_USE = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
FREE_BYTES = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
LIVE_BYTES = f"SELECT ({PAGES_IN_USE}), coalesce((SELECT bytes FROM spilled LIMIT 1), 0)"
COUNT_AFTER = f"SELECT (SELECT count(*) FROM (SELECT 1 {_IN_ORDER} AND id > ? LIMIT ?)), (SELECT max(id) {_IN_ORDER})"
EVERY_FEW_IDS = f"""
WITH RECURSIVE step (id) AS (
    SELECT (SELECT id {_IN_ORDER} AND id > ? ORDER BY id LIMIT 1 OFFSET ?)
    UNION ALL
    SELECT (SELECT id {_IN_ORDER} AND id > step.id ORDER BY id LIMIT 1 OFFSET ?) FROM step WHERE step.id IS NOT NULL
)
SELECT id FROM step WHERE id IS NOT NULL
"""
CANDIDATES = f"SELECT id, name, revision, seal, length(body), spill, modified, expires {_PAGE} LIMIT ? OFFSET ?"
# The bytes of the files of all records. No overflow makes a write fail: the result stays an integer between bounds.
SPILLED = "SELECT bytes FROM spilled LIMIT 2"
ADD_SPILLED = f"UPDATE spilled SET bytes = max(0, min(bytes + ?, {LARGEST_SPILLED}))"
SET_SPILLED = "UPDATE spilled SET bytes = ?"
CLEAR_SPILLED = "DELETE FROM spilled"
INSERT_SPILLED = "INSERT INTO spilled (bytes) VALUES (?)"
STORE_ID = "SELECT id, format FROM identity"
SET_STORE_ID = "UPDATE identity SET id = ?"
MOST_SEALERS = 1000
# Only the first rows: a person who can write the file can plant a million, of any kind.
_SEALERS = "SELECT key_id FROM sealers LIMIT ?"
SEALERS = f"SELECT key_id FROM ({_SEALERS}) WHERE typeof(key_id) = 'blob' AND length(key_id) = 8"
COUNT_BY_KEY = "SELECT substr(seal, 1, 8), count(*) FROM records NOT INDEXED GROUP BY 1"
SEALERS_AFTER = "SELECT key_id FROM sealers WHERE key_id > ? AND typeof(key_id) = 'blob' ORDER BY key_id LIMIT ?"
FORGET_SEALER = "DELETE FROM sealers WHERE key_id = ?"
RESEAL = "UPDATE records SET seal = ?, crc = ? WHERE id = ? AND namespace = ? AND name = ? AND seal = ?"
# No count(*) of a whole table: that is one step of the virtual machine, which no `Budget` ends.
ROW_COUNT = "SELECT count(id) FROM records"
ADD_SEALER = "INSERT OR IGNORE INTO sealers (key_id) VALUES (?)"


def as_bytes(text: Any) -> Any:
    """A text as the bytes that SQLite compares; a name in a damaged file may be bytes already."""
    return text.encode() if type(text) is str else text


def bytes_bounds(prefix: str, after: bytes, reverse: bool) -> tuple[bytes, bytes | None]:
    """Like `bounds`, after a name that is not valid text: encoded texts have the same order as the texts."""
    lower, upper = prefix.encode(), successor(prefix)
    end = None if upper is None else upper.encode()
    if reverse:
        return lower, after if end is None else min(after, end)
    return max(lower, after + b"\0"), end


def bounds(prefix: str, after: str | None, reverse: bool) -> tuple[str, str | None]:
    """The least name of a page, and the name that it ends before, None if there is no bound.

    `after` is part of the bounds and not another condition, so that SQLite seeks straight to the page.
    """
    upper = successor(prefix)
    if after is None:
        return prefix, upper
    if reverse:
        return prefix, after if upper is None else min(after, upper)
    return max(prefix, after + "\0"), upper  # with \0 begins the first text that comes after it
