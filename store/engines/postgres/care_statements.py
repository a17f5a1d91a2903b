"""Every statement of the maintenance of a location, with the quoted names of its tables; values are bound."""

from __future__ import annotations

from store.engines.postgres.location import Location
from store.engines.postgres.schema import TABLES
from store.engines.postgres.statements import COLUMNS


class CareStatements:
    """The statements of maintenance on one location."""

    def __init__(self, location: Location) -> None:
        records, parts, sealers = location.table("records"), location.table("parts"), location.table("sealers")
        self.begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        self.row_count = f"SELECT count(*) FROM {records}"
        self.count_by_key = (
            f"SELECT substr(seal, 1, 8), count(*) FROM {records} WHERE octet_length(seal) >= 8 GROUP BY 1"
        )
        self.forget_sealers_but = f"DELETE FROM {sealers} WHERE NOT key_id = ANY($1::bytea[])"
        self.sizes = (
            f"SELECT (SELECT coalesce(sum(octet_length(body)), 0) FROM {records})::bigint, "
            f"(SELECT coalesce(sum(bytes), 0) FROM {parts} WHERE claimed)::bigint"
        )
        # What a walk along the table finds, and what the index of names does: the planner has no other way.
        self.by_table = f"SELECT id, namespace, name FROM {records}"
        self.by_index = f"SELECT id, namespace, name FROM {records} WHERE namespace >= '' ORDER BY namespace, name"
        self.only_table = tuple(
            f"SET LOCAL enable_{way} = off" for way in ("indexscan", "indexonlyscan", "bitmapscan")
        )
        self.only_index = tuple(f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "sort"))
        self.by_id = f"SELECT {COLUMNS} FROM {records} WHERE id = $1"
        self.check_index = (
            "SELECT count(bt_index_check(c.oid::regclass)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = ANY($1::regclass[])"
        )
        self.names = [location.table(name) for name in TABLES]
        self.can_vacuum = (
            "SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid = ANY($1::regclass[])"
        )
        self.vacuum = [f"VACUUM {name}" for name in self.names]
        self.bytes = "SELECT sum(pg_total_relation_size(t))::bigint FROM unnest($1::regclass[]) t"
