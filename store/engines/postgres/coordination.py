"""The statements of watching and of named locks, with the quoted names of their tables; values are bound."""

# ruff: noqa: E501 - a statement is easier to read on its own lines than by its pieces

from __future__ import annotations

from store.engines.postgres.identity import ANY_STORE
from store.engines.postgres.location import Location

KEPT = "interval '1 hour'"  # how long a change stays, and the fence of a lock that nobody holds
TRIMMED_AT_ONCE = 10_000
MOST_NAMES = 10_000  # that `since` names one by one; more are read again as a whole
MOST_SPACES = 1000  # changed namespaces that `look_all` asks for one by one; of more it reads the table as a whole

# Of rows that one statement sees, only those that another cluster wrote have a number beyond its snapshot: a dump
# takes the numbers along.
_FOREIGN = "xid >= pg_snapshot_xmax(pg_current_snapshot())"
_OURS = "xid < pg_snapshot_xmax(pg_current_snapshot())"


class ChangeStatements:
    """The statements on the table of changes."""

    def __init__(self, location: Location, same: str = ANY_STORE) -> None:
        changes, trimmed, listeners = (location.table(name) for name in ("changes", "trimmed", "listeners"))
        # A change is new to a snapshot if its transaction was running then ($3), or began later ($2 and up).
        new = (
            f"FROM {changes} WHERE namespace = $1 AND xid >= $2::xid8 AND {_OURS}",
            f"FROM {changes} WHERE namespace = $1 AND xid = ANY($3::xid8[])",
        )
        self.look = (
            "SELECT pg_current_snapshot()::text, pg_is_in_recovery(), extract(epoch FROM pg_postmaster_start_time())::float8, "
            f"(SELECT xid::text FROM {changes} c WHERE namespace = $1 AND {_FOREIGN} ORDER BY c.xid DESC LIMIT 1), "
            f"(SELECT xid::text FROM {trimmed} WHERE {_OURS}), "
            f"EXISTS (SELECT 1 {new[0]}) OR EXISTS (SELECT 1 {new[1]}) WHERE {same}"
        )
        # Of all namespaces, with the snapshot ($1, $2) and its text ($3). The only index with `xid` begins with the
        # namespace, so each namespace in the table is looked up in it. A restored dump has another file of the table.
        # A primary whose snapshot is the same has committed nothing; the text of a standby's does not tell.
        behind, late = (f"xid >= $1::xid8 AND {_OURS}", "xid = ANY($2::xid8[])")
        self.look_all = (
            f"WITH RECURSIVE spaces (namespace) AS ((SELECT namespace FROM {changes} WHERE namespace IS NOT NULL ORDER BY namespace LIMIT 1) "
            f"UNION ALL SELECT (SELECT c.namespace FROM {changes} c WHERE c.namespace > s.namespace ORDER BY c.namespace LIMIT 1) "
            "FROM spaces s WHERE s.namespace IS NOT NULL), "
            f"few AS MATERIALIZED (SELECT namespace FROM spaces WHERE namespace IS NOT NULL LIMIT {MOST_SPACES + 1}) "
            "SELECT pg_current_snapshot()::text, pg_is_in_recovery(), extract(epoch FROM pg_postmaster_start_time())::float8, "
            f"pg_relation_filenode('{changes}'::regclass)::text, (SELECT xid::text FROM {trimmed} WHERE {_OURS}), "
            "CASE WHEN NOT pg_is_in_recovery() AND pg_current_snapshot()::text = $3::text THEN false "
            f"WHEN (SELECT count(*) FROM few) > {MOST_SPACES} "
            f"THEN EXISTS (SELECT 1 FROM {changes} WHERE namespace IS NOT NULL AND (({behind}) OR {late})) "
            f"ELSE EXISTS (SELECT 1 FROM few WHERE EXISTS (SELECT 1 FROM {changes} c WHERE c.namespace = few.namespace AND {behind}) "
            f"OR EXISTS (SELECT 1 FROM {changes} c WHERE c.namespace = few.namespace AND {late})) END WHERE {same}"
        )
        # NULL: any name may have changed, by `clear` or because changes since then ($4) are trimmed.
        self.since = (
            f"SELECT NULL FROM {trimmed} WHERE {_OURS} AND xid >= $4::xid8 "
            f"UNION ALL (SELECT name {new[0]} UNION SELECT name {new[1]} LIMIT {MOST_NAMES + 1})"
        )
        # One client at a time. Not what a running transaction may still precede: see `trimmed` in `changes.py`.
        self.trim = (
            "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1::bigint) AS mine), "
            f"old AS (SELECT ctid FROM {changes} WHERE (SELECT mine FROM turn) AND at < now() - {KEPT} "
            f"AND (xid < pg_snapshot_xmin(pg_current_snapshot()) OR {_FOREIGN}) ORDER BY at LIMIT {TRIMMED_AT_ONCE}), "
            f"gone AS (DELETE FROM {changes} WHERE ctid = ANY(ARRAY(SELECT ctid FROM old)) RETURNING xid), "
            f"marked AS (UPDATE {trimmed} SET xid = greatest(CASE WHEN {_OURS} THEN xid ELSE '0' END, "
            f"(SELECT gone.xid FROM gone WHERE gone.{_OURS} ORDER BY gone.xid DESC LIMIT 1)) "
            "WHERE EXISTS (SELECT 1 FROM gone)) SELECT count(*) FROM gone"
        )
        # Where there are no ids of transactions nothing is watched, and any old change may go.
        self.trim_all = (
            f"WITH gone AS (DELETE FROM {changes} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {changes} WHERE at < now() - {KEPT} "
            f"ORDER BY at LIMIT {TRIMMED_AT_ONCE})) RETURNING 1) SELECT count(*) FROM gone"
        )
        self.register = (
            f"WITH old AS (DELETE FROM {listeners} WHERE until < now() AND id <> $1) INSERT INTO {listeners} (id, until) "
            "VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT (id) DO UPDATE SET until = excluded.until"
        )
        self.written = (
            f"SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('{changes}', 'id')::regclass), 0)"
        )
        self.unregister = f"DELETE FROM {listeners} WHERE id = $1"
        self.horizon = (
            "SELECT pid, extract(epoch FROM clock_timestamp() - began)::float8 FROM ("
            "SELECT pid, backend_xid AS xid, xact_start AS began FROM pg_stat_activity WHERE backend_xid IS NOT NULL "
            "UNION ALL SELECT pid, backend_xmin, xact_start FROM pg_stat_activity WHERE backend_xmin IS NOT NULL "
            "AND backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid() "
            "UNION ALL SELECT NULL, transaction, prepared FROM pg_prepared_xacts) running ORDER BY age(xid) DESC LIMIT 1"
        )


