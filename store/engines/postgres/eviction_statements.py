"""The statements of bounded caches: random records, notes of uses, figures.

`flush` brings several uses of a record at once into the frequency of `store.engines.access_table`. There a step from `x`
above the first frequency to the next one takes 10 x + 1 uses on average, so that `x` stands for 5 x² - 4 x of them. The
new ones are added, and what that stands for is rounded up or down at random.
"""

# ruff: noqa: E501 - as in `statements`

from __future__ import annotations

from store.engines.access_table import FIRST_FREQUENCY as FIRST
from store.engines.access_table import LOG_FACTOR, MAX_FREQUENCY
from store.engines.postgres.location import Location

SWEPT = 2000  # notes that a flush looks at, for those whose record is gone
_HALF = LOG_FACTOR // 2


class EvictionStatements:
    """Those of one location. OFFSET 0 has each record looked up by its index, as in `Statements.find_all`."""

    def __init__(self, location: Location) -> None:
        records, accesses, figures = (location.table(name) for name in ("records", "accesses", "figures"))
        # Neither bodies nor parts are read: their sizes are in the row.
        self.live_bytes = (
            f"SELECT (SELECT coalesce(sum(octet_length(name) + octet_length(body)), 0) FROM {records} WHERE namespace = $1)"
            f" + (SELECT coalesce(sum(bytes), 0) FROM {location.table('parts')} WHERE namespace = $1)"
        )
        after = f"SELECT id FROM {records} WHERE namespace = $1 AND id > {{}} ORDER BY id LIMIT 1 OFFSET $3::int"
        self.bounds = (
            f"WITH RECURSIVE step (id) AS (SELECT ({after.format('$2::bigint')}) UNION ALL "
            f"SELECT ({after.format('step.id')}) FROM step WHERE step.id IS NOT NULL) "
            "SELECT id FROM step WHERE id IS NOT NULL"
        )
        self.tail = (
            f"SELECT (SELECT count(*) FROM (SELECT 1 FROM {records} WHERE namespace = $1 AND id > $2::bigint LIMIT $3::int) t), "
            f"(SELECT max(id) FROM {records} WHERE namespace = $1)"
        )
        self.candidates = (
            "SELECT found.* FROM unnest($2::bigint[], $3::bigint[], $4::int[]) AS block (after, until, passed) "
            "CROSS JOIN LATERAL (SELECT id, name, revision, seal, octet_length(body), spill, modified, expires "
            f"FROM {records} WHERE namespace = $1 AND id > block.after AND id <= block.until "
            "ORDER BY id LIMIT $5::int OFFSET block.passed) found"
        )
        self.flush = f"""
WITH given AS (
    SELECT g.name, g.last, g.uses, a.last AS before, a.frequency
    FROM unnest($2::text[], $3::float8[], $4::int[]) AS g (name, last, uses)
    CROSS JOIN LATERAL (SELECT 1 FROM {records} WHERE namespace = $1 AND name = g.name OFFSET 0) there
    LEFT JOIN LATERAL (SELECT last, frequency FROM {accesses} WHERE namespace = $1 AND name = g.name OFFSET 0) a ON true
), faded AS (
    SELECT name, greatest(last, before) AS last, uses - (before IS NULL)::int AS uses,
        CASE WHEN before IS NULL THEN {FIRST}
        ELSE greatest(0, frequency - greatest(0, floor(last / 60) - floor(before / 60)))::int END AS frequency
    FROM given
), risen AS (
    SELECT name, last, greatest(frequency, least({FIRST}, frequency + uses)) AS frequency,
        greatest(0, uses - greatest(0, {FIRST} - frequency)) AS uses
    FROM faded
), counted AS (
    SELECT *, {_HALF} * (frequency - {FIRST}) ^ 2 - {_HALF - 1} * (frequency - {FIRST}) + uses AS stands_for FROM risen
)
INSERT INTO {accesses} AS a (namespace, name, last, frequency)
SELECT $1, name, last, CASE WHEN uses = 0 THEN frequency ELSE least({MAX_FREQUENCY}, {FIRST} + floor(
    ({_HALF - 1} + sqrt({(_HALF - 1) ** 2} + {4 * _HALF} * stands_for)) / {LOG_FACTOR} + random()))::int END
FROM counted ORDER BY name
ON CONFLICT (namespace, name) DO UPDATE SET last = greatest(a.last, excluded.last), frequency = excluded.frequency"""
        # More than a flush brings, so that notes of records that are gone do not pile up.
        self.sweep = (
            f"WITH page AS MATERIALIZED (SELECT name FROM {accesses} WHERE namespace = $1 AND name > $2 ORDER BY name LIMIT {SWEPT}), "
            "lost AS MATERIALIZED (SELECT name FROM page WHERE NOT EXISTS "
            f"(SELECT 1 FROM {records} r WHERE r.namespace = $1 AND r.name = page.name OFFSET 0)), "
            f"gone AS (DELETE FROM {accesses} a USING lost WHERE a.namespace = $1 AND a.name = lost.name) "
            f"SELECT CASE WHEN count(*) = {SWEPT} THEN max(name) ELSE '' END FROM page"
        )
        self.uses = (
            "SELECT g.name, a.last, a.frequency FROM unnest($2::text[]) AS g (name) CROSS JOIN LATERAL "
            f"(SELECT last, frequency FROM {accesses} WHERE namespace = $1 AND name = g.name OFFSET 0) a"
        )
        self.count = (
            f"INSERT INTO {figures} AS f (namespace, hits, misses, evictions) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (namespace) DO UPDATE SET hits = f.hits + excluded.hits, misses = f.misses + excluded.misses, "
            "evictions = f.evictions + excluded.evictions"
        )
        self.figures = f"SELECT hits, misses, evictions FROM {figures} WHERE namespace = $1"
        self.reset = f"DELETE FROM {figures} WHERE namespace = $1"
