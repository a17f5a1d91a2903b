"""Every statement on the parts of large values, with the quoted names of the tables; values are bound."""

from __future__ import annotations

from store.engines.postgres.identity import ANY_STORE
from store.engines.postgres.location import Location

ORPHAN_SECONDS = 3600.0  # how long a part may wait for its record since it was last written to


class PartStatements:
    """The statements on the parts of one location."""

    def __init__(self, location: Location, same: str = ANY_STORE) -> None:
        parts, chunks, records = location.table("parts"), location.table("chunks"), location.table("records")
        self.add = (
            f"INSERT INTO {parts} (file, namespace, name, bytes, digests) "
            f"SELECT $1::text, $2::text, $3::text, $4::bigint, $5::bytea WHERE {same}"
        )
        self.copy_chunks = f"COPY {chunks} (file, number, data) FROM STDIN (FORMAT BINARY)"
        self.still_written = f"UPDATE {parts} SET at = clock_timestamp() WHERE file = $1"
        self.remove = f"DELETE FROM {parts} WHERE file = ANY($1::text[])"
        # Of a part whose writer is just being committed, `claimed` is looked at again once that has ended.
        self.discard = f"DELETE FROM {parts} WHERE file = ANY($1::text[]) AND NOT claimed"
        self.claim = (
            f"WITH done AS (UPDATE {parts} SET claimed = true, at = clock_timestamp() WHERE file = ANY($1::text[]) "
            f"AND {same} AND namespace = $2 AND name = $3 RETURNING file) SELECT count(*) FROM done"
        )
        # The length of a value that is stored out of line is known without reading it.
        self.header = (
            "SELECT digests, (SELECT coalesce(sum(octet_length(data)), 0)::bigint "
            f"FROM {chunks} c WHERE c.file = p.file) FROM {parts} p WHERE {same} AND file = $1"
        )
        self.chunks = f"SELECT number, data FROM {chunks} WHERE file = $1 ORDER BY number"
        unnamed = (
            f"p.at < clock_timestamp() - make_interval(secs => {ORPHAN_SECONDS}) AND NOT EXISTS (SELECT 1 FROM "
            f"{records} r WHERE r.namespace = p.namespace AND r.name = p.name AND strpos(r.spill, p.file) > 0)"
        )
        self.orphans = f"SELECT file FROM {parts} p WHERE {same} AND {unnamed} ORDER BY file"
        # A claim changes `at`, which is looked at again where this waits for it: no claimed part is removed.
        self.remove_orphans = (
            f"WITH done AS (DELETE FROM {parts} p WHERE {same} AND file = ANY($1::text[]) AND {unnamed} "
            "RETURNING bytes) SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM done"
        )
