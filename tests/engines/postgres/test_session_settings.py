"""What a session is set to by us, whatever the server, the database and the role say; roles that may only read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgres_beside import admin as admin
from postgres_beside import beside as beside

from store import Store
from store.errors import OutcomeUnknown, ReadOnly

_numbers = itertools.count()


@pytest.fixture
def role(admin: Any) -> Iterator[str]:
    """A new role that may log in, and owns nothing."""
    name = f"app{next(_numbers)}"
    admin.execute(f"CREATE ROLE {name} LOGIN")
    admin.execute(f"GRANT CREATE ON DATABASE postgres TO {name}")
    yield name
    admin.execute(f"DROP OWNED BY {name} CASCADE")
    admin.execute(f"DROP ROLE {name}")


@pytest.fixture
def role_url(role: str, postgres_url: str) -> str:
    return postgres_url.replace("postgres@", f"{role}@")


def shown(s: Store[Any], setting: str) -> str:
    """A setting inside a transaction of the store."""
    with s.transaction():
        return str(s.opened.engine.handle.server.visitors.current().conn.execute(f"SHOW {setting}").fetchone()[0])


class TestRole:
    def test_isolation_of_the_role_is_not_ours(self, admin, role, role_url, beside):
        admin.execute(f"ALTER ROLE {role} SET default_transaction_isolation = 'serializable'")
        with Store[Any](role_url, timeout=30) as s:
            assert shown(s, "transaction_isolation") == "read committed"
            s["a"] = 0
            with s.edit("lock", {}):
                s["a"] = 1
                other = beside(lambda: s.modify("a", lambda value: value + 1))
                other.waits()
            assert other.result() == 2  # a serializable one would be told 40001

    @pytest.mark.parametrize(("setting", "options", "durability", "found"), [
        ("off", "", "normal", "local"), ("local", "", "normal", "local"), ("remote_apply", "", "normal", "remote_apply"),
        ("off", "", "full", "on"), ("local", "", "full", "on"), ("remote_write", "", "full", "on"),
        ("remote_apply", "", "full", "remote_apply"), ("on", "&synchronous_commit=local", "normal", "local"),
        ("off", "&synchronous_commit=local", "full", "on"),
    ])  # fmt: skip
    def test_synchronous_commit(self, admin, role, role_url, setting, options, durability, found):
        admin.execute(f"ALTER ROLE {role} SET synchronous_commit = {setting}")
        with Store[Any](role_url + options, durability=durability) as s:
            assert shown(s, "synchronous_commit") == found

    def test_full_durability_of_one_handle_is_that_of_all(self, role_url):
        with Store[Any](role_url + "&synchronous_commit=local") as s:
            assert shown(s, "synchronous_commit") == "local"
            with Store[Any](role_url + "&synchronous_commit=local", durability="full"):
                assert shown(s, "synchronous_commit") == "on"

    def test_hostile_search_path_is_never_used(self, admin, role, role_url):
        """A schema before the system's, with functions and an operator of our names, that anyone may have made."""
        admin.execute("CREATE SCHEMA evil")
        try:
            admin.execute("CREATE TABLE evil.called (what text)")
            calls = {
                "set_config(text, text, boolean)": "text", "current_setting(text)": "text", "now()": "timestamptz",
                "pg_advisory_xact_lock_shared(bigint)": "void", "pg_try_advisory_xact_lock(bigint)": "boolean",
                "pg_advisory_xact_lock(bigint)": "void", "to_regclass(text)": "regclass", "count(bigint)": "bigint",
                "clock_timestamp()": "timestamptz", "octet_length(bytea)": "integer", "same(text, text)": "boolean",
            }  # fmt: skip
            for signature, kind in calls.items():
                admin.execute(
                    f"CREATE FUNCTION evil.{signature} RETURNS {kind} LANGUAGE plpgsql SECURITY DEFINER AS "
                    f"$$ BEGIN INSERT INTO evil.called VALUES ('{signature}'); RETURN NULL; END $$"
                    if kind != "void"
                    else f"CREATE FUNCTION evil.{signature} RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS "
                    f"$$ BEGIN INSERT INTO evil.called VALUES ('{signature}'); END $$"
                )
            admin.execute("CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same)")
            admin.execute(f"GRANT USAGE ON SCHEMA evil TO {role}")
            admin.execute(f"ALTER ROLE {role} SET search_path = evil, pg_catalog")
            with Store[Any](role_url) as s:
                s.update(a=1, b={"n": 1})
                with s.transaction(), s.edit("b") as value:
                    value["n"] = len(s)
                assert (s.pop("a"), dict(s), s.delete("b"), "a" in s) == (1, {"b": {"n": 2}}, True, False)
            assert admin.execute("SELECT what FROM evil.called").fetchall() == []
        finally:
            admin.execute("DROP SCHEMA evil CASCADE")


