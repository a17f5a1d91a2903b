"""What hangs on our tables: foreign code is found before the first statement that would run it.

A trigger, a rule, a policy, a default, a constraint, an index or a type of somebody else runs with the rights of the
role that reads or writes the table. So all of that is looked up in the system catalogs, which no other role can
change, and a store that has any is refused. Functions and types that the server itself brings leave no trace in
`pg_depend`; an expression of those (`query_to_xml` runs any statement) is compared as text.
"""

from __future__ import annotations

import re
from typing import Any

from store.engines.postgres.location import Location
from store.errors import NotAStore

EXPRESSIONS = frozenset({
    # of defaults
    "true", "false", "0", "'0'::bigint", "pg_current_xact_id()", "now()", "clock_timestamp()",
    # of constraints
    "CHECK (one)", "CHECK ((octet_length(id) = 16))", "CHECK ((octet_length(key_id) = 8))",
    # of partial indexes
    "(expires IS NOT NULL)", "(token IS NOT NULL)",
    # of triggers
    "(old.spill IS NOT NULL)", "((old.spill IS NOT NULL) AND (old.spill IS DISTINCT FROM new.spill))",
})  # fmt: skip
_TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE \{(\w+)\} \((.*?)\);", re.DOTALL)
_ROUTINE = re.compile(r"CREATE FUNCTION \{(\w+)\}\(\).*?AS \$\$(.*?)\$\$", re.DOTALL)
_REQUIRED = ("NOT NULL", "PRIMARY KEY", "AS IDENTITY")
_COLUMN = re.compile(r"(?:^|,)\s*([a-z_]+) ([a-z0-9]+)\b([^,]*)")

# Each part gives the table, and what is wrong with it. $1: schema, $2: names of relations, $3: their kinds,
# $4 to $8: table, column, type, whether it is NOT NULL and whether it is COLLATE "C", of each column;
# $9: the expressions that may be there; $10 and $11: the names and bodies of our functions.
FIND = """
WITH ours AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, given.kind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN unnest($2::text[], $3::text[]) AS given (name, kind) ON given.name = c.relname
    WHERE n.nspname = $1
), indexes AS MATERIALIZED (
    SELECT i.indexrelid AS oid, o.relname, c.relname AS name, i.indpred, i.indexprs, i.indrelid
    FROM ours o JOIN pg_catalog.pg_index i ON i.indrelid = o.oid JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
), routines AS MATERIALIZED (
    SELECT p.oid, p.proname, p.prosrc = given.body AND NOT p.prosecdef
        AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp'] AS is_ours
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN unnest($10::text[], $11::text[]) AS given (name, body) ON given.name = p.proname
    WHERE n.nspname = $1
), parts AS (
    SELECT 'pg_catalog.pg_class'::regclass AS class, oid, relname FROM ours
    UNION ALL SELECT 'pg_catalog.pg_class'::regclass, oid, relname FROM indexes
    UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, d.oid, o.relname
        FROM ours o JOIN pg_catalog.pg_attrdef d ON d.adrelid = o.oid
    UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, c.oid, o.relname
        FROM ours o JOIN pg_catalog.pg_constraint c ON c.conrelid = o.oid
)
SELECT relname::text, 'it is not a plain table or sequence' FROM ours WHERE relkind::text <> kind
UNION ALL
SELECT name, 'it is missing' FROM unnest($2::text[]) name
WHERE NOT EXISTS (SELECT 1 FROM ours o WHERE o.relname = name)
UNION ALL
SELECT relname, 'it has row-level security' FROM ours o
WHERE relrowsecurity OR EXISTS (SELECT 1 FROM pg_catalog.pg_policy p WHERE p.polrelid = o.oid)
UNION ALL
SELECT o.relname, 'it has the trigger ' || t.tgname
FROM ours o JOIN pg_catalog.pg_trigger t ON t.tgrelid = o.oid
WHERE CASE WHEN t.tgisinternal
    THEN NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.oid = t.tgconstraint
        AND c.conrelid IN (SELECT oid FROM ours) AND c.confrelid IN (SELECT oid FROM ours)
    ) ELSE NOT EXISTS (SELECT 1 FROM routines r WHERE r.oid = t.tgfoid AND r.is_ours)
    OR substring(pg_catalog.pg_get_triggerdef(t.oid) FROM ' WHEN [(](.*)[)] EXECUTE ') <> ALL ($9::text[]) END
UNION ALL
SELECT o.relname, 'it has the rule ' || r.rulename
FROM ours o JOIN pg_catalog.pg_rewrite r ON r.ev_class = o.oid WHERE o.relkind = 'r'
UNION ALL
SELECT o.relname, 'it inherits, or is inherited from'
FROM ours o JOIN pg_catalog.pg_inherits i ON o.oid IN (i.inhrelid, i.inhparent)
UNION ALL
SELECT o.relname, 'it has the generated column ' || a.attname
FROM ours o JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid WHERE a.attgenerated <> ''
UNION ALL
SELECT g.tab, CASE WHEN a.attnum IS NULL THEN 'it lacks the column ' || g.col
    ELSE 'the column ' || g.col || ' is not that of a store' END
FROM ours o JOIN unnest($4::text[], $5::text[], $6::text[], $7::bool[], $8::bool[])
    AS g (tab, col, kind, required, by_code_point) ON g.tab = o.relname
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attname = g.col AND NOT a.attisdropped
WHERE a.attnum IS NULL OR a.atttypid <> g.kind::regtype OR (g.required AND NOT a.attnotnull) OR (
    g.by_code_point AND a.attcollation <> (
        SELECT l.oid FROM pg_catalog.pg_collation l
        WHERE l.collname = 'C' AND l.collnamespace = 'pg_catalog'::regnamespace
    )
)
UNION ALL
SELECT o.relname, 'it has the default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM ours o JOIN pg_catalog.pg_attrdef d ON d.adrelid = o.oid
WHERE pg_catalog.pg_get_expr(d.adbin, d.adrelid) <> ALL ($9::text[])
UNION ALL
SELECT o.relname, 'it has the constraint ' || c.conname
FROM ours o JOIN pg_catalog.pg_constraint c ON c.conrelid = o.oid
WHERE c.contype NOT IN ('p', 'u', 'n', 't')
AND NOT (c.contype = 'f' AND c.confrelid IN (SELECT oid FROM ours))
AND pg_catalog.pg_get_constraintdef(c.oid) <> ALL ($9::text[])
UNION ALL
SELECT i.relname, 'it has the index ' || i.name FROM indexes i
WHERE i.indexprs IS NOT NULL OR pg_catalog.pg_get_expr(i.indpred, i.indrelid) <> ALL ($9::text[])
UNION ALL
SELECT p.relname, 'it uses ' || pg_catalog.pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
FROM parts p JOIN pg_catalog.pg_depend d ON d.classid = p.class AND d.objid = p.oid
WHERE d.refclassid NOT IN (
    'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_constraint'::regclass,
    'pg_catalog.pg_trigger'::regclass
)
ORDER BY 1, 2 LIMIT 1
"""


