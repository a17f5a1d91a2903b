"""Every statement of the maintenance of a location, with the quoted names of its tables; values are bound."""

from __future__ import annotations

from store.engines.postgres.identity import ANY_STORE
from store.engines.postgres.location import Location
from store.engines.postgres.schema import TABLES
from store.engines.postgres.statements import COLUMNS


class CareStatements:
    """The statements of maintenance on one location."""

    def __init__(self, location: Location, same: str = ANY_STORE) -> None:
        records, parts, sealers = location.table("records"), location.table("parts"), location.table("sealers")
        self.begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self.row_count = f"SELECT count(*) FROM {records} WHERE {same}"
        self.count_by_key = (
            f"SELECT substr(seal, 1, 8), count(*) FROM {records} WHERE {same} AND octet_length(seal) >= 8 GROUP BY 1"
        )
        self.forget_sealers_but = f"DELETE FROM {sealers} WHERE {same} AND NOT key_id = ANY($1::bytea[])"
        self.sizes = (
            f"SELECT (SELECT coalesce(sum(octet_length(body)), 0) FROM {records})::bigint, "
            f"(SELECT coalesce(sum(bytes), 0) FROM {parts} WHERE claimed)::bigint"
        )
        # What a walk along the table finds, and what the index of names does: the planner has no other way.
        self.by_table = f"SELECT id, namespace, name FROM {records} WHERE {same}"
        self.by_index = (
            f"SELECT id, namespace, name FROM {records} WHERE {same} AND namespace >= '' ORDER BY namespace, name"
        )
        self.only_table = tuple(
            f"SET LOCAL enable_{way} = off" for way in ("indexscan", "indexonlyscan", "bitmapscan")
        )
        self.only_index = tuple(f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "sort"))
        self.by_id = f"SELECT {COLUMNS} FROM {records} WHERE {same} AND id = $1"
        # The schema of the extension, quoted; no row: it is not installed, or this user may not use it.
        self.amcheck = (
            "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "JOIN pg_proc p ON p.pronamespace = n.oid AND proname = 'bt_index_check' AND pronargs = 2 "
            "WHERE extname = 'amcheck' AND has_function_privilege(p.oid, 'EXECUTE')"
        )
        self.indexes = "SELECT indexrelid FROM pg_index WHERE indrelid = ANY($1::regclass[]) ORDER BY indexrelid"
        self.names = [location.table(name) for name in TABLES]
        self.can_vacuum = (
            "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY($1::regclass[])"
        )
        self.vacuum = [f"VACUUM {name}" for name in self.names]
        self.bytes = "SELECT sum(pg_total_relation_size(t))::bigint FROM unnest($1::regclass[]) t"

    def check_index(self, amcheck: str) -> str:
        """Compares an index with its table; `amcheck` is the quoted schema of the extension."""
        return f"SELECT {amcheck}.bt_index_check($1::oid::regclass, true)"