class TestReadOnly:
    @pytest.fixture
    def reading(self, admin: Any, role: str, postgres_url: str, role_url: str) -> Iterator[str]:
        """The URL of a store that the role may only read."""
        with Store[Any](postgres_url) as s:
            s.update(a=1, b={"n": 2})
        schema = postgres_url.rpartition("=")[2]
        admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
        yield role_url

    def test_role_with_select_alone_reads_everything(self, reading):
        with Store[Any](reading, mode="r") as s:
            assert (s["a"], dict(s), len(s), s.names("a"), "c" in s) == (1, {"a": 1, "b": {"n": 2}}, 2, ["a"], False)
            assert s.get_many(["b"]) == {"b": {"n": 2}} and s.record("a").revision == 1 and s | {} == dict(s)
            assert s.namespaces() == [""]

    @pytest.mark.parametrize("write", [
        lambda s: s.__setitem__("a", 2), lambda s: s.update(a=2), lambda s: s.delete("a"), lambda s: s.pop("a"),
        lambda s: s.modify("a", lambda value: 2), lambda s: s.clear(), lambda s: s.put("a", 2),
    ], ids=["set", "update", "delete", "pop", "modify", "clear", "put"])  # fmt: skip
    def test_writing_names_the_role(self, reading, role, write):
        with Store[Any](reading, mode="w") as s:
            with pytest.raises(ReadOnly, match=f'the role "{role}" lacks a right .*permission denied for') as caught:
                write(s)
            assert "writing takes INSERT" in str(caught.value)
            assert dict(s) == {"a": 1, "b": {"n": 2}}

    def test_making_a_store_names_the_role(self, admin, role, role_url):
        admin.execute(f"REVOKE CREATE ON DATABASE postgres FROM {role}")
        with pytest.raises(ReadOnly, match=f'the role "{role}" lacks a right'):
            Store[Any](role_url)

    @pytest.mark.parametrize("write", [lambda s: s.__setitem__("a", 2), lambda s: s.transact(len), lambda s: s.pop("a")])
    def test_session_that_is_read_only(self, admin, role, role_url, write):
        """As on a hot standby, whose error is the same."""
        with Store[Any](role_url) as s:
            s["a"] = 1
        admin.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
        with Store[Any](role_url) as s:
            assert s["a"] == 1
            with pytest.raises(ReadOnly, match="target_session_attrs=read-write"):
                write(s)
                s.transact(lambda store: store.update(a=3))
            assert s["a"] == 1


@pytest.fixture
def absent_standby(admin: Any, postgres_url: str) -> Iterator[None]:
    """There is a store, and commits wait for a standby that is not there."""
    with Store[Any](postgres_url) as s:
        s["a"] = 0
    admin.execute("SET synchronous_commit = local")
    admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    admin.execute("SELECT pg_reload_conf()")
    yield
    admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    admin.execute("SELECT pg_reload_conf()")


WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def cancelled(admin: Any, beside: Any, work: Callable[[], Any]) -> Any:
    """What comes of work whose wait for the standby is cancelled; it is done until it waits."""
    while True:
        one = beside(work)
        while one._thread.is_alive():
            if pids := admin.execute(WAITING).fetchall():
                admin.execute("SELECT pg_cancel_backend($1)".replace("$1", str(pids[0][0])))
                return one.result()
        one.result()  # the server had not read its new settings yet


class TestCancelledWaitForAStandby:
    @pytest.mark.parametrize("write", [
        lambda s: s.__setitem__("a", s.get("a", 0) + 1),
        lambda s: s.update(a=1, b=1),
        lambda s: s.transact(lambda store: store.update(a=1, b=1)),
        lambda s: s.modify("a", lambda value: value + 1, 0),
        lambda s: s.put("a", 1),
    ], ids=["set", "update", "transact", "modify", "put"])  # fmt: skip
    def test_is_an_unknown_outcome_of_what_can_be_read(self, postgres_url, admin, absent_standby, beside, write):
        with Store[Any](postgres_url) as s:
            error = cancelled(admin, beside, lambda: write(s))
            assert isinstance(error, OutcomeUnknown), error
            assert "the standbys have not confirmed it" in str(error)
            with Store[Any](postgres_url, mode="r") as again:
                assert s.get("a") == again.get("a")

    def test_full_waits_where_the_url_asks_for_less(self, postgres_url, admin, absent_standby, beside):
        url = postgres_url + "&synchronous_commit=local"
        with Store[Any](url) as s:
            s["a"] = 1  # waits for nobody
        with Store[Any](url, durability="full") as s:
            error = cancelled(admin, beside, lambda: s.__setitem__("a", 2))
            assert isinstance(error, OutcomeUnknown) and s["a"] == 2

    def test_next_write_is_not_blamed_for_it(self, postgres_url, admin, absent_standby, beside):
        with Store[Any](postgres_url) as s:
            assert isinstance(cancelled(admin, beside, lambda: s.__setitem__("a", 2)), OutcomeUnknown)
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
            s["b"] = 3
            with s.transaction():
                s["c"] = 3
        with Store[Any](postgres_url) as s:
            assert (s["a"], s["b"], s["c"]) == (2, 3, 3)
