"""A hostile schema: what another role hangs on our tables is refused at open, before it could run as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from store import Store
from store.errors import NotAStore

SQL = Callable[..., list[Any]]

# Whoever runs it leaves a number: a sequence goes on even if the transaction is rolled back.
WITNESS = """
CREATE SEQUENCE {t}.witness;
CREATE FUNCTION {t}.ran() RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT nextval('{t}.witness') > 0 $$;
CREATE FUNCTION {t}.same(v anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM nextval('{t}.witness'); RETURN v; END $$;
CREATE FUNCTION {t}.fires() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('{t}.witness'); RETURN NEW; END $$;
"""
TRIGGER = "CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON {t}.%s FOR EACH ROW EXECUTE FUNCTION {t}.fires()"
MOVE = "ALTER TABLE {t}.%s RENAME TO kept;"

PLANTED = {  # what it is → (how it is made, what the message names)
    "trigger": (TRIGGER % "records", "trigger planted"),
    "trigger on the sealers": (TRIGGER % "sealers", "trigger planted"),
    "trigger on the changes": (TRIGGER % "changes", "trigger planted"),
    "trigger on the notes": (TRIGGER % "accesses", "trigger planted"),
    "trigger that is disabled for now": (
        TRIGGER % "records" + "; ALTER TABLE {t}.records DISABLE TRIGGER planted", "trigger planted",
    ),
    "rule": ("CREATE RULE planted AS ON INSERT TO {t}.records DO ALSO SELECT {t}.ran()", "rule planted"),
    "view in place of the table": (
        MOVE % "records" + "CREATE VIEW {t}.records AS SELECT * FROM {t}.kept WHERE {t}.ran()", "not a plain table",
    ),
    "view in place of the identity": (
        MOVE % "identity" + "CREATE VIEW {t}.identity AS SELECT * FROM {t}.kept WHERE {t}.ran()", "not a plain table",
    ),
    "materialised view": (
        MOVE % "sealers" + "CREATE MATERIALIZED VIEW {t}.sealers AS SELECT * FROM {t}.kept", "not a plain table",
    ),
    "partitioned table": (
        MOVE % "records" + "CREATE TABLE {t}.records (LIKE {t}.kept) PARTITION BY LIST (namespace)", "not a plain table",
    ),
    "sequence replaced": (
        "DROP SEQUENCE {t}.ids; CREATE VIEW {t}.ids AS SELECT 1", "not a plain table",
    ),
    "policy": (
        "ALTER TABLE {t}.records ENABLE ROW LEVEL SECURITY; CREATE POLICY planted ON {t}.records USING ({t}.ran())",
        "row-level security",
    ),
    "policy that is not enabled": ("CREATE POLICY planted ON {t}.records USING ({t}.ran())", "row-level security"),
    "default": ("ALTER TABLE {t}.changes ALTER at SET DEFAULT to_timestamp({t}.same(1.0))", "default"),
    "default of the server's own function": (
        "ALTER TABLE {t}.records ALTER type SET DEFAULT query_to_xml('SELECT {t}.ran()', true, true, '')::text", "default",
    ),
    "column of its own with a default": ("ALTER TABLE {t}.records ADD more boolean DEFAULT {t}.ran()", "default"),
    "check": ("ALTER TABLE {t}.records ADD CHECK ({t}.same(true)) NOT VALID", "constraint"),
    "check of the server's own function": (
        "ALTER TABLE {t}.records ADD CHECK (query_to_xml('SELECT {t}.ran()', true, true, '') IS NOT NULL) NOT VALID",
        "constraint",
    ),
    "foreign key": (
        "CREATE TABLE {t}.theirs (k bytea REFERENCES {t}.sealers ON DELETE CASCADE)", "trigger",
    ),
    "index on an expression": ("CREATE INDEX planted ON {t}.records ({t}.same(name))", "index planted"),
    "index of some rows": ("CREATE INDEX planted ON {t}.records (name) WHERE {t}.same(revision) > 0", "index planted"),
    "generated column": (
        "ALTER TABLE {t}.records ADD more bigint GENERATED ALWAYS AS ({t}.same(revision)) STORED", "default",
    ),
    "domain": (
        "CREATE DOMAIN {t}.checked AS text CHECK ({t}.same(VALUE) IS NOT NULL);"
        "ALTER TABLE {t}.records ALTER type TYPE {t}.checked",
        "uses type",
    ),
    "column of its own of a domain": (
        "CREATE DOMAIN {t}.checked AS text CHECK ({t}.same(1) > 0); ALTER TABLE {t}.records ADD more {t}.checked",
        "uses type",
    ),
    "operator class": (
        "CREATE FUNCTION {t}.order(a text, b text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN PERFORM nextval('{t}.witness'); RETURN bttextcmp(a, b); END $$;"
        "CREATE OPERATOR CLASS {t}.planted FOR TYPE text USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 {t}.order(text, text);"
        "CREATE INDEX planted ON {t}.records (name {t}.planted)",
        "operator class",
    ),
    "child": ("CREATE TABLE {t}.child () INHERITS ({t}.records)", "inherits"),
    "column of another type": ("ALTER TABLE {t}.records ALTER body TYPE text USING ''", "column body is not"),
    "column of another collation": ('ALTER TABLE {t}.records ALTER name TYPE text COLLATE "POSIX"', "column name is not"),
    "column that takes NULL": ("ALTER TABLE {t}.records ALTER body DROP NOT NULL", "column body is not"),
    "column that is gone": ("ALTER TABLE {t}.records DROP python", "lacks the column python"),
    "table that is gone": ("DROP TABLE {t}.changes", "it is missing"),
}  # fmt: skip


@pytest.fixture
def sound(postgres_url: str, sql: SQL) -> str:
    with Store(postgres_url) as s:
        s.update(a=1, b=2)
    sql(WITNESS)
    return postgres_url


@pytest.mark.parametrize("mode", ["r", "c", "n"])
@pytest.mark.parametrize("what", PLANTED)
def test_planted(sound: str, sql: SQL, what: str, mode: Any) -> None:
    statements, named = PLANTED[what]
    sql(statements)
    sql("ALTER SEQUENCE {t}.witness RESTART")  # some are run by planting them
    with pytest.raises(NotAStore, match=rf"is not that of a store: .*{named}"):
        Store(sound, mode=mode)
    assert sql("SELECT is_called FROM {t}.witness") == [(False,)]


def test_plain_index_of_an_administrator(sound: str, sql: SQL) -> None:
    sql("CREATE INDEX ON {t}.records (modified); CREATE TABLE {t}.theirs (n int DEFAULT 5)")
    with Store(sound) as s:
        assert dict(s) == {"a": 1, "b": 2}


def test_view_in_place_of_a_table_of_an_open_store(sound: str, sql: SQL, schema: str) -> None:
    """Servers that can refuse all views are told to; on others the check at open is all there is."""
    if not sql("SELECT 1 FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'"):
        pytest.skip("this server cannot refuse views")
    with Store[Any](sound) as s:
        assert s["a"] == 1
        sql(PLANTED["view in place of the table"][0])
        with pytest.raises(Exception, match="view"):
            s["b"]
    assert sql("SELECT is_called FROM {t}.witness") == [(False,)]


def test_search_path_with_functions_of_somebody_else(sound: str, sql: SQL, schema: str) -> None:
    """As the owner of a database can set it for all sessions. The first statement already must not call them."""
    sql(
        "CREATE FUNCTION {t}.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM nextval('{t}.witness'); RETURN pg_catalog.set_config($1, $2, $3); END $$;"
        "CREATE FUNCTION {t}.current_setting(text) RETURNS text LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM nextval('{t}.witness'); RETURN pg_catalog.current_setting($1); END $$;"
        "CREATE FUNCTION {t}.alike(text, text) RETURNS boolean LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM nextval('{t}.witness'); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;"
        "CREATE OPERATOR {t}.= (FUNCTION = {t}.alike, LEFTARG = text, RIGHTARG = text);"
        "CREATE DOMAIN {t}.text AS pg_catalog.text CHECK ({t}.ran())"
    )
    sql("ALTER SEQUENCE {t}.witness RESTART")
    with Store[Any](f"{sound}&options=-csearch_path%3D{schema},pg_catalog") as s:
        s["c"] = 3
        s.update(d=4)
        with s.edit("e", default=[]) as value:
            value.append(5)
        assert s.get_many(["a", "c"]) == {"a": 1, "c": 3}
        assert (len(s), s.names(), s.namespaces(), s.pop("d")) == (5, ["a", "b", "c", "d", "e"], [""], 4)
    assert sql("SELECT is_called FROM {t}.witness") == [(False,)]


OWN = """
CREATE TABLE {more} (file text COLLATE "C" PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE {most} (file text COLLATE "C" NOT NULL REFERENCES {more} ON DELETE CASCADE);
CREATE FUNCTION {clean}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM {more} WHERE file = OLD.spill;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER cleaning AFTER DELETE ON {records} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.spill IS NOT NULL) EXECUTE FUNCTION {clean}();
"""
ALTERED = {  # what somebody else does to a function or a trigger that we made
    "function": "CREATE OR REPLACE FUNCTION {t}.clean() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM {t}.ran(); RETURN NULL; END $$",
    "search path": "ALTER FUNCTION {t}.clean() RESET search_path",
    "rights": "ALTER FUNCTION {t}.clean() SECURITY DEFINER",
    "condition": "DROP TRIGGER cleaning ON {t}.records; CREATE TRIGGER cleaning AFTER DELETE ON {t}.records "
    "FOR EACH ROW WHEN ({t}.same(OLD.spill) IS NOT NULL) EXECUTE FUNCTION {t}.clean()",
    "another trigger": TRIGGER % "records",
    "another foreign key": "CREATE TABLE {t}.theirs (file text COLLATE \"C\" REFERENCES {t}.more)",
}


@pytest.mark.parametrize("what", [None, *ALTERED])
def test_triggers_and_functions_of_our_own(sound: str, sql: SQL, schema: str, what: str | None) -> None:
    import psycopg

    from store.engines.postgres import schema as made
    from store.engines.postgres import structure
    from store.engines.postgres.location import parse

    location = parse(sound)
    names = {name: location.table(name) for name in ("more", "most", "clean", "records")}
    sql(OWN.format(**names))
    if what is not None:
        sql(ALTERED[what])
    with psycopg.connect(location.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor) as conn:
        if what is None:
            structure.check(conn, location, made._statements(conn, location, "xid8") + OWN, made.SEQUENCES)
        else:
            with pytest.raises(NotAStore, match="is not that of a store"):
                structure.check(conn, location, made._statements(conn, location, "xid8") + OWN, made.SEQUENCES)
