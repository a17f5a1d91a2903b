"""Every statement of the engine, with the quoted names of its tables; values are bound, never inserted.

Locks come before what they protect. A blind write takes its lock in the same statement, since `ON CONFLICT` and
`DELETE` look at the newest row again; a statement that decides by what it reads has its lock taken in one before it.
Each of them compares the id of the store, see `identity`. Each write notes the names that it touched in `changes`, with a random token by which `outcome` finds out whether it was
committed when its connection is lost.
"""

# ruff: noqa: E501 - a statement is easier to read on its own lines than by its pieces

from __future__ import annotations

from store.engines.contract import Fields
from store.engines.postgres.identity import ANY_STORE
from store.engines.postgres.location import Location
from store.engines.postgres.lock_statements import ADVISORY, LockStatements
from store.engines.postgres.schema import lock_key

COLUMNS = (
    "id, namespace, name, codec, protocol, type, python, body, spill, seal, crc, revision, created, modified, expires"
)
_NEW = COLUMNS.removeprefix("id, ")
_PARTS = {
    Fields.ROW: COLUMNS,
    Fields.SEALED: "id, namespace, name, codec, protocol, expires, spill, body, seal",
    Fields.HEADER: (
        "id, namespace, name, codec, protocol, type, python, octet_length(body), revision, created, modified, expires, "
        "seal, spill"
    ),
    Fields.MARK: "name, id, created, revision, expires, crc",
    Fields.LISTED: "name, expires, id",
}
_GONE = "r.expires IS NOT NULL AND r.expires <= excluded.modified"
# An existing record keeps its place and `created`; one that had expired is a new one, at the end.
_REPLACE = f"""
ON CONFLICT (namespace, name) DO UPDATE SET
    id = CASE WHEN {_GONE} THEN excluded.id ELSE r.id END,
    codec = excluded.codec, protocol = excluded.protocol, type = excluded.type, python = excluded.python,
    body = excluded.body, spill = excluded.spill, seal = excluded.seal, crc = excluded.crc,
    revision = CASE WHEN {_GONE} THEN 1 ELSE r.revision + 1 END,
    created = CASE WHEN {_GONE} THEN excluded.created ELSE r.created END,
    modified = CASE WHEN {_GONE} THEN excluded.modified ELSE greatest(r.created, excluded.modified) END,
    expires = excluded.expires
"""
# A record that is loaded replaces all of an existing one but its place.
_LOAD_OVER = "ON CONFLICT (namespace, name) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _NEW.split(", ")[2:]
)
_DOWN = {False: "", True: " DESC"}
_ALIVE = "(expires IS NULL OR expires > {})"
PAGE_BYTES = 4 * 1024 * 1024  # a page of rows with bodies ends with the one that passes this


def _page(what: str, source: str, order: str, limit: str, cursor: str = "") -> str:
    """A page in an order, with columns for its cursor. Bodies end it after PAGE_BYTES, or a page could take gigabytes.

    The server knows the size of a body that it stores beside its row without reading it.
    """
    if ", body" not in what:
        return f"SELECT {what}{cursor} FROM {source} ORDER BY {order} LIMIT {limit}"
    size = "coalesce(octet_length(body), 0)"
    return (
        f"SELECT {what}{cursor} FROM (SELECT *, sum({size}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) - {size} "
        f"AS bytes_before FROM (SELECT {what} FROM {source} ORDER BY {order} LIMIT {limit}) found) summed "
        f"WHERE bytes_before < {PAGE_BYTES} ORDER BY {order}"
    )


