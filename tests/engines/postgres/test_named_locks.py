"""Named locks as rows: one statement renews all, and rows that nobody uses are deleted. Time passes by SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server_locks import PostgresLocks, held, leases, postgres_locks, thread_renewed

from store import Store

SECONDS = 60


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url) as opened:
        yield opened


@pytest.fixture
def there(s: Store[Any], postgres_url: str) -> Iterator[PostgresLocks]:
    """The table of locks."""
    with postgres_locks(s, postgres_url) as found:
        yield found


class TestRow:
    def test_of_an_unused_name_is_deleted_now_and_then(
        self, s: Store[Any], there: PostgresLocks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from store.engines import leases as module

        monkeypatch.setattr(module, "TIDY_EVERY", 3)
        for name in "ab":
            held(s, name).release()
        there.sql("UPDATE locks SET until = now() - interval '2 hours'")
        held(s, "c").release()
        assert there.sql("SELECT name FROM locks") == [("c",)]

    def test_of_a_held_lock_is_not_deleted(self, s: Store[Any], there: PostgresLocks) -> None:
        held(s).release()
        lock = held(s, "other")
        there.tidy()
        assert there.sql("SELECT count(*) FROM locks") == [(2,)] and lock.locked()

    def test_shows_a_name_of_any_text(self, s: Store[Any], there: PostgresLocks) -> None:
        for name in ["", "a/b", "é", "x" * 65536]:
            held(s, name).release()
        assert {name for (name,) in there.sql("SELECT name FROM locks")} == {"", "a/b", "é", "x" * 200}


class TestLease:
    def test_is_renewed_by_one_statement_for_all(self, s: Store[Any], there: PostgresLocks) -> None:
        locks = [held(s, name) for name in "abc"]
        there.sql("UPDATE locks SET until = clock_timestamp() + interval '1 second'")
        asked: list[str] = []
        with there.session() as session:
            run = session.run
            session.run = lambda statement, values=(): (asked.append(statement), run(statement, values))[1]
            assert leases(s)._renew(session)
        assert len(asked) == 1
        assert there.sql("SELECT count(*) FROM locks WHERE until > clock_timestamp() + interval '20 seconds'") == [(3,)]
        assert all(lock.locked() for lock in locks)

    def test_is_renewed_by_a_thread_although_the_pool_is_exhausted(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = thread_renewed(monkeypatch)
        with Store[Any](f"{postgres_url}&pool_size=1", timeout=0.1) as s:
            lock = held(s)
            with s.transaction():
                done.clear()
                assert done.wait(SECONDS)
                assert lock.locked()
            lock.release()


class TestHolding:
    def test_lost_connection_is_replaced(self, s: Store[Any], there: PostgresLocks) -> None:
        lock = held(s)
        there.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        assert not s.lock("job").acquire(timeout=0)
        there.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        lock.release()
        assert s.lock("job").acquire(timeout=0)
