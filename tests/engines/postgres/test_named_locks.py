"""Named locks on PostgreSQL: leases by the server's clock, fences, and how one is lost. Time passes by SQL."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from threads import in_thread

from store import Store
from store.errors import LockTimeout, StorageError, StoreError
from store.opened.locks import Lock

psycopg = pytest.importorskip("psycopg")
SECONDS = 60

HOLDER = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s, s.lock("job") as lock:
        print(lock.fence, flush=True)
        input()
    print("1")
    """


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url) as opened:
        yield opened


@pytest.fixture
def sql(postgres: Any, postgres_url: str) -> Iterator[Callable[..., list[Any]]]:
    """Runs a statement on the tables of the store, as an operator would."""
    schema = postgres_url.rpartition("=")[2]
    with psycopg.connect(postgres.url, autocommit=True) as conn:

        def run(statement: str, *values: Any) -> list[Any]:
            conn.execute(f"SET search_path TO {schema}")
            cursor = conn.execute(statement, values)
            return [] if cursor.description is None else cursor.fetchall()

        yield run


def leases(s: Store[Any]) -> Any:
    return s.opened.engine.locks.leases  # type: ignore[union-attr]


def renewed(s: Store[Any]) -> bool:
    """Renew all leases now, as the thread does."""
    from store.engines.postgres.dedicated import Dedicated

    session = Dedicated(s.opened.engine.handle.sessions)  # type: ignore[attr-defined]
    try:
        return bool(leases(s)._renew(session))
    finally:
        session.close()


END_LEASES = "UPDATE locks SET until = clock_timestamp() - interval '1 second'"


def held(s: Store[Any], name: str = "job") -> Lock:
    lock = s.lock(name)
    assert lock.acquire(timeout=0)
    return lock