class Statements:
    """The statements on the tables of one location, with those of its locks."""

    def __init__(
        self, location: Location, locks: LockStatements = ADVISORY, *, notifies: bool = True, same: str = ANY_STORE
    ) -> None:
        records, changes, ids = location.table("records"), location.table("changes"), location.table("ids")
        sealers, identity = location.table("sealers"), location.table("identity")
        self.records, self.changes = records, changes
        # Only where somebody listens: a NOTIFY holds a lock of the whole database until its commit is done, and so
        # makes all that notify commit one after the other. Evaluated once for each statement, after its rows.
        self.channel = f"store_{lock_key(location, 'changes') % 2**64:016x}"
        wake = (
            "true"
            if not notifies
            else f"(SELECT pg_notify('{self.channel}', '') IS NULL FROM {location.table('listeners')} WHERE until > now() LIMIT 1)"
        )

        # -- reads

        self.find = {
            fields: f"SELECT {what} FROM {records} WHERE {same} AND namespace = $1 AND name = $2"
            for fields, what in _PARTS.items()
        }
        # The body only if the seal is not that of a body which the caller has kept.
        self.find_changed = self.find[Fields.SEALED].replace(
            ", body,", ", CASE WHEN seal = $3 THEN NULL ELSE body END,"
        )
        # Name by name in the unique index: `= ANY` is planned as a scan of the namespace where the table was small, or
        # not analyzed, when the statement was prepared. OFFSET 0 keeps the planner from making one join of it.
        self.find_all = {
            fields: f"SELECT found.* FROM unnest($2::text[]) AS wanted (one) CROSS JOIN LATERAL "
            f"({text.replace('$2', 'one')} OFFSET 0) found"
            for fields, text in self.find.items()
        }
        # FOR UPDATE: a plain put of the same name waits then, until the transaction that read it has ended.
        # The last two columns tell one state of a record from all others.
        self.find_locked = {
            fields: f'SELECT found.* FROM (SELECT one FROM unnest($2::text[]) one ORDER BY one COLLATE "C") wanted '
            f"CROSS JOIN LATERAL (SELECT {what}, id, revision FROM {records} WHERE namespace = $1 AND name = one "
            f"FOR UPDATE) found WHERE {same}"
            for fields, what in _PARTS.items()
        }
        self.pages = {
            (fields, reverse): _page(
                what,
                f"{records} WHERE {same} AND namespace = $1 AND id > $2 AND id <= $3",
                f"id{_DOWN[reverse]}",
                "$4",
            )
            for fields, what in _PARTS.items()
            for reverse in (False, True)
        }
        self.every_page = {
            (fields, reverse): _page(
                what, f"{records} WHERE {same} AND id > $1 AND id <= $2", f"id{_DOWN[reverse]}", "$3"
            )
            for fields, what in _PARTS.items()
            for reverse in (False, True)
        }
        self.name_pages = {
            (fields, bounded, reverse): _page(
                what,
                f"{records} WHERE {same} AND namespace = $1 AND name >= $2{' AND name < $3' if bounded else ''}",
                f"name{_DOWN[reverse]}",
                f"${4 if bounded else 3}",
            )
            for fields, what in _PARTS.items()
            for bounded in (False, True)
            for reverse in (False, True)
        }
        self.expiries = {
            fields: _page(
                what,
                f"{records} WHERE {same} AND namespace = $1 AND expires <= $2 AND (expires, id) > ($3, $4)",
                "expires, id",
                "$5",
            )
            for fields, what in _PARTS.items()
        }
        self.every_expiry = {
            fields: _page(
                what,
                f"{records} WHERE {same} AND expires <= $1 AND (namespace, expires, id) > ($2, $3, $4)",
                "namespace, expires, id",
                "$5",
                ", namespace, expires, id",
            )
            for fields, what in _PARTS.items()
        }
        self.snapshot = {
            fields: f"SELECT {what} FROM {records} WHERE {same} AND namespace = $1 ORDER BY id"
            for fields, what in _PARTS.items()
        }
        self.last_id = f"SELECT max(id) FROM {records} WHERE {same} AND namespace = $1"
        self.last_id_of_all = f"SELECT max(id) FROM {records} WHERE {same}"
        self.count = (
            f"SELECT (SELECT count(*) FROM {records} WHERE namespace = $1) - "
            f"(SELECT count(*) FROM {records} WHERE namespace = $1 AND expires <= $2), "
            f"(SELECT min(expires) FROM {records} WHERE namespace = $1 AND expires > $2) WHERE {same}"
        )
        # Steps from one namespace to the next in the index; DISTINCT would read all of it.
        self.namespaces = (  # no step is made behind the limit
            f"WITH RECURSIVE step (namespace) AS (SELECT min(namespace) FROM {records} WHERE $2::text IS NULL OR namespace > $2 "
            f"UNION ALL SELECT (SELECT min(namespace) FROM {records} WHERE namespace > step.namespace) FROM step "
            f"WHERE step.namespace IS NOT NULL) SELECT namespace FROM (SELECT namespace FROM step WHERE {same} "
            f"AND namespace IS NOT NULL AND EXISTS (SELECT 1 FROM {records} r WHERE r.namespace = step.namespace "
            f"AND {_ALIVE.format('$1')}) LIMIT $3) found ORDER BY namespace"
        )
        self.totals = (
            f"SELECT codec, protocol, count(*), sum(octet_length(body))::bigint FROM {records} "
            f'WHERE {same} AND namespace = $1 AND {_ALIVE.format("$2")} GROUP BY codec, protocol ORDER BY codec COLLATE "C", protocol'
        )
        self.spills = (
            f"SELECT codec, protocol, spill FROM {records} WHERE {same} AND namespace = $1 AND {_ALIVE.format('$2')} "
            "AND spill IS NOT NULL"
        )
        sizes = [f"pg_total_relation_size('{location.table(name)}')" for name in ("records", "parts", "chunks")]
        self.usage = f"SELECT {' + '.join(sizes)}, pg_total_relation_size('{changes}')"
        self.sealers = f"SELECT key_id FROM {sealers} WHERE {same} LIMIT 1000"
        self.add_sealer = f"INSERT INTO {sealers} (key_id) SELECT $1::bytea WHERE {same} ON CONFLICT DO NOTHING"
        self.identity = f"SELECT id, version FROM {identity}"

        # -- writes; $1 is the key of the lock of the namespace, $2 the token

        lock = f"locked AS MATERIALIZED (SELECT l.* FROM ({locks.shared}) l WHERE {same})"
        # In a transaction the token is NULL: COMMIT brings its own.
        noted = (
            f"noted AS (INSERT INTO {changes} (namespace, name, revision, token) "
            f"SELECT namespace, name, revision, $2::uuid FROM done RETURNING {wake})"
        )
        all_noted = (
            f"noted AS (INSERT INTO {changes} (namespace, name, revision, token) SELECT namespace, name, revision, "
            f"CASE WHEN row_number() OVER () = 1 THEN $2::uuid END FROM done RETURNING {wake})"
        )
        values = ", ".join(f"${number}" for number in range(3, 17))
        insert = f"INSERT INTO {records} AS r ({COLUMNS})"
        self.put = (
            f"WITH {lock}, done AS ({insert} SELECT nextval('{ids}'), {values} FROM locked {_REPLACE} "
            f"RETURNING namespace, name, revision, seal), {noted} SELECT revision, seal FROM done"
        )
        # Only where there is none: the transaction has read that there is none, and a row that is not there has no lock.
        self.put_new = (
            f"WITH {lock}, done AS ({insert} SELECT nextval('{ids}'), {values} FROM locked "
            "ON CONFLICT (namespace, name) DO NOTHING RETURNING namespace, name, revision, seal), "
            f"{noted} SELECT revision, seal FROM done"
        )
        arrays = (
            "$3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::bytea[], $10::text[], "
            "$11::bytea[], $12::bigint[], $13::bigint[], $14::float8[], $15::float8[], $16::float8[]"
        )
        # Ids in the order that was given, rows in the order of their names: two that put the same names never wait for
        # each other in a circle.
        given = (
            f"given AS MATERIALIZED (SELECT nextval('{ids}') AS id, t.* FROM unnest({arrays}) WITH ORDINALITY "
            f"AS t ({_NEW}, place) ORDER BY place)"
        )
        all_locks = f"locked AS MATERIALIZED (SELECT l.* FROM ({locks.shared_all}) l WHERE {same})"
        self.put_all = (
            f"WITH {all_locks}, {given}, done AS ({insert} SELECT {COLUMNS} FROM locked, given ORDER BY namespace, name "
            f"{_REPLACE} RETURNING namespace, name, revision, seal), {all_noted} SELECT namespace, name, revision, seal FROM done"
        )
        self.load = (
            f"WITH {all_locks}, {given}, done AS ({insert} SELECT {COLUMNS} FROM locked, given ORDER BY namespace, name "
            f"{_LOAD_OVER} RETURNING namespace, name, revision), {all_noted} SELECT count(*) FROM done"
        )
        delete = f"DELETE FROM {records} WHERE namespace = $3 AND name = $4 AND {_ALIVE.format('$5')}"
        # It does not see a record that was deleted and put again while it waited. So it tells, where it deleted nothing,
        # whether there was one when it began: then it is run again.
        self.delete = (
            f"WITH {lock}, done AS ({delete} AND (SELECT true FROM locked) RETURNING namespace, name, revision), {noted} "
            f"SELECT count(*), count(*) = 0 AND EXISTS (SELECT 1 FROM {records} WHERE namespace = $3 AND name = $4 "
            f"AND {_ALIVE.format('$5')}) FROM done"
        )
        # Of rows that the transaction has locked.
        self.delete_locked = (
            f"WITH {lock}, done AS (DELETE FROM {records} WHERE namespace = $3 AND name = ANY($4::text[]) "
            f"AND (SELECT true FROM locked) RETURNING namespace, name, revision), {all_noted} SELECT count(*) FROM done"
        )
        self.clear = (
            f"WITH {lock}, done AS (DELETE FROM {records} WHERE namespace = $3 AND (SELECT true FROM locked) "
            f"RETURNING namespace), noted AS (INSERT INTO {changes} (namespace, name, token) "
            f"SELECT DISTINCT namespace, NULL, $2::uuid FROM done RETURNING {wake}) SELECT count(*) FROM done"
        )
        self.reseal = (
            f"WITH {lock}, done AS (UPDATE {records} SET seal = $6, crc = $7 WHERE namespace = $3 AND name = $4 "
            f"AND seal = $5 AND (SELECT true FROM locked) RETURNING namespace, name, revision), {noted} SELECT count(*) FROM done"
        )

        # -- outcomes; a fence has a name and no namespace

        self.commit = f"INSERT INTO {changes} (token) VALUES ($1::uuid)"
        self.fence = (
            f"INSERT INTO {changes} (name, token) VALUES ('', $1::uuid) "
            "ON CONFLICT (token) WHERE token IS NOT NULL DO NOTHING RETURNING true"
        )
        self.is_fence = f"SELECT namespace IS NULL AND name IS NOT NULL FROM {changes} WHERE token = $1::uuid"
        self.noted_by = (
            f"SELECT namespace, name, revision FROM {changes} WHERE namespace = ANY($2::text[]) "
            f"AND (xid, at) = (SELECT xid, at FROM {changes} WHERE token = $1::uuid)"  # some servers have no xid
        )
        self.end_backend = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int AND backend_start = $2"
        )
        self.backend_state = "SELECT state FROM pg_stat_activity WHERE pid = $1::int AND backend_start = $2"

        # -- locks

        self.lock_shared, self.try_lock, self.lock, self.lock_name = (
            locks.shared, locks.attempt, locks.exclusive, locks.name,
        )  # fmt: skip
        self.lock_timeout = "SELECT set_config('lock_timeout', $1, true)"