def check(conn: Any, location: Location, statements: str, sequences: tuple[str, ...]) -> None:
    """Compare the tables with the statements that make them, which have names in braces.

    Raises:
        NotAStore: there is something else.
    """
    columns = _columns(statements)
    routines = _ROUTINE.findall(statements)
    ours = {name: location.table(name) for name in re.findall(r"\{(\w+)\}", statements)}
    bodies = [body.format(**ours) for _, body in routines]
    names = list(dict.fromkeys(table for table, *_ in columns))
    relations = [location.prefix + name for name in (*names, *sequences)]
    kinds = ["r"] * len(names) + ["S"] * len(sequences)
    given = [list(column) for column in zip(*columns, strict=True)]
    given[0] = [location.prefix + table for table in given[0]]
    functions = [location.prefix + name for name, _ in routines]
    values = location.schema, relations, kinds, *given, sorted(EXPRESSIONS), functions, bodies
    found = conn.execute(FIND, values).fetchone()
    if found is not None:
        table, problem = found
        raise NotAStore(
            f'{location.shown}: the table "{location.schema}"."{table}" is not that of a store: {problem[:200]!r}; '
            "nothing was read from it. If that was your doing, undo it; if not, take the schema for hostile and "
            "restore a backup into another one",
            path=location.shown,
        )


def _columns(tables: str) -> list[tuple[str, str, str, bool, bool]]:
    """Table, column, type, and whether it is NOT NULL and COLLATE "C", of each column of our statements."""
    return [
        (table, name, kind, any(word in rest for word in _REQUIRED), 'COLLATE "C"' in rest)
        for table, body in _TABLE.findall(re.sub("--.*", "", tables))
        for name, kind, rest in _COLUMN.findall(re.sub(r"\((?:[^()]|\([^()]*\))*\)", "", body))
    ]
