"""Watching on PostgreSQL: what a look finds, in an explicit order of sessions. Nothing here waits for time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import glob
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.postgres import coordination
from store.errors import LockTimeout, StoreClosed

psycopg = pytest.importorskip("psycopg")
SECONDS = 60


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url) as opened:
        yield opened


@pytest.fixture
def session(postgres: Any, postgres_url: str) -> Iterator[Callable[[], Any]]:
    """Makes sessions of other clients, in whose transactions changes are noted."""
    schema = postgres_url.rpartition("=")[2]
    opened = []

    def make() -> Any:
        conn = psycopg.connect(postgres.url, autocommit=True, options=f"-c search_path={schema}")
        opened.append(conn)
        return conn

    yield make
    for conn in opened:
        conn.close()


def note(conn: Any, name: str | None, namespace: str = "") -> None:
    conn.execute("INSERT INTO changes (namespace, name, token) VALUES (%s, %s, gen_random_uuid())", (namespace, name))


@pytest.fixture
def monitor(s: Store[Any]) -> Iterator[Any]:
    found = s.opened.engine.changes.watch("")  # type: ignore[union-attr]
    yield found
    found.close()


def trim(s: Store[Any]) -> int:
    return s.opened.engine.handle.server.trimming.trim()  # type: ignore[attr-defined,no-any-return]


class TestLateCommits:
    def test_with_an_earlier_id_is_not_missed(self, monitor: Any, session: Any) -> None:
        early, late = session(), session()
        first = monitor.version()
        early.execute("BEGIN")
        note(early, "early")  # has its id and its number now
        note(late, "late")
        second = monitor.version()
        assert second != first and monitor.since(first) == {"late"}
        early.execute("COMMIT")
        third = monitor.version()
        assert third != second
        assert (monitor.since(second), monitor.since(first)) == ({"early"}, {"early", "late"})
        assert monitor.version() == third

    def test_in_any_order_of_two_sessions_and_a_look(self, monitor: Any, session: Any) -> None:
        """All orders: what is reported over all looks is all that was committed, and each look has what is new."""
        one, other = session(), session()
        orders = 0
        for order in sorted(set(permutations(["a+", "a-", "b+", "b-", "look", "look"]))):
            if order.index("a+") > order.index("a-") or order.index("b+") > order.index("b-"):
                continue
            orders += 1
            version, new = monitor.version(), set()
            for step in (*order, "look"):
                conn = one if step.startswith("a") else other
                if step == "look":
                    before, version = version, monitor.version()
                    assert (version == before) == (not new)
                    assert monitor.since(before) == new
                    new = set()
                elif step.endswith("+"):
                    conn.execute("BEGIN")
                    note(conn, step[0])
                else:
                    conn.execute("COMMIT")
                    new.add(step[0])
        assert orders == 90

    def test_of_a_transaction_of_the_program_beside_later_ones(self, s: Store[Any], postgres_url: str) -> None:
        inside, leave = threading.Event(), threading.Event()

        def write() -> None:
            with s.edit("slow", []) as slow:
                slow.append(1)
                s["in the same transaction"] = 1
                inside.set()
                assert leave.wait(SECONDS)

        thread = threading.Thread(target=write)
        with s.watch(timeout=0) as changes:
            thread.start()
            assert inside.wait(SECONDS)
            with Store[Any](postgres_url) as other:
                other["fast"] = 1
            assert [change.name for change in changes] == ["fast"]
            leave.set()
            thread.join(SECONDS)
            assert [change.name for change in changes] == ["in the same transaction", "slow"]

    def test_rolled_back_one_is_no_change(self, monitor: Any, session: Any) -> None:
        conn, first = session(), monitor.version()
        conn.execute("BEGIN")
        note(conn, "never")
        conn.execute("ROLLBACK")
        assert monitor.version() == first and monitor.since(first) == set()

    @pytest.mark.parametrize("most_spaces", [0, 1000])
    def test_of_all_namespaces_in_any_order_of_two_sessions_and_a_look(
        self, postgres_url: str, session: Any, monkeypatch: pytest.MonkeyPatch, most_spaces: int
    ) -> None:
        monkeypatch.setattr(coordination, "MOST_SPACES", most_spaces)
        one, other, orders = session(), session(), 0
        with Store[Any](postgres_url) as s:
            monitor = s.opened.engine.changes.watch_all()  # type: ignore[union-attr]
            for order in sorted(set(permutations(["a+", "a-", "b+", "b-", "look", "look"]))):
                if order.index("a+") > order.index("a-") or order.index("b+") > order.index("b-"):
                    continue
                orders += 1
                version, is_new = monitor.version(), False
                for step in (*order, "look"):
                    conn = one if step.startswith("a") else other
                    if step == "look":
                        before, version = version, monitor.version()
                        assert (version == before) == (not is_new)
                        is_new = False
                    elif step.endswith("+"):
                        conn.execute("BEGIN")
                        note(conn, "name", step[0] + str(orders % 7))
                    else:
                        conn.execute("ROLLBACK" if orders % 5 == 0 else "COMMIT")
                        is_new = is_new or orders % 5 > 0
            monitor.close()
        assert orders == 90

    def test_of_another_store_of_the_server_are_none(self, s: Store[Any], session: Any) -> None:
        monitor = s.opened.engine.changes.watch_all()  # type: ignore[union-attr]
        conn, first = session(), monitor.version()
        conn.execute("CREATE TABLE of_others (a int)")
        conn.execute("INSERT INTO of_others VALUES (1)")
        assert monitor.version() == first
        conn.execute("INSERT INTO changes (token) VALUES (gen_random_uuid())")  # of an attempt, and of no namespace
        assert monitor.version() == first
        monitor.close()

    def test_of_a_store_that_was_filled_anew(self, s: Store[Any], session: Any) -> None:
        """As a dump is restored: with numbers of transactions that another cluster gave."""
        monitor = s.opened.engine.changes.watch_all()  # type: ignore[union-attr]
        conn, first = session(), monitor.version()
        conn.execute("TRUNCATE changes")
        conn.execute("INSERT INTO changes (namespace, name, xid) VALUES ('', 'a', '1')")
        assert monitor.version() != first
        monitor.close()

    def test_on_a_standby_all_from_the_oldest_on_count_as_new(self) -> None:
        from store.engines.postgres.changes import Snapshot

        assert Snapshot.parse("10:20:10,15", False) == (10, 20, "{10,15}")
        assert Snapshot.parse("10:20:", True) == (10, 10, "{}")


class TestVersions:
    def test_differ_only_after_commits_in_the_namespace(self, s: Store[Any], monitor: Any) -> None:
        first = monitor.version()
        with s.within("other") as other:
            for number in range(5):
                other["a"] = number
        assert monitor.version() is first
        s["a"] = 1
        assert monitor.version() != first

    def test_all_may_have_changed_by_clear(self, s: Store[Any], monitor: Any) -> None:
        s["a"] = 1
        first = monitor.version()
        s.clear()
        assert monitor.version() != first and monitor.since(first) is None

    def test_too_many_names_are_unknown_names(
        self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from store.engines.postgres import changes

        monkeypatch.setattr(changes, "MOST_NAMES", 2)
        first = monitor.version()
        s.update(a=1, b=1)
        assert monitor.since(first) == {"a", "b"}
        s["c"] = 1
        assert monitor.since(first) is None

    def test_of_another_connection_says_nothing(self, s: Store[Any], monitor: Any, session: Any) -> None:
        first = monitor.version()
        terminate_watching(s, session())
        second = monitor.version()
        assert second != first and monitor.since(first) is None
        assert monitor.version() == second and monitor.since(second) == set()

    def test_of_a_server_that_counts_backwards_says_nothing(
        self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Behind a pooler a crash of the server is not seen otherwise."""
        first = monitor.version()
        listening = s.opened.engine.handle.server.listening  # type: ignore[attr-defined]
        run = listening.run

        def backwards(*arguments: Any) -> Any:
            number, [(_, *rest)] = run(*arguments)
            return number, [(f"{first.snapshot.oldest - 1}:{first.snapshot.last - 1}:", *rest)]

        monkeypatch.setattr(listening, "run", backwards)
        second = monitor.version()
        monkeypatch.undo()
        assert second != first and monitor.since(first) is None

    def test_is_asked_by_one_statement(self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        listening = s.opened.engine.handle.server.listening  # type: ignore[attr-defined]
        asked: list[str] = []
        run = listening.run
        monkeypatch.setattr(listening, "run", lambda *call: (asked.append(call[0]), run(*call))[1])
        monitor.version()
        s["a"] = 1
        monitor.version()
        assert len(asked) == 2

    def test_finds_changes_by_an_index(self, s: Store[Any], session: Any) -> None:
        conn = session()
        conn.execute("SET enable_seqscan = off")
        statements = s.opened.engine.handle.server.change_statements  # type: ignore[attr-defined]
        for statement, values in ((statements.look, "'', '5', '{3}'"), (statements.since, "'', '5', '{3}', '2'")):
            conn.execute(f"PREPARE looking AS {statement}")
            plan = "\n".join(row[0] for row in conn.execute(f"EXPLAIN EXECUTE looking ({values})"))
            conn.execute("DEALLOCATE looking")
            assert "Seq Scan on changes" not in plan and "changes_namespace_xid_idx" in plan


def terminate_watching(s: Store[Any], conn: Any) -> None:
    """End the connection on which the process watches, as an administrator does."""
    backend = s.opened.engine.handle.server.listening._session.conn.info.backend_pid  # type: ignore[attr-defined]
    assert conn.execute("SELECT pg_terminate_backend(%s, 60000)", (backend,)).fetchone() == (True,)


class TestAnotherCluster:
    """A dump takes the numbers of transactions along; the cluster that it is restored in counts by itself."""

    def test_rows_of_one_make_a_watch_read_all_again_once(self, s: Store[Any], monitor: Any, session: Any) -> None:
        s.update(a=1, b=1)
        first = monitor.version()
        session().execute("UPDATE changes SET xid = (xid::text::bigint + 1000000)::text::xid8")
        second = monitor.version()
        assert second != first and monitor.since(first) is None
        assert monitor.version() == second and monitor.since(second) == set()
        s["c"] = 1
        assert monitor.version() != second and monitor.since(second) == {"c"}

    def test_rows_of_one_are_trimmed_by_age(self, s: Store[Any], monitor: Any, session: Any) -> None:
        s["a"] = 1
        conn = session()
        conn.execute("UPDATE changes SET xid = '99999999', at = now() - interval '2 hours'")
        assert trim(s) == 1
        assert conn.execute("SELECT xid::text FROM trimmed").fetchone() == ("0",)
        first = monitor.version()
        assert monitor.version() == first

    def test_bound_of_one_is_replaced(self, s: Store[Any], monitor: Any, session: Any) -> None:
        conn = session()
        conn.execute("UPDATE trimmed SET xid = '99999999'")
        first = monitor.version()
        assert monitor.version() == first and monitor.since(first) == set()
        s["a"] = 1
        conn.execute("UPDATE changes SET at = now() - interval '2 hours'")
        assert trim(s) == 1
        assert conn.execute("SELECT xid::text::bigint < 99999999 FROM trimmed").fetchone() == (True,)


    def test_dump_that_is_restored_in_one_is_watched(self, s: Store[Any], postgres: Any, session: Any) -> None:
        """The new cluster has counted less far than the one that the dump is of."""
        conn = session()
        conn.execute("DO $$BEGIN FOR n IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$")
        s.update(a=1, b=1)
        schema = s.location.rpartition("=")[2]
        with another_server(postgres) as server:
            dump = subprocess.run(
                [program(postgres, "pg_dump"), "-n", schema, postgres.url], capture_output=True, check=True,
                timeout=SECONDS,
            )  # fmt: skip
            subprocess.run(
                [program(postgres, "psql"), "-qX", "-v", "ON_ERROR_STOP=1", server.url],
                input=dump.stdout, stdout=subprocess.DEVNULL, check=True, timeout=SECONDS,
            )  # fmt: skip
            with Store[Any](f"{server.url}?schema={schema}") as restored, restored.watch(timeout=0) as changes:
                assert restored == s
                monitor = changes._monitor
                first = monitor.version()
                assert monitor.version() == first and monitor.since(first) == set()
                restored["c"] = 1
                del restored["a"]
                assert [(change.kind, change.name) for change in changes] == [("deleted", "a"), ("set", "c")]
                second = monitor.version()
                assert monitor.version() == second and monitor.since(first) == {"a", "c"}


AGED = "UPDATE changes SET at = now() - interval '61 minutes'"


class TestTrimming:
    def test_keeps_an_hour(self, s: Store[Any], session: Any) -> None:
        s.update(a=1, b=1)
        conn = session()
        conn.execute("UPDATE changes SET at = now() - interval '59 minutes'")
        assert trim(s) == 0
        conn.execute(AGED)
        s["c"] = 1
        assert trim(s) == 3  # with the token of the transaction
        assert conn.execute("SELECT name FROM changes").fetchall() == [("c",)]

    def test_version_that_is_older_is_unknown(self, s: Store[Any], monitor: Any, session: Any) -> None:
        first = monitor.version()
        s["a"] = 1
        session().execute(AGED)
        assert trim(s) == 1
        assert monitor.since(first) is None
        second = monitor.version()
        assert second != first and monitor.since(first) is None and monitor.since(second) == set()

    def test_version_of_a_quiet_namespace_holds(self, s: Store[Any], monitor: Any, session: Any) -> None:
        """The last look counts, not the last change."""
        first = monitor.version()
        with s.within("other") as other:
            other["a"] = 1
        assert monitor.version() is first
        session().execute(AGED)
        assert trim(s) == 1
        assert monitor.version() is first and monitor.since(first) == set()

    def test_keeps_what_a_running_transaction_may_precede(self, s: Store[Any], session: Any) -> None:
        long, conn = session(), session()
        long.execute("BEGIN")
        note(long, "long")
        s["a"] = 1
        conn.execute(AGED)
        assert trim(s) == 0
        long.execute("COMMIT")
        assert trim(s) == 1

    def test_late_commit_that_is_trimmed_before_a_look_is_not_missed(
        self, s: Store[Any], monitor: Any, session: Any
    ) -> None:
        long = session()
        long.execute("BEGIN")
        note(long, "long")
        long.execute(AGED)
        first = monitor.version()
        long.execute("COMMIT")
        assert trim(s) == 1
        assert monitor.version() != first and monitor.since(first) is None

    def test_is_done_by_one_client_at_a_time(self, s: Store[Any], session: Any) -> None:
        other = session()
        s["a"] = 1
        other.execute(AGED)
        other.execute("BEGIN")
        key = s.opened.engine.handle.server.trimming._key  # type: ignore[attr-defined]
        other.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        assert trim(s) == 0
        other.execute("COMMIT")
        assert trim(s) == 1

    @pytest.mark.parametrize("how", ["set", "transaction", "update"])
    def test_is_done_by_writers(
        self, s: Store[Any], session: Any, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        from store.engines.postgres import trimming

        s.update(dict.fromkeys("abcdef", 1))
        conn = session()
        conn.execute(AGED)
        monkeypatch.setattr(trimming, "TRIM_EVERY", 5)
        s.opened.engine.handle.server.trimming._noted = 0  # type: ignore[attr-defined]
        if how == "set":
            for number in range(5):
                s["new"] = number
        elif how == "update":
            s.update(dict.fromkeys("vwxyz", 1))
        else:
            with s.transaction():
                for number in range(5):
                    s["new"] = number
                assert conn.execute("SELECT count(*) FROM changes WHERE name < 'g'").fetchone() == (6,)
        assert conn.execute("SELECT count(*) FROM changes WHERE name < 'g'").fetchone() == (0,)
        assert trim(s) == 0

    def test_that_fails_is_no_failure_of_the_write(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines.postgres import trimming

        monkeypatch.setattr(trimming, "TRIM_EVERY", 1)

        def fail(self: Any) -> int:
            raise psycopg.OperationalError("away")

        monkeypatch.setattr(trimming.Trimming, "trim", fail)
        s["a"] = 1
        assert s["a"] == 1


class TestStats:
    def test_name_the_oldest_transaction(self, s: Store[Any], session: Any) -> None:
        long = session()
        assert (s.stats().wal_pinned_by, s.stats().wal_pinned_seconds) == (None, 0.0)
        long.execute("BEGIN")
        note(long, "long")
        stats = s.stats()
        assert stats.wal_pinned_by == long.info.backend_pid and stats.wal_pinned_seconds > 0
        assert stats.wal_bytes > 0
        long.execute("COMMIT")
        assert s.stats().wal_pinned_by is None

    def test_name_a_reader_whose_snapshot_keeps_dead_rows(self, s: Store[Any], session: Any) -> None:
        reader = session()
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        reader.execute("SELECT 1")
        s["a"] = 1
        stats = s.stats()
        assert stats.wal_pinned_by == reader.info.backend_pid and stats.wal_pinned_seconds > 0
        reader.execute("COMMIT")
        assert s.stats().wal_pinned_by is None

    def test_do_not_show_what_the_server_does_not_tell(self, s: Store[Any]) -> None:
        assert s.stats().wal_pinned_bytes is None
        command = [sys.executable, "-m", "store", "stats", s.location]
        shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        assert "WAL size " in shown and "WAL pinned by " in shown and "WAL pinned  " not in shown


def program(postgres: Any, name: str) -> str:
    """A client program of PostgreSQL, beside the server's or anywhere else."""
    found = [str(postgres.programs / name), shutil.which(name) or "", *glob(f"/usr/lib/postgresql/*/bin/{name}")]
    for path in found:
        if path and Path(path).exists():
            return path
    pytest.skip(f"{name} IS NOT INSTALLED HERE: a dump is restored by hand-made rows only")


@contextmanager
def another_server(postgres: Any) -> Iterator[Any]:
    from postgres_server import PostgresServer, free_port, new_folder

    folder = new_folder()
    server = PostgresServer(folder, free_port(), postgres.programs)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class TestUnreachable:
    def test_server_that_is_restarted_is_busy_then_seen_again(self, postgres: Any) -> None:
        with another_server(postgres) as server, Store[Any](server.url) as s:
            monitor = s.opened.engine.changes.watch("")  # type: ignore[union-attr]
            first = monitor.version()
            server.stop()
            with pytest.raises(LockTimeout, match="cannot be reached now"):
                monitor.version()
            server.start()
            second = monitor.version()
            assert second != first and monitor.since(first) is None
            monitor.close()

    def test_closed_store(self, postgres_url: str) -> None:
        s = Store[Any](postgres_url)
        monitor = s.opened.engine.changes.watch("")  # type: ignore[union-attr]
        s.close()
        with pytest.raises(StoreClosed):
            monitor.version()
        monitor.close()