class TestFence:
    def test_grows_with_each_holder(self, s: Store[Any], postgres_url: str, start: Any) -> None:
        fences = []
        for _ in range(3):
            with s.lock("job") as lock:
                fences.append(lock.fence or 0)
        holder = start(HOLDER, postgres_url)
        fences.append(int(holder.hear()))
        holder.say()
        assert holder.result() == 1
        assert fences == sorted(set(fences)) and fences[0] > 0

    def test_grows_after_the_row_was_forgotten(self, s: Store[Any], sql: Any) -> None:
        first = held(s)
        fence = first.fence or 0
        first.release()
        sql("UPDATE locks SET until = now() - interval '2 hours'")
        sql(s.opened.engine.handle.server.lock_statements.tidy)  # type: ignore[attr-defined]
        assert sql("SELECT count(*) FROM locks") == [(0,)]
        assert (held(s).fence or 0) > fence

    def test_rows_of_unused_names_are_deleted_now_and_then(
        self, s: Store[Any], sql: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from store.engines import leases as module

        monkeypatch.setattr(module, "TIDY_EVERY", 3)
        for name in "ab":
            held(s, name).release()
        sql("UPDATE locks SET until = now() - interval '2 hours'")
        held(s, "c").release()
        assert sql("SELECT name FROM locks") == [("c",)]

    def test_rows_of_held_locks_are_not_forgotten(self, s: Store[Any], sql: Any) -> None:
        held(s).release()
        lock = held(s, "other")
        sql(s.opened.engine.handle.server.lock_statements.tidy)  # type: ignore[attr-defined]
        assert sql("SELECT count(*) FROM locks") == [(2,)] and lock.locked()


class TestLease:
    def test_of_a_killed_process_ends_by_the_clock_of_the_server(
        self, s: Store[Any], postgres_url: str, start: Any, sql: Any
    ) -> None:
        holder = start(HOLDER, postgres_url)
        fence = int(holder.hear())
        holder.kill()
        assert not s.lock("job").acquire(timeout=0), "its lease lasts"
        ((left,),) = sql("SELECT extract(epoch FROM until - clock_timestamp()) FROM locks")
        assert 0 < left <= 30
        sql(END_LEASES)
        assert (held(s).fence or 0) > fence

    def test_is_renewed_by_one_statement_for_all(self, s: Store[Any], sql: Any) -> None:
        locks = [held(s, name) for name in "abc"]
        sql("UPDATE locks SET until = clock_timestamp() + interval '1 second'")
        asked: list[str] = []
        from store.engines.postgres.dedicated import Dedicated

        session = Dedicated(s.opened.engine.handle.sessions)  # type: ignore[attr-defined]
        run = session.run
        session.run = lambda statement, values=(): (asked.append(statement), run(statement, values))[1]  # type: ignore[method-assign]
        assert leases(s)._renew(session)
        session.close()
        assert len(asked) == 1
        assert sql("SELECT count(*) FROM locks WHERE until > clock_timestamp() + interval '20 seconds'") == [(3,)]
        assert all(lock.locked() for lock in locks)

    def test_is_renewed_by_a_thread_although_the_pool_is_exhausted(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from store.engines import leases as module

        done = threading.Event()
        renew = module.Leases._renew

        def renew_and_tell(self: Any, session: Any) -> bool:
            is_done = renew(self, session)
            if is_done:
                done.set()
            return is_done

        monkeypatch.setattr(module.Leases, "_renew", renew_and_tell)
        monkeypatch.setattr(module, "RENEWALS", 3000)
        with Store[Any](f"{postgres_url}&pool_size=1", timeout=0.1) as s:
            lock = held(s)
            with s.transaction():
                done.clear()
                assert done.wait(SECONDS)
                assert lock.locked()
            lock.release()

    def test_that_lapsed_is_lost_here_even_if_nobody_took_it(self, s: Store[Any]) -> None:
        lock = held(s)
        (lease,) = leases(s)._held.values()
        lease.ends = 0.0  # the server was away for too long
        assert (lock.locked(), lock.lost) == (False, True)
        assert renewed(s)
        assert (lock.locked(), lock.lost) == (False, True), "what was lost once stays lost"
        with pytest.raises(StoreError, match="was lost"):
            lock.release()

    def test_that_another_one_took_is_lost_at_the_next_renewal(
        self, s: Store[Any], postgres_url: str, start: Any, sql: Any
    ) -> None:
        lock = held(s)
        sql(END_LEASES)
        holder = start(HOLDER, postgres_url)
        assert int(holder.hear()) > (lock.fence or 0)
        assert renewed(s)
        assert (lock.locked(), lock.lost, repr(lock)) == (False, True, "<Lock 'job' lost>")
        with pytest.raises(StoreError, match="was lost"):
            lock.release()
        assert not s.lock("job").acquire(timeout=0), "the other one holds it still"
        holder.say()
        assert holder.result() == 1

    def test_that_another_one_took_is_lost_at_the_release(
        self, s: Store[Any], postgres_url: str, start: Any, sql: Any
    ) -> None:
        lock = held(s)
        sql(END_LEASES)
        holder = start(HOLDER, postgres_url)
        holder.hear()
        with pytest.raises(StoreError, match="was lost"):
            lock.release()
        assert not s.lock("job").acquire(timeout=0)
        holder.say()
        assert holder.result() == 1

    def test_outlives_a_failed_renewal(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines.postgres.dedicated import Dedicated

        lock = held(s)

        def fail(*_: Any) -> None:
            raise StoreError("away")

        monkeypatch.setattr(Dedicated, "run", fail)
        assert not renewed(s)
        monkeypatch.undo()
        assert lock.locked() and renewed(s)
        lock.release()


class TestHolding:
    def test_lost_connection_is_replaced(self, s: Store[Any], sql: Any) -> None:
        lock = held(s)
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        assert not s.lock("job").acquire(timeout=0)
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        lock.release()
        assert s.lock("job").acquire(timeout=0)

    def test_attempt_at_a_held_lock_writes_nothing(self, s: Store[Any], sql: Any) -> None:
        lock = held(s)
        before = sql("SELECT locks.xmin::text, locks.xmax::text, last_value FROM locks, fences")
        assert not s.lock("job").acquire(timeout=0.01)
        assert sql("SELECT locks.xmin::text, locks.xmax::text, last_value FROM locks, fences") == before
        lock.release()

    def test_inside_a_transaction_it_is_no_part_of_it(self, s: Store[Any], sql: Any) -> None:
        with pytest.raises(ZeroDivisionError), s.transaction():
            lock = held(s)
            assert sql("SELECT count(*) FROM locks WHERE owner IS NOT NULL") == [(1,)]
            1 / 0
        assert lock.locked()
        lock.release()

    def test_waiting_ends_with_a_release_in_this_process(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines import polling as module

        monkeypatch.setattr(module, "FIRST_PAUSE", 3600.0)
        monkeypatch.setattr(module, "LAST_PAUSE", 3600.0)
        lock, waits = held(s), threading.Event()
        wait = leases(s).wait
        monkeypatch.setattr(leases(s), "wait", lambda seconds: (waits.set(), wait(seconds)))
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(s.lock("job").acquire(timeout=SECONDS)))
        thread.start()
        assert waits.wait(SECONDS)
        lock.release()
        thread.join(SECONDS)
        assert got == [True]

    def test_thread_that_cannot_be_started_leaves_the_lock_free(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refused)
            for take in (s.lock("job").acquire, s.lock("job").__enter__):
                with pytest.raises(StorageError, match=r"named locks on .*no thread could be started"):
                    take()
        held(s).release()

    def test_last_close_releases_all(self, postgres_url: str, sql: Any) -> None:
        s = Store[Any](postgres_url)
        lock = held(s)
        s.close()
        assert sql("SELECT count(*) FROM locks WHERE owner IS NOT NULL") == [(0,)]
        assert lock.lost

    def test_row_shows_a_name_of_any_text(self, s: Store[Any], sql: Any) -> None:
        for name in ["", "a/b", "é", "x" * 65536]:
            with s.lock(name):
                assert isinstance(in_thread(lambda name=name: s.lock(name, 0).__enter__()), LockTimeout)
        assert {name for (name,) in sql("SELECT name FROM locks")} == {"", "a/b", "é", "x" * 200}

    def test_program_that_ends_without_closing_leaves_no_lease(
        self, s: Store[Any], postgres_url: str, start: Any
    ) -> None:
        program = start(
            """
            import sys
            from store import Store
            s = Store(sys.argv[1])
            lock = s.lock("job")
            print(int(lock.acquire()))
            """,
            postgres_url,
        )
        assert program.result() == 1
        assert s.lock("job").acquire(timeout=0)

    def test_collected_object_is_released_by_the_thread(self, s: Store[Any]) -> None:
        lock = held(s)
        del lock
        gc.collect()
        assert s.lock("job").acquire(timeout=SECONDS)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_does_not_hold_it(self, s: Store[Any]) -> None:
        lock = held(s)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                is_lost = (lock.locked(), lock.lost) == (False, True)
                try:
                    lock.release()
                except StoreError:
                    is_taken = not s.lock("job").acquire(timeout=0)
                    code = 7 if is_lost and is_taken else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert lock.locked()
        lock.release()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_does_not_release_it(self, s: Store[Any]) -> None:
        lock = held(s)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(StoreError):
                    lock.release()
                assert s.lock("of the child").acquire(timeout=SECONDS)  # begins a thread that carries out orders
                s.close()  # once that thread has ended
                code = 7
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert not s.lock("job").acquire(timeout=0)
        lock.release()
