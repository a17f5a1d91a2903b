"""Who is notified of commits, and when a watch is woken by it. Beats are simulated."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from store import Store
from store.errors import ReadOnly, StorageError, StoreClosed

psycopg = pytest.importorskip("psycopg")
SECONDS = 60


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url) as opened:
        yield opened


@pytest.fixture
def sql(postgres: Any, postgres_url: str) -> Iterator[Callable[..., list[Any]]]:
    with psycopg.connect(
        postgres.url, autocommit=True, options=f"-c search_path={postgres_url.rpartition('=')[2]}"
    ) as conn:

        def run(statement: str, *values: Any) -> list[Any]:
            cursor = conn.execute(statement, values)
            return [] if cursor.description is None else cursor.fetchall()

        run.conn = conn  # type: ignore[attr-defined]
        yield run


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a notification ends a wait."""
    from store.engines.postgres import hearing, listening

    monkeypatch.setattr(hearing, "BEAT_SECONDS", 3600.0)
    monkeypatch.setattr(listening, "BEAT_SECONDS", 3600.0)


def listeners(sql: Any) -> int:
    return int(sql("SELECT count(*) FROM listeners WHERE until > now()")[0][0])


class Looks:
    """A monitor that is asked by nobody; tells when it is woken."""

    def __init__(self, s: Store[Any], *, of_all: bool = False) -> None:
        self.woken = threading.Event()
        changes: Any = s.opened.engine.changes
        self.monitor = changes.watch_all() if of_all else changes.watch("")
        self.monitor.wake_by(self.woken.set)

    def wait(self) -> None:
        assert self.woken.wait(SECONDS)
        self.woken.clear()


@pytest.fixture(params=[False, True], ids=["namespace", "store"])
def looks(s: Store[Any], still: None, request: pytest.FixtureRequest) -> Iterator[Looks]:
    """One that writers notify."""
    found = Looks(s, of_all=request.param)
    found.wait()  # once it listens: commits before that were not heard
    yield found
    found.monitor.close()


class TestNotifications:
    def test_wake_a_watch(self, s: Store[Any], looks: Looks, postgres_url: str) -> None:
        first = looks.monitor.version()
        for write in (
            lambda: s.update(a=1),
            lambda: s.update(b=1, c=1),
            lambda: s.pop("b"),
            lambda: s.delete_many(["a", "c"]),
            s.clear,
        ):
            s["d"] = 1
            looks.wait()
            looks.woken.clear()
            write()
            looks.wait()
        assert looks.monitor.version() != first

    def test_end_the_pause_of_an_iteration(self, s: Store[Any], looks: Looks) -> None:
        found: list[str] = []
        with s.watch(interval=3600) as changes:
            waiting, wait = threading.Event(), changes._wake.wait
            changes._wake.wait = lambda seconds=None: (waiting.set(), wait(seconds))[1]  # type: ignore[method-assign]
            thread = threading.Thread(target=lambda: found.append(next(changes).name))
            thread.start()
            assert waiting.wait(SECONDS)
            s["a"] = 1
            thread.join(SECONDS)
        assert found == ["a"]

    def test_end_the_pause_of_an_asynchronous_iteration(self, s: Store[Any], looks: Looks) -> None:
        import asyncio

        async def main() -> str:
            with s.watch(interval=3600) as changes:
                coming = asyncio.ensure_future(anext(changes))
                while changes._alarm.wake_loop.__name__ != "<lambda>":
                    await asyncio.sleep(0)
                s["a"] = 1
                return (await asyncio.wait_for(coming, SECONDS)).name

        assert asyncio.run(main()) == "a"

    def test_are_sent_only_where_somebody_listens(self, s: Store[Any], sql: Any) -> None:
        sql(f'LISTEN "{s.opened.engine.handle.sessions.statements.channel}"')  # type: ignore[attr-defined]
        s["a"] = 1
        assert list(sql.conn.notifies(timeout=0)) == []
        sql("INSERT INTO listeners VALUES (gen_random_uuid(), now() - interval '1 second')")
        s["a"] = 2
        assert list(sql.conn.notifies(timeout=0)) == [], "that one has died"
        sql("UPDATE listeners SET until = now() + interval '1 hour'")
        s["a"] = 3
        assert len(list(sql.conn.notifies(timeout=SECONDS, stop_after=1))) == 1

    def test_need_no_second_statement(self, s: Store[Any], looks: Looks, sql: Any) -> None:
        assert listeners(sql) == 1
        s["a"] = 1
        executed: list[str] = []
        from psycopg import Cursor

        execute = Cursor.execute
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                Cursor, "execute", lambda self, *call, **how: (executed.append(call[0]), execute(self, *call, **how))[1]
            )
            s["a"] = 2
        assert len([statement for statement in executed if "INSERT INTO" in statement]) == 1

    def test_lost_connection_is_one(self, s: Store[Any], looks: Looks, sql: Any) -> None:
        """What was committed meanwhile was not heard."""
        backend = s.opened.engine.handle.server.listening._session.conn.info.backend_pid  # type: ignore[attr-defined]
        sql("SELECT pg_terminate_backend(%s, 60000)", backend)
        looks.wait()