class NamedLockStatements:
    """The statements on the table of named locks; `$1` is the key of a lock."""

    def __init__(self, location: Location, same: str = ANY_STORE) -> None:
        locks = location.table("locks")
        fence = f"nextval('{location.table('fences')}')"
        ends = "clock_timestamp() + make_interval(secs => $4)"
        # A held lock is only read. The fence is drawn while the row is locked, so that a later holder has a higher one.
        self.take = (
            f"INSERT INTO {locks} AS l (key, name, owner, until, fence) SELECT $1, $2, $3::uuid, {ends}, {fence} "
            f"WHERE {same} AND NOT EXISTS (SELECT 1 FROM {locks} WHERE key = $1 AND until > clock_timestamp() AND owner <> $3::uuid) "
            f"ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = {ends}, fence = {fence} "
            "WHERE l.until <= clock_timestamp() OR l.owner = excluded.owner RETURNING fence"
        )
        self.renew = (
            f"UPDATE {locks} SET until = clock_timestamp() + make_interval(secs => $1) "
            "WHERE key = ANY($2::bytea[]) AND owner = ANY($3::uuid[]) RETURNING owner"
        )
        self.release = (
            f"UPDATE {locks} SET owner = NULL, until = clock_timestamp() WHERE key = ANY($1::bytea[]) "
            "AND owner = ANY($2::uuid[]) RETURNING owner"
        )
        # Free for as long as a client may be slow between drawing its first fence and inserting it.
        self.tidy = (
            f"DELETE FROM {locks} WHERE key = ANY(ARRAY(SELECT key FROM {locks} WHERE until < now() - {KEPT} LIMIT 1000)) "
            f"AND until < now() - {KEPT}"
        )