class TestRefusedBySystem:
    def test_thread(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refused)
            with pytest.raises(StorageError, match=r"watching postgresql://.*no thread could be started") as caught:
                s.watch()
            assert caught.value.errno == errno.EAGAIN
        self.check_watched(s)

    def test_descriptors(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        def refused() -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr(socket, "socketpair", refused)
            with pytest.raises(StorageError, match="cannot be watched: Too many open files; this process") as caught:
                s.watch()
            assert caught.value.errno == errno.EMFILE
        self.check_watched(s)

    def check_watched(self, s: Store[Any]) -> None:
        with s.watch(timeout=0) as changes:
            s["a"] = 1
            assert [change.name for change in changes] == ["a"]


class TestRegistration:
    def test_lasts_as_long_as_a_watch(self, s: Store[Any], sql: Any, still: None) -> None:
        assert listeners(sql) == 0
        one, other = Looks(s), Looks(s)
        one.wait()
        assert listeners(sql) == 1, "one for each process"
        thread = s.opened.engine.handle.server.listening._waking.thread  # type: ignore[attr-defined]
        one.monitor.close()
        assert thread.is_alive()
        other.monitor.close()
        thread.join(SECONDS)
        assert not thread.is_alive() and listeners(sql) == 0

    def test_ends_with_the_last_handle(self, postgres_url: str, sql: Any, still: None) -> None:
        with Store[Any](postgres_url) as s:
            Looks(s).wait()
            assert listeners(sql) == 1
        assert listeners(sql) == 0

    def test_is_none_in_a_busy_store(self, s: Store[Any], sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines.postgres import hearing as module
        from store.engines.postgres.dedicated import Dedicated

        now = 1000.0
        monkeypatch.setattr(module, "steady_clock", lambda: now)
        server = s.opened.engine.handle.server  # type: ignore[attr-defined]
        session = Dedicated(server.sessions)
        hearing = module.Hearing(session, server.change_statements, server.sessions.statements.channel)
        assert hearing.is_due()
        hearing.attend()
        assert (hearing.is_busy, hearing.is_due(), listeners(sql)) == (False, False, 1)
        for number in range(module.BUSY_CHANGES + 1):
            s["a"] = number
        while not hearing.is_due():  # the notifications arrive
            hearing.hear()
        hearing.attend()
        assert (hearing.is_busy, hearing.is_due(), listeners(sql)) == (True, False, 0)
        for number in range(module.BUSY_CHANGES + 1):
            s["a"] = number
        now += module.BEAT_SECONDS
        assert hearing.is_due()
        hearing.attend()
        assert (hearing.is_busy, listeners(sql)) == (True, 0)
        now += module.BEAT_SECONDS
        hearing.attend()
        assert (hearing.is_busy, listeners(sql)) == (False, 1)
        hearing.end()
        session.close()
        assert listeners(sql) == 0

    def test_is_none_behind_a_pooler(self, s: Store[Any], sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """It makes up a number for each client; what is committed is found by looking."""
        monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)
        looks = Looks(s)
        looks.wait()
        assert listeners(sql) == 0
        with s.watch(timeout=0) as changes:
            s["a"] = 1
            assert [change.name for change in changes] == ["a"]
        looks.monitor.close()

    def test_is_none_where_the_server_does_not_listen(
        self, s: Store[Any], sql: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A standby, or a server that lacks it: the connection stays, so that no look reads all again."""
        from store.engines.postgres.dedicated import Dedicated
        from store.errors import StorageError

        run = Dedicated.run

        def refuse(self: Any, statement: str, values: Any = ()) -> Any:
            if statement.startswith("LISTEN"):
                raise StorageError("cannot execute LISTEN during recovery")
            return run(self, statement, values)

        monkeypatch.setattr(Dedicated, "run", refuse)
        looks = Looks(s)
        looks.wait()
        first = looks.monitor.version()
        looks.wait()  # after a beat
        assert looks.monitor.version() is first and listeners(sql) == 0
        s["a"] = 1
        assert looks.monitor.since(first) == {"a"}
        looks.monitor.close()

    @pytest.fixture
    def reader(self, s: Store[Any], postgres: Any, postgres_url: str, sql: Any) -> Iterator[str]:
        """The URL of a role that may only read."""
        schema = postgres_url.rpartition("=")[2]
        role = f"reader_{schema}"
        sql(f"CREATE ROLE {role} LOGIN")
        sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
        yield postgres_url.replace("postgres@", f"{role}@")
        sql(f"DROP OWNED BY {role}")
        sql(f"DROP ROLE {role}")

    def test_is_none_of_a_role_that_may_only_read(self, s: Store[Any], sql: Any, reader: str) -> None:
        with Store[Any](reader, mode="r") as other, other.watch(timeout=0) as changes:
            s["a"] = 1
            assert [change.name for change in changes] == ["a"]
            with pytest.raises(ReadOnly):
                other["b"] = 1
            assert listeners(sql) == 0


def test_look_of_a_watch_that_another_thread_has_just_closed_opens_no_connection(s, monkeypatch):
    from store.engines.postgres.listening import Listening

    looks = Looks(s)
    looks.monitor.version()
    run = Listening.run

    def closed_before(self: Listening, *arguments: Any) -> Any:
        looks.monitor.close()
        for thread in threading.enumerate():
            if thread.name == "store watching":
                thread.join(SECONDS)
        return run(self, *arguments)

    monkeypatch.setattr(Listening, "run", closed_before)
    with pytest.raises(StoreClosed, match="was closed; watch it again"):
        looks.monitor.version()  # the fixture `nothing_leaks` finds a socket that nobody would close
